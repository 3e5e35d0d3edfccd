"""Takes requests that have threads of their own, as they may take long, gives these a few of each client at a time.

So who asks a hundred questions waits for his own, and others are answered meanwhile. What a client that left has asked
is not answered at all, where that hasn't begun. What has waited for too long is told to come again: done all the same,
it would be late for its client, which comes again anyway, and so would be all behind it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import Error

if TYPE_CHECKING:
    from .channel import Channel

log = logging.getLogger(__name__)

GIVES_WAY_S, LOOK_EVERY_S = 0.5, 0.005


class Busy(Error):
    code = 503
    reason = "Service Unavailable"


class Turns:
    """Safe for threads."""

    def __init__(
        self,
        threads: ThreadedTaskDispatcher,
        most: int,
        longest_wait_s: float = math.inf,
        gives_way: Callable[[], bool] = lambda: False,
    ) -> None:
        """`most`: of one client at a time. `longest_wait_s`: until a thread takes it. `gives_way`: whether what is more
        urgent waits now, for which each waits a while.
        """
        self._threads, self._most = threads, most
        self.longest_wait_s, self.gives_way = longest_wait_s, gives_way
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        """By client, what is given to the threads."""
        self._waiting: dict[str, deque[_Turn]] = {}

    def add(self, channel: Channel) -> None:
        client = channel.client
        turn = _Turn(self, channel, client)
        with self._lock:
            count = self._counts.get(client, 0)
            if count >= self._most:
                self._waiting.setdefault(client, deque()).append(turn)
                return
            self._counts[client] = count + 1
        self._threads.add_task(turn)

    def ended(self, client: str) -> None:
        """The next of that client."""
        with self._lock:
            waiting = self._waiting.get(client)
            if not waiting:
                self._counts[client] -= 1
                if not self._counts[client]:
                    del self._counts[client]
                return
            turn = waiting.popleft()
            if not waiting:
                del self._waiting[client]
        self._threads.add_task(turn)


class _Turn:
    """As waitress' threads want it."""

    def __init__(self, turns: Turns, channel: Channel, client: str) -> None:
        self._turns, self._channel, self._client = turns, channel, client
        self._began_s = time.monotonic()

    def service(self) -> None:
        try:
            if self._channel.has_left():
                self._channel.drop()
                return
            if time.monotonic() - self._began_s > self._turns.longest_wait_s:
                log.warning("too much at once: %s is told to come again", self._channel.requests[0].path)
                self._channel.requests[0].error = Busy("")
            else:  # at once for who is told to come again, so that those behind aren't too late because of it
                self._give_way()
            self._channel.service()
        finally:
            self._turns.ended(self._client)

    def _give_way(self) -> None:
        until = time.monotonic() + GIVES_WAY_S
        while self._turns.gives_way() and time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)

    def cancel(self) -> None:
        self._channel.cancel()
