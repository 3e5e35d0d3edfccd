"""Takes a number of seconds, gives requests a limit for a whole exchange, which its own timeout isn't.

That one counts anew with every byte, so a server that sends a byte now and then would hold a sender for ever. Nor does
anything below it limit the headers of an answer as a whole: they could be 6 MB, and ten times that in memory.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Generator

    from urllib3.connection import HTTPConnection as _Connection
else:
    _Connection = object  # in use each is mixed into urllib3's plain connection or its TLS one


_MOST_HEADER_BYTES = 65536


class Deadline:
    """The end of the exchange that runs, and its connection."""

    def __init__(self) -> None:
        self.connection: _Connection | None = None
        self._until = 0.0

    @contextlib.contextmanager
    def running(self, seconds: float) -> Generator[None]:
        """Within this block the sockets wait so many seconds at most, all of them together."""
        self._until = time.monotonic() + seconds
        yield

    @property
    def has_passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._until

    def left(self) -> float:
        """Seconds until it has passed; then socket.timeout, as from a socket."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left


class _Timed(socket.socket):
    """A socket of which each call may take what is left of the whole exchange's time.

    A thread that cuts the connection in time would do too, but takes a tenth of a post's CPU.
    """

    deadline: Deadline

    def recv(self, *args: Any) -> bytes:
        self.settimeout(self.deadline.left())
        return super().recv(*args)

    def recv_into(self, *args: Any) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.settimeout(self.deadline.left())
        return super().recv_into(*args)

    def send(self, *args: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().send(*args)

    def sendall(self, *args: Any) -> None:
        self.settimeout(self.deadline.left())
        super().sendall(*args)


class _TimedTls(_Timed, ssl.SSLSocket):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The same within TLS."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(self.deadline.left())
        super().do_handshake(block)


class DeadlineAdapter(HTTPAdapter):
    """requests' own way to one server, with the deadline in each connection, and with one TLS context for all of them.

    requests itself loads the public certificates anew for each connection, which takes ten times as long as all the
    rest of a post, and looks for the way to the server at each request, which takes a quarter of that rest.
    """

    def __init__(self, deadline: Deadline, tls: ssl.SSLContext | None = None) -> None:
        self._deadline = deadline
        self._tls = tls
        if tls:
            tls.sslsocket_class = type("Tls", (_TimedTls,), {"deadline": deadline})
        self._pool: Any = None
        super().__init__(pool_connections=1, pool_maxsize=1)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Called for each request. All go to one address by one way, so it is found once."""
        if self._pool is None:
            base: Any = super()
            self._pool = base.get_connection_with_tls_context(*args, **kwargs)
        return self._pool

    def hang_up(self) -> None:
        """Close the connection; else the pool keeps its descriptor until the next request."""
        if self._deadline.connection is not None:
            self._deadline.connection.close()
            self._deadline.connection = None

    def close(self) -> None:
        """Let go of all."""
        self._pool = None
        super().close()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Called once, by the base class."""
        super().init_poolmanager(*args, **kwargs)
        note_connections(self.poolmanager, self._deadline)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> tuple[Any, Any]:
        """Called for each request."""
        base: Any = super()
        host, pool = base.build_connection_pool_key_attributes(request, verify, cert)
        return (host, {"ssl_context": self._tls}) if host["scheme"] == "https" and self._tls else (host, pool)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Called for each request, to set what the context holds already."""
        if self._tls is None:
            base: Any = super()
            base.cert_verify(conn, url, verify, cert)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Called for each request through a proxy."""
        manager: Any = super().proxy_manager_for(*args, **kwargs)
        note_connections(manager, self._deadline)
        return manager


def note_connections(manager: Any, deadline: Deadline) -> None:
    """Let each connection of a urllib3 manager be known to the deadline, and its sockets know it."""
    for scheme, pool in manager.pool_classes_by_scheme.items():
        if not hasattr(pool.ConnectionCls, "deadline"):
            noting = type(pool.ConnectionCls.__name__, (_Noting, pool.ConnectionCls), {"deadline": deadline})
            noting_pool = type(pool.__name__, (pool,), {"ConnectionCls": noting})
            manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, scheme: noting_pool}


class _Head:
    """What an answer is read from until its headers end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._left = _MOST_HEADER_BYTES

    def readline(self, most: int) -> bytes:
        line = self._stream.readline(most)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException(f"got more than {_MOST_HEADER_BYTES} bytes of headers")
        return line

    def close(self) -> None:
        self._stream.close()


class _Answer(http.client.HTTPResponse):
    def begin(self) -> None:
        stream: Any = self.fp
        head: Any = _Head(stream)
        self.fp = head
        try:
            super().begin()
        finally:
            if self.fp is head:  # else it is closed
                self.fp = stream


class _Noting(_Connection):
    deadline: Deadline
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        timed = _Timed(plain.family, plain.type, plain.proto, plain.detach())
        timed.deadline, self.deadline.connection = self.deadline, self
        timed.settimeout(self.deadline.left())  # for the start of TLS
        return timed
