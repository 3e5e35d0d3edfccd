"""One connection: waitress's channel with deadlines by a clock that nobody sets.

waitress closes a connection that was silent for a while; one that sends a byte now and then stays for ever, and so does
one that reads a byte now and then. Here a request has a time to come whole, and a reader must keep up.
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING, ClassVar

import msgspec
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask, WSGITask
from waitress.wasyncore import dispatcher, readwrite

from .answer import Answer
from .parsing import JsonErrorTask, StrictParser

if TYPE_CHECKING:
    from .listener import Listener

SLOWEST_READER_BYTES_PER_S = 1024


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds."""

    headers_s: float
    """From the first byte of a request, or from the connection's start, to the end of the headers."""
    body_s: float
    """From the first byte of a request to its end."""
    idle_s: float
    """From an answer to the next request."""
    send_s: float
    """Over this time a reader takes SLOWEST_READER_BYTES_PER_S at least."""


class Channel(HTTPChannel):
    parser_class: ClassVar[type[HTTPRequestParser]] = StrictParser
    task_class: ClassVar[type[WSGITask]] = Answer
    error_task_class: ClassVar[type[ErrorTask]] = JsonErrorTask
    server: Listener  # pyright: ignore[reportIncompatibleVariableOverride]  always ours

    def __init__(
        self,
        server: Listener,
        sock: socket.socket,
        addr: tuple[str, int],
        adj: Adjustments,
        map: dict[int, dispatcher] | None = None,  # noqa: A002  waitress's name
    ) -> None:
        self.waiting_since = time.monotonic()
        """The start of the connection, of a request that is coming, or of the pause after an answer."""
        self.has_answered = False
        self.held_bytes = 0
        """Of bodies that came in pieces, until they are answered. `Connections` counts them."""
        self._sent = 0
        self._mark: tuple[float, int] | None = None
        """When output began to wait, and what had been sent then."""
        super().__init__(server, sock, addr, adj, map=map)

    @property
    def is_busy(self) -> bool:
        """A request of it is being answered, or waits for that."""
        return bool(self.requests)

    @property
    def client(self) -> str:
        """The address of who asks; behind a proxy that is believed, as that one says."""
        trusted, peer = self.adj.trusted_proxy, str(self.addr[0])
        if trusted in ("*", peer) and self.requests:
            return self.requests[0].headers.get("X_FORWARDED_FOR", peer).rpartition(",")[2].strip()
        return peer

    def has_left(self) -> bool:
        """Whether nobody waits for the answer."""
        try:
            return self.socket is None or not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def drop(self) -> None:
        """Answers nothing; the loop closes it."""
        self.server.connections.serving.channel = self
        with self.requests_lock:
            self.close_when_flushed = True
            for request in self.requests:
                request.close()
            self.requests = []
        self.server.pull_trigger()

    def received(self, data: bytes) -> bool:
        before = self.request
        taken = super().received(data)
        request = self.request
        if request is not before and request is not None:
            self.waiting_since = time.monotonic()
        if request is not None and request.headers_finished:  # and its body isn't all here
            self.server.connections.hold(self, len(data))
        return taken

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent = super().send(data, do_close)
        self._sent += sent
        return sent

    def service(self) -> None:
        """In a thread of the pool, or in the loop's."""
        self.server.connections.serving.channel = self
        self.has_answered = True
        super().service()
        self.waiting_since = time.monotonic()
        self.server.connections.release(self)
        self.server.connections.answered += 1

    def answer_at_once(self) -> None:
        """In the loop's thread, which sends what it can of the answer."""
        self.service()
        if self.connected:
            readwrite(self, select.POLLOUT)

    def del_channel(self, map: dict[int, dispatcher] | None = None) -> None:  # noqa: A002
        super().del_channel(map)
        self.server.connections.release(self)
        self.server.connections.closed(self)

    def is_late(self, now: float, deadlines: Deadlines) -> bool:
        """`now` by time.monotonic."""
        if self.total_outbufs_len:
            self.waiting_since = now  # the pause begins when all is sent
            return self._reads_too_slowly(now, deadlines.send_s)
        self._mark = None
        if self.is_busy:
            self.waiting_since = now
            return False
        if self.request is None:
            allowed_s = deadlines.idle_s if self.has_answered else deadlines.headers_s
        else:
            allowed_s = deadlines.body_s if self.request.headers_finished else deadlines.headers_s
        return now - self.waiting_since > allowed_s

    def _reads_too_slowly(self, now: float, send_s: float) -> bool:
        if self._mark is None:
            self._mark = (now, self._sent)
        since, sent_then = self._mark
        if now - since < send_s:
            return False
        self._mark = (now, self._sent)
        return self._sent - sent_then < send_s * SLOWEST_READER_BYTES_PER_S
