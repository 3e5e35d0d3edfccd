"""Takes a number of seconds, gives requests a limit for a whole exchange, which its own timeout isn't.

That one counts anew with every byte, so a server that sends a byte now and then would hold a sender for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator

    from urllib3.connection import HTTPConnection as _Connection
else:
    _Connection = object  # in use each is mixed into urllib3's plain connection or its TLS one


class Deadline:
    """Cuts the connections that are noted while it runs."""

    def __init__(self) -> None:
        self.has_passed = False
        self._connection: socket.socket | None = None
        self._owner: _Connection | None = None

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

    def note(self, connection: socket.socket, owner: _Connection) -> None:
        """From now on it is `connection` that gets cut, and its owner that is hung up."""
        self._connection, self._owner = connection, owner
        if self.has_passed:
            self._cut()

    def hang_up(self) -> None:
        """Close the newest connection, if there is one. Its owner can connect again."""
        if self._owner is not None:
            self._owner.close()
        self._connection = self._owner = None

    def _cut(self) -> None:
        self.has_passed = True
        if self._connection is not None:
            with contextlib.suppress(OSError):
                # The plain socket's: that of a TLS one would wait for the reader that it shall wake.
                socket.socket.shutdown(self._connection, socket.SHUT_RDWR)


class DeadlineAdapter(HTTPAdapter):
    """requests' own way to one server, with each connection noted, and with one TLS context for all of them.

    requests itself loads the public certificates anew for each connection, which takes ten times as long as all the
    rest of a post, and looks for the way to the server at each request, which takes a quarter of that rest.
    """

    def __init__(self, deadline: Deadline, tls: ssl.SSLContext | None = None) -> None:
        self._deadline = deadline
        self._tls = tls
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
        self._deadline.hang_up()

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
    """Let each connection of a urllib3 manager tell the deadline its socket, first plain, then within TLS."""
    for scheme, pool in manager.pool_classes_by_scheme.items():
        if not hasattr(pool.ConnectionCls, "deadline"):
            noting = type(pool.ConnectionCls.__name__, (_Noting, pool.ConnectionCls), {"deadline": deadline})
            noting_pool = type(pool.__name__, (pool,), {"ConnectionCls": noting})
            manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, scheme: noting_pool}


class _Noting(_Connection):
    deadline: Deadline

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        self.deadline.note(connection, self)
        return connection

    def connect(self) -> None:
        super().connect()
        if self.sock is not None:
            self.deadline.note(self.sock, self)
