"""Takes a link to a store, writes a backup: Parquet files, the server's own small files, and a manifest.

All that was acknowledged before it began is in it. It has another name until it is whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import msgspec

from ..store.tables import DUE, LATE, POINTS, UNTIL
from .link import Link
from .manifest import NAME, VERSION, Manifest, Stored, read_pieces, rows_of, write_file
from .tables import Table, read_days, read_tables

SETTINGS = "settings"
Say = Callable[[str], None]


class InTheWay(Exception):
    """Something is where the backup should be."""


def make_backup(link: Link, folder: Path, settings: list[Path], made_at: str, server: str, say: Say) -> Manifest:
    """`settings`: files of the server, those that are there. Raises InTheWay, StoreAway, NoTable, NotWhole, OSError."""
    with new_folder(folder) as partial:
        link.carry()
        files: list[Stored] = []
        for table in sorted(read_tables(link), key=_place):
            for day in read_days(link, table) if table.time else [""]:
                file = _copy(link, table, day, partial)
                say(f"{file.path}: {file.rows:,} rows")
                files.append(file)
        for path in settings:
            if path.is_file():
                name = f"{SETTINGS}/{path.name}"
                files.append(Stored(name, *write_file(partial / name, read_pieces(path))))
                say(name)
        manifest = Manifest(VERSION, made_at, link.shown, server, tuple(files))
        write_file(partial / NAME, [msgspec.json.format(msgspec.json.encode(manifest))])
    return manifest


@contextlib.contextmanager
def new_folder(folder: Path) -> Generator[Path]:
    """One which becomes it once all is done, else is removed. Raises InTheWay, OSError."""
    _check_free(folder)
    # One that is there may be a mount, or the only place where this user may write.
    is_there = folder.exists()
    partial = (
        folder / f"partial-{os.getpid()}" if is_there else folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    )
    partial.mkdir(mode=0o700, parents=True)
    try:
        yield partial
        if is_there:
            _check_free(folder, but_for=partial)
            _move_up(partial)
        else:
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(folder if is_there else folder.parent)


def _check_free(folder: Path, but_for: Path | None = None) -> None:
    """Raises InTheWay."""
    if not folder.is_symlink() and (not folder.exists() or (folder.is_dir() and not {*folder.iterdir()} - {but_for})):
        return
    raise InTheWay(f"{folder} is there already: name one that isn't, or an empty folder")


def _move_up(partial: Path) -> None:
    """What is in it; the manifest once the rest is there."""
    folder = partial.parent
    for path in partial.iterdir():
        if path.name != NAME:
            path.rename(folder / path.name)
    sync_folder(folder)
    (partial / NAME).rename(folder / NAME)
    partial.rmdir()


def sync_folder(folder: Path) -> None:
    """Without it a name in it may be gone after a power cut."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _place(table: Table) -> int:
    """What is up to when rolled up is told of a time before the points, which minutes are due of a time after them: so
    a point that is no bucket's yet will be one's.
    """
    return {UNTIL: 0, POINTS: 1, LATE: 2, DUE: 3}.get(table.name, 4)


def _copy(link: Link, table: Table, day: str, folder: Path) -> Stored:
    path = f"{table.name}/{day or 'all'}.parquet"
    where = f" WHERE {table.of_day}" if day else ""
    sql = f"SELECT {', '.join(table.columns)} FROM {table.full_name}{where}"  # noqa: S608
    length, checksum = write_file(folder / path, link.read(sql, {"day": day} if day else {}))
    return Stored(path, length, checksum, rows_of(folder / path), table.name, table.columns, day)
