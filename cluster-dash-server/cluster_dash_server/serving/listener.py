"""One listening socket: waitress's server with our channels, many accepted at once, and no loop of its own."""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from .channel import Channel
from .connections import Connections
from .loop import Watched
from .turns import Turns

log = logging.getLogger(__name__)

ACCEPTED_AT_ONCE = 64
TURN_S = 0.02
"""So long the loop's thread answers before it looks at the connections again."""
PAUSE_S = 0.2
"""Without a descriptor for a newcomer; asking again at once would take all of the processor."""


class Listener(TcpWSGIServer):
    channel_class: ClassVar[type[HTTPChannel]] = Channel

    def __init__(
        self,
        application: Any,
        sock: socket.socket,
        watched: Watched,
        threads: ThreadedTaskDispatcher,
        adjustments: Adjustments,
        connections: Connections,
        at_once: Collection[tuple[str, str]],
        turns: Mapping[str, Turns],
    ) -> None:
        """`turns`: by path, of what has threads of its own."""
        self.connections = connections
        self.waiting: deque[Channel] = deque()
        """With a request that the loop's thread answers. Any thread may append."""
        self._at_once = at_once
        self._turns = turns
        self._watched = watched
        self._is_woken = False
        self._paused_until = 0.0
        sockinfo = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(
            application, watched, _sock=sock, dispatcher=threads, adj=adjustments, sockinfo=sockinfo, bind_socket=False
        )

    def readable(self) -> bool:
        return self.accepting and not self._paused_until

    def handle_accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        try:
            accepted = self.accept()
        except OSError as error:
            self._paused_until = time.monotonic() + PAUSE_S
            log.warning("can't take another connection: %s", error.strerror)
            return False
        if accepted is None:
            return False
        connection, address = accepted
        try:
            self.set_socket_options(connection)
            channel = Channel(self, connection, self.fix_addr(address), self.adj, map=self._watched)
        except OSError:  # gone already
            connection.close()
            return True
        self.connections.opened(channel)
        return True

    def fix_addr(self, addr: tuple[Any, ...]) -> tuple[str, int]:
        """An IPv4 client of a socket for both is known by its IPv4 address."""
        return str(addr[0]).removeprefix("::ffff:"), int(addr[1])

    def add_task(self, task: Channel) -> None:
        """The channel's first request is to be answered, by the loop's thread or by one of a pool.

        Not by the loop's while an answer before it is to be sent, which is what the loop must do then.
        """
        request = task.requests[0]
        is_free = request.error is None and not task.total_outbufs_len
        if is_free and (request.command, request.path) in self._at_once:
            self.waiting.append(task)
        elif request.error is None and request.path in self._turns:
            self._turns[request.path].add(task)
        else:
            self.task_dispatcher.add_task(task)

    def answer_at_once(self) -> None:
        """In the loop's thread."""
        self._is_woken = True  # it looks at all that was touched before it waits again
        until = time.monotonic() + TURN_S
        for _ in range(len(self.waiting)):
            self.waiting.popleft().answer_at_once()
            if time.monotonic() >= until:
                return

    def resume(self, now: float) -> None:
        """Accepts again after a pause. `now` by time.monotonic."""
        if self._paused_until and now >= self._paused_until:
            self._paused_until = 0.0
            self._watched.touched.append(self)

    def stop_accepting(self) -> None:
        """New connections are refused by the system from now on."""
        self.accepting = False
        self.del_channel(self._watched)
        if self.socket is not None:
            self.socket.close()

    def maintenance(self, now: float) -> None:
        """Connections.close_late does it."""

    def pull_trigger(self) -> None:
        """From a thread of the pool: the loop looks at the channel that it answers. One wake-up serves many."""
        channel = self.connections.serving.channel
        if channel is not None:
            self._watched.touched.append(channel)
        if not self._is_woken:
            self._is_woken = True
            super().pull_trigger()

    def woken(self) -> None:
        """The loop is about to look."""
        self._is_woken = False
