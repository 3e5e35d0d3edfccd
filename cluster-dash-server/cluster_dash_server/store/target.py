"""Takes `[store] url`, gives clients of ClickHouse: of the engine within this process, or of a server."""

from __future__ import annotations

import contextlib
import faulthandler
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from .ownership import CLICKHOUSE

if TYPE_CHECKING:
    import pyarrow as pa

DATABASE = "training_observability"
"""The seed's."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
TIMEOUT_S = 30
FORMS = (
    "must be chdb:///absolute/folder, http(s)://user:password@host:8123/database (in a password / ? # @ and % are "
    "written %2F %3F %23 %40 and %25), or none"
)


class Client(Protocol):
    """What is used of clickhouse_connect's. Every call raises its errors."""

    def command(self, cmd: str, parameters: dict[str, Any] | None = None) -> object: ...

    def insert_arrow(self, table: str, arrow_table: pa.Table, *, settings: dict[str, Any] | None = None) -> object: ...

    def query_arrow(self, query: str, parameters: dict[str, Any]) -> pa.Table: ...

    def raw_stream(self, query: str, parameters: dict[str, Any], settings: dict[str, Any], fmt: str) -> BinaryIO: ...

    def raw_insert(
        self, table: str, column_names: list[str], insert_block: BinaryIO, settings: dict[str, Any], fmt: str
    ) -> object: ...

    def close(self) -> None: ...


class StoreUrlError(ValueError):
    """The text says what is allowed, and holds no password."""


class Target(NamedTuple):
    """Where the history is."""

    database: str
    folder: Path | None
    """Where the engine within this process keeps its files; None where a server has the store."""
    options: dict[str, Any]
    """Of `clickhouse_connect.get_client`."""

    @property
    def shown(self) -> str:
        """Without the password."""
        if self.folder:
            return f"chdb://{self.folder}"
        return f"{self.options['interface']}://{self.options['host']}:{self.options['port']}/{self.database}"

    def __repr__(self) -> str:
        return f"Target({self.shown})"

    def connect(self) -> Client:
        """A client of its own for each thread: calls on one must not overlap. Raises clickhouse_connect's errors."""
        import clickhouse_connect  # where there is no store, it is never loaded

        get_client = clickhouse_connect.get_client
        if self.folder:
            folder = self.folder / CLICKHOUSE
            with contextlib.suppress(OSError):  # the engine says why, in its own error
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # `dsn` would take the folder's last part for the database's name.
            client = get_client(interface="chdb", path=str(folder))
            if faulthandler.is_enabled():  # the engine has put its own handlers over ours, and they hang
                faulthandler.disable()
                faulthandler.enable()
            return client
        return get_client(**self.options, connect_timeout=TIMEOUT_S, send_receive_timeout=TIMEOUT_S)


def target_of(url: str, state_folder: Path) -> Target | None:
    """None for `none`: nothing is kept. Empty: within this process, in the state folder. Raises StoreUrlError."""
    if url == "none":
        return None
    if not url:
        return Target(DATABASE, state_folder.absolute(), {})
    try:
        parts = urlsplit(url)
    except ValueError:
        raise StoreUrlError(FORMS) from None
    if not (parts.query or parts.fragment):  # else it was meant otherwise: they would be left out
        if parts.scheme == "chdb" and not parts.netloc and parts.path.startswith("/") and parts.path.strip("/"):
            return Target(DATABASE, Path(parts.path), {})
        if parts.scheme in ("http", "https") and parts.hostname:
            return _server(parts)
    raise StoreUrlError(FORMS)


def _server(parts: SplitResult) -> Target:
    database = parts.path.strip("/") or DATABASE
    if not NAME.fullmatch(database):
        raise StoreUrlError("must end in the database's name: letters, digits and _, no digit first")
    try:
        port = parts.port or (8443 if parts.scheme == "https" else 8123)
    except ValueError:
        raise StoreUrlError("must have a port between 1 and 65535") from None
    options = {
        "interface": parts.scheme,
        "host": f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname,  # as its URLs need it
        "port": port,
        "username": unquote(parts.username or "default"),
        "password": unquote(parts.password or ""),
    }
    return Target(database, None, options)
