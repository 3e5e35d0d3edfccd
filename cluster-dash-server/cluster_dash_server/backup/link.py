"""Takes the settings, gives the way to what is kept: by the running server, or where none runs by opening it."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

from ..config import Config, ConfigError
from ..store import StoreAway
from ..store.opening import folder_of, open_store
from . import pieces
from .control import NAME, address

AGAIN = "; what a host has posted is safe, and this can be tried again"


class Unreachable(Exception):
    """What is kept can't be reached; the text says why, and what to do."""


class Link(Protocol):
    """See `store.transfer.Transfer`. Everything raises StoreAway."""

    @property
    def database(self) -> str: ...

    @property
    def shown(self) -> str: ...

    def carry(self) -> None: ...

    def ask(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]: ...

    def read(self, sql: str, parameters: dict[str, Any]) -> Iterator[bytes]: ...

    def write(self, table: str, columns: list[str], coming: Iterable[bytes]) -> None: ...


class Running:
    """A server that runs, by its socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")
        about = self._asked("about")
        self.database: str = about["database"]
        self.shown: str = about["shown"]

    def carry(self) -> None:
        self._asked("carry")

    def look_for_hosts(self) -> None:
        self._asked("look_for_hosts")

    def ask(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return self._asked("ask", sql=sql, parameters=parameters)

    def read(self, sql: str, parameters: dict[str, Any]) -> Iterator[bytes]:
        self._send(do="read", sql=sql, parameters=parameters)
        with _gone():
            yield from pieces.receive(self._stream)

    def write(self, table: str, columns: list[str], coming: Iterable[bytes]) -> None:
        self._send(do="write", table=table, columns=columns)
        with _gone():
            pieces.send(self._stream, coming)
        self._answer()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()

    def _asked(self, do: str, **words: Any) -> Any:
        self._send(do=do, **words)
        return self._answer()

    def _send(self, **asked: Any) -> None:
        with _gone():
            self._stream.write(orjson.dumps(asked) + b"\n")
            self._stream.flush()

    def _answer(self) -> Any:
        with _gone():
            line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise StoreAway(pieces.GONE)
        answer = orjson.loads(line)
        if "error" in answer:
            raise StoreAway(answer["error"])
        return answer["answer"]


@contextlib.contextmanager
def _gone() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StoreAway(error.strerror or pieces.GONE) from None


@contextlib.contextmanager
def open_link(config: Config, state_folder: Path, *, makes: bool = False) -> Generator[Link]:
    """`makes`: where nothing is kept yet, begins it. Raises Unreachable."""
    try:
        folder = folder_of(config.store, state_folder)
    except ConfigError as error:
        raise Unreachable(str(error)) from None
    if folder is None:
        raise Unreachable("this server keeps no history: [store] url is none")
    if connection := _connect(folder):
        with connection, contextlib.closing(Running(connection)) as running:
            yield running
        return
    if not makes and not (folder / "journal").exists():
        raise Unreachable(
            f"no server runs on {folder}, and no history is in it. If it is elsewhere, name it as for the server: by "
            "STATE_DIRECTORY=/the/folder or CLUSTER_DASH_STORE_URL"
        )
    with _opened(config, folder, state_folder) as link:
        yield link


def _connect(folder: Path) -> socket.socket | None:
    """None where no server runs on it. Raises Unreachable."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            connection.connect(address(opened))
        finally:
            os.close(opened)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise Unreachable(f"{folder / NAME}: {error.strerror}; {_whose(folder)}") from None
    return connection


def _whose(folder: Path) -> str:
    try:
        owner = folder.stat().st_uid
        name = pwd.getpwuid(owner).pw_name
    except (OSError, KeyError):
        return "run this as root, or as the user that the server runs as"
    return f"run this as {name}, or as root while the server runs"


@contextlib.contextmanager
def _opened(config: Config, folder: Path, state_folder: Path) -> Generator[Link]:
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        # What this user would write there, the server couldn't read.
        raise Unreachable(
            f"no server runs on {folder}, which belongs to another user: start the server, or {_whose(folder)}"
        )
    try:
        store = open_store(config.store, state_folder, time.monotonic, time.time)
    except ConfigError as error:
        raise Unreachable(str(error)) from None
    assert store is not None  # noqa: S101  # the folder above is its
    try:
        store.step(lambda _post, _received_s, _numbers: None)
        with contextlib.closing(store.transfer()) as transfer:
            yield transfer
    finally:
        store.close()
