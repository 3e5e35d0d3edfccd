"""Takes a number of seconds, gives requests a limit for a whole exchange, which its own timeout isn't.

That one counts anew with every byte, so a server that sends a byte now and then would hold a sender for ever. Nor does
anything below it limit the headers of an answer as a whole: they could be 6 MB, and ten times that in memory.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Generator

    from urllib3.connection import HTTPConnection as _Connection
else:
    _Connection = object  # in use each is mixed into urllib3's plain connection or its TLS one

_MOST_HEADER_BYTES = 65536


class Deadline:
    """Cuts the connections that are noted while it runs."""

    def __init__(self) -> None:
        self.has_passed = False
        self._connection: socket.socket | None = None

    @contextlib.contextmanager
    def running(self, seconds: float) -> Generator[None]:
        """Within this block the connection lives so many seconds at most."""
        self.has_passed = False
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def note(self, connection: socket.socket) -> None:
        """From now on it is `connection` that gets cut."""
        self._connection = connection
        if self.has_passed:
            self._cut()

    def _cut(self) -> None:
        self.has_passed = True
        if self._connection is not None:
            with contextlib.suppress(OSError):
                # The plain socket's: that of a TLS one would wait for the reader that it shall wake.
                socket.socket.shutdown(self._connection, socket.SHUT_RDWR)


class DeadlineAdapter(HTTPAdapter):
    """requests' own way to a server, with each connection noted, and with one TLS context for all of them.

    requests itself loads the public certificates anew for each connection, which takes ten times as long as all the
    rest of a post.
    """

    def __init__(self, deadline: Deadline, tls: ssl.SSLContext | None = None) -> None:
        self._deadline = deadline
        self._tls = tls
        if tls:
            tls.sslsocket_class = type("NotingSSLSocket", (_NotingTls,), {"deadline": deadline})
        super().__init__()

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
    """Let each connection of a urllib3 manager tell the deadline its socket, first plain, then within TLS."""
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


class _NotingTls(ssl.SSLSocket):
    deadline: Deadline

    def do_handshake(self, block: bool = False) -> None:
        self.deadline.note(self)  # by now the plain socket is an empty shell
        super().do_handshake(block)


class _Noting(_Connection):
    deadline: Deadline
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        self.deadline.note(connection)
        return connection

    def connect(self) -> None:
        super().connect()
        if isinstance(self.sock, socket.socket):  # TLS within TLS, through an https proxy, is none
            self.deadline.note(self.sock)
