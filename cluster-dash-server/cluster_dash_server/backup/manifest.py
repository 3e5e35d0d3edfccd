"""What a backup holds: each file with its rows, length and checksum, in `manifest.json`, which is written last."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

NAME = "manifest.json"
VERSION = 1
PIECE_BYTES = 2**20


class NotWhole(Exception):
    """A backup that must not be used; the text says why."""


class Stored(msgspec.Struct, frozen=True):
    """A file of the backup."""

    path: str
    """Within the backup's folder."""
    bytes: int
    sha256: str
    rows: int | None = None
    """None: it is no table's."""
    table: str = ""
    columns: tuple[str, ...] = ()
    day: str = ""
    """UTC; of a table without time nothing."""


class Manifest(msgspec.Struct, frozen=True):
    version: int
    made_at: str
    made_from: str
    server: str
    """The version of cluster-dash."""
    files: tuple[Stored, ...]

    @property
    def tables(self) -> list[str]:
        return sorted({file.table for file in self.files if file.table})

    @property
    def rows(self) -> int:
        return sum(file.rows or 0 for file in self.files)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def write_file(path: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
    """Its length and SHA-256, once it is on disk. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    checksum, length = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        for piece in pieces:
            file.write(piece)
            checksum.update(piece)
            length += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return length, checksum.hexdigest()


def rows_of(path: Path) -> int:
    """Of a Parquet file, which ends in their number. Raises NotWhole."""
    import pyarrow.parquet  # only a command needs it, and not each

    parquet: Any = pyarrow.parquet
    try:
        return parquet.read_metadata(path).num_rows
    except (OSError, ValueError) as error:
        raise NotWhole(f"{path} is no whole Parquet file ({error})") from None


def read_manifest(folder: Path) -> Manifest:
    """Of a backup, of which each file is held against it. Raises NotWhole."""
    try:
        manifest = msgspec.json.decode((folder / NAME).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise NotWhole(f"{folder} is no backup, or one that was broken off: it has no {NAME}") from None
    except OSError as error:
        raise NotWhole(f"{folder / NAME} can't be read ({error.strerror})") from None
    except msgspec.DecodeError as error:
        raise NotWhole(f"{folder / NAME} can't be read ({error})") from None
    if manifest.version != VERSION:
        raise NotWhole(f"{folder} is a backup of version {manifest.version}; this command knows {VERSION}")
    for file in manifest.files:
        _check(folder, file)
    return manifest


def read_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(PIECE_BYTES), b"")


def _check(folder: Path, file: Stored) -> None:
    path = folder / file.path
    if Path(file.path).is_absolute() or ".." in Path(file.path).parts or "\0" in file.path:
        raise NotWhole(f"{folder / NAME} names {file.path!a}, which is no file of the backup")
    checksum, length = hashlib.sha256(), 0
    try:
        for piece in read_pieces(path):
            checksum.update(piece)
            length += len(piece)
    except OSError as error:
        raise NotWhole(f"{path} can't be read ({error.strerror})") from None
    if (length, checksum.hexdigest()) != (file.bytes, file.sha256):
        raise NotWhole(f"{path} is damaged: it isn't what the backup wrote")
