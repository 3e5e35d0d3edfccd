"""Takes a backup that was held against its manifest, puts its rows into a store. Doing it again does no harm: a row
that is there already is the same row.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from ..store.tables import AGAIN, DONE, LATE, POINTS, UNTIL
from .link import Link
from .make import SETTINGS, sync_folder
from .manifest import Manifest, NotWhole, Stored, read_pieces, write_file
from .tables import Table, read_tables

PARQUET: Any = pyarrow.parquet  # it has no types
Say = Callable[[str], None]


class DoesNotFit(Exception):
    """The store can't take this backup; nothing was written. The text says why."""


def restore_backup(link: Link, folder: Path, manifest: Manifest, say: Say) -> None:
    """Raises DoesNotFit, NotWhole, StoreAway, NoTable, OSError."""
    link.carry()
    tables = {table.name: table for table in read_tables(link)}
    files = [file for file in manifest.files if file.table]
    for file in files:
        _check(link, tables.get(file.table), file)
    again: list[int] = []
    """From when on minutes are to be made anew, Unix seconds."""
    for file in files:
        table = tables[file.table]
        if file.table == UNTIL:
            again += _rolled_up_until(folder / file.path)
            continue
        before = _points_of_day(link, table, file)
        link.write(table.full_name, list(file.columns), read_pieces(folder / file.path))
        if before and _points_of_day(link, table, file) > before:
            again.append(int(datetime.fromisoformat(file.day).replace(tzinfo=UTC).timestamp()))
        say(f"{file.path}: {file.rows:,} rows")
    if again:  # once all is there
        _roll_up_again(link, tables[UNTIL], min(again))


def _points_of_day(link: Link, table: Table, file: Stored) -> int:
    """0 for other tables: buckets of minutes that had no points before are those of the backup."""
    if table.name not in (POINTS, LATE) or not file.day:
        return 0
    once = " FINAL" if table.merges_repeated_rows else ""
    sql = f"SELECT toUInt64(count()) AS n FROM {table.full_name}{once} WHERE {table.of_day}"  # noqa: S608
    return link.ask(sql, {"day": file.day})[0]["n"]


def _rolled_up_until(path: Path) -> list[int]:
    """Of the server that the backup is of. Raises NotWhole."""
    try:
        rows = PARQUET.read_table(path, columns=["id", "minute"]).to_pylist()
        told = [int(row["minute"].timestamp()) for row in rows if row["id"] in (DONE, AGAIN)]
    except (ValueError, LookupError, AttributeError) as error:
        raise NotWhole(f"{path} isn't what a backup has as {UNTIL} ({error})") from None
    return [each for each in told if each]


def _roll_up_again(link: Link, table: Table, from_s: int) -> None:
    written = io.BytesIO()
    minute = pa.array([from_s], pa.timestamp("s", tz="UTC"))
    PARQUET.write_table(pa.table({"id": pa.array([AGAIN]), "minute": minute}), written)
    link.write(table.full_name, ["id", "minute"], [written.getvalue()])


def restore_settings(folder: Path, manifest: Manifest, places: dict[str, Path], say: Say) -> None:
    """Those of the server's own files that aren't there; `places` says by name where. Raises OSError."""
    for file in manifest.files:
        place = places.get(Path(file.path).name)
        if file.table or place is None or Path(file.path).parent != Path(SETTINGS):
            continue
        if not place.exists():
            _put(folder / file.path, place)
            say(f"{place}: put back")
        elif place.read_bytes() != (folder / file.path).read_bytes():
            say(f"{place}: stays as it is, the backup has another")


def _check(link: Link, table: Table | None, file: Stored) -> None:
    if table is None:
        raise DoesNotFit(f"{link.shown} has no table {file.table}: the backup is of another version of cluster-dash")
    if strange := set(file.columns) - set(table.columns):
        raise DoesNotFit(f"{table.full_name} has no column {min(strange)}: it isn't the table that the backup has")
    if table.merges_repeated_rows or not file.rows:
        return
    where = f" WHERE {table.of_day}" if file.day and table.time else ""
    found = link.ask(
        f"SELECT toUInt64(count()) AS n FROM {table.full_name}{where}",  # noqa: S608
        {"day": file.day} if where else {},
    )
    if found[0]["n"]:
        raise DoesNotFit(
            f"{table.full_name} keeps a row twice that comes twice, and has rows of {file.day or 'its own'}: restore "
            "into a store that has none of them"
        )


def _put(source: Path, place: Path) -> None:
    """As a whole, and as the folder's owner's, whoever runs this."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = place.with_name(f"{place.name}.{os.getpid()}.new")
    try:
        write_file(new, read_pieces(source))
        owner = place.parent.stat()
        if os.geteuid() == 0:
            os.chown(new, owner.st_uid, owner.st_gid)
        new.rename(place)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(place.parent)
