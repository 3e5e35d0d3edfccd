"""Takes questions to ClickHouse, gives their answers as Parquet of any size, and inserts such files: for backups and
exports, beside all else that goes on.

A server sends and takes it in pieces. The engine within this process does so by files only, so one stands between.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from . import StoreAway
from .tables import each_row_once
from .target import Client, Target
from .wording import worded

SCRATCH = "transfer"
PIECE_BYTES = 2**20
MARK = "/* cluster-dash transfer */"
"""By which its work is known to ClickHouse."""
# One core at most, so that posts go on; small groups of rows are what bounds the memory.
READING = {
    "max_threads": 1,
    "output_format_parquet_compression_method": "zstd",
    "output_format_parquet_parallel_encoding": 0,
    "output_format_parquet_row_group_size": 100_000,
}
WRITING = {"max_threads": 1, "max_insert_threads": 1}


class Transfer:
    """Of one thread. To be closed."""

    def __init__(self, target: Target, folder: Path, carry: Callable[[], None]) -> None:
        self._target, self._folder, self._carry = target, folder, carry
        self._opened: Client | None = None

    @property
    def database(self) -> str:
        return self._target.database

    @property
    def shown(self) -> str:
        """Where the history is, without a password."""
        return self._target.shown

    def carry(self) -> None:
        """All that was acknowledged up to now is in the tables then. Raises StoreAway."""
        self._carry()

    def ask(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """Few rows. Raises StoreAway."""
        with _worded():
            return self._client().query_arrow(sql, parameters).to_pylist()

    def read(self, sql: str, parameters: dict[str, Any]) -> Iterator[bytes]:
        """The answer as a Parquet file, in pieces; `{points}` in the SQL stands for `metric_points` with each row once.
        Raises StoreAway.
        """
        with _worded():
            if "{points}" in sql:
                sql = sql.replace("{points}", each_row_once(self._client(), self.database))
            if self._target.folder is None:
                with contextlib.closing(self._client().raw_stream(sql, parameters, READING, "Parquet")) as stream:
                    yield from iter(lambda: stream.read(PIECE_BYTES), b"")
                return
            with self._scratch() as file:
                settings = ", ".join(f"{name} = '{value}'" for name, value in READING.items())
                self._client().command(
                    f"{MARK} INSERT INTO FUNCTION file('{file}', 'Parquet') {sql} SETTINGS {settings}", parameters
                )
                with file.open("rb") as stream:
                    yield from iter(lambda: stream.read(PIECE_BYTES), b"")

    def write(self, table: str, columns: list[str], coming: Iterable[bytes]) -> None:
        """The rows of a Parquet file that comes in pieces. Raises StoreAway."""
        with _worded(), self._scratch() as file:
            with file.open("wb") as stream:
                for piece in coming:
                    stream.write(piece)
            if self._target.folder is None:
                with file.open("rb") as stream:
                    self._client().raw_insert(table, columns, stream, WRITING, "Parquet")
                return
            names, settings = ", ".join(columns), ", ".join(f"{name} = {value}" for name, value in WRITING.items())
            self._client().command(
                f"{MARK} INSERT INTO {table} ({names}) "  # noqa: S608  # no outsider's text
                f"SELECT {names} FROM file('{file}', 'Parquet') SETTINGS {settings}"
            )

    def cancel(self) -> None:
        """What another thread has it do now, so that the process can end."""
        if self._target.folder and self._opened is not None:
            with contextlib.suppress(ClickHouseError), contextlib.closing(self._target.connect()) as client:
                client.command(f"KILL QUERY WHERE startsWith(query, '{MARK}') ASYNC")

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _client(self) -> Client:
        if self._opened is None:
            self._opened = self._target.connect()
        return self._opened

    @contextlib.contextmanager
    def _scratch(self) -> Generator[Path]:
        """A name for a file that is gone afterwards; one that any SQL can hold, whatever the folder is called."""
        folder = self._folder / SCRATCH
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        file = Path(f"/proc/self/fd/{opened}/part.parquet")
        try:
            file.unlink(missing_ok=True)  # of a process that was killed
            yield file
        finally:
            file.unlink(missing_ok=True)
            os.close(opened)


@contextlib.contextmanager
def _worded() -> Generator[None]:
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        raise StoreAway(worded(error)) from None
