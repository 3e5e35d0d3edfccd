"""Takes a store of this process's own that is damaged, sets aside what can't be used, and says where that is.

ClickHouse itself leaves out at its start a part (a folder of files) that isn't whole. Damage within a file it finds on
reading, and then each question that needs this part fails, until the part is gone. With damaged metadata it doesn't
start at all.
"""

from __future__ import annotations

import fcntl
import re
from pathlib import Path
from typing import NamedTuple

from .target import NAME, Client

FOLDER = "damaged"
"""Beside ClickHouse's, where the parts go."""
NOT_OPENED = "Unable to open the chdb engine"
_PART = re.compile(r"from part \S*/(?P<part>[\w-]+)/ in table (?P<database>\w+)\.(?P<table>\w+) ")
_DAMAGED = (32, 33, 39, 40, 74, 107, 117, 246, 271, 432)
"""Its files end too early, have another checksum, can't be unpacked, can't be read by the disk, or are gone."""
_CODE = re.compile(rf"Code: (?:{'|'.join(map(str, _DAMAGED))})\b")
PARTS_TO_TELL = 1000
"""Of a partition, that aren't merged: from then on ClickHouse slows inserts down, and at three times as many it refuses
them.
"""
_MERGE = "::"
"""In what ClickHouse calls a merge: its table's id, this, the part that it makes."""
_WITH_FOLDERS = ("tables", "databases", "dropped_tables")


class Part(NamedTuple):
    table: str
    """With its database."""
    name: str


def part_in(error: Exception) -> Part | None:
    """The damaged one that a question failed for."""
    text = str(error)
    return _part_named(text) if _CODE.search(text) else None


def _part_named(text: str) -> Part | None:
    found = _PART.search(text)
    if found is None or not (NAME.fullmatch(found["database"]) and NAME.fullmatch(found["table"])):
        return None
    return Part(f"{found['database']}.{found['table']}", found["part"])


def detach(client: Client, part: Part) -> None:
    """It is in no answer any more. Raises clickhouse_connect's errors."""
    client.command(f"ALTER TABLE {part.table} DETACH PART '{part.name}'")


def move_detached(client: Client, folder: Path, wall_s: float, part: Part | None = None) -> list[Path]:
    """Those that ClickHouse left out at its start, or this one, so that they are told of once: where they are now.
    Raises clickhouse_connect's errors, OSError.
    """
    which = f"name = '{part.name}'" if part else "reason LIKE 'broken%'"
    rows = client.query_arrow(f"SELECT name, path FROM system.detached_parts WHERE {which}", {}).to_pylist()  # noqa: S608  # names of ClickHouse's
    moved: list[Path] = []
    for row in rows:
        aside = folder / FOLDER / f"{row['name']}-{int(wall_s)}"
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        moved.append(Path(row["path"]).rename(aside))
    return moved


class Failures(NamedTuple):
    """Of merges in the background."""

    parts: list[Part]
    """That are damaged."""
    others: list[str]
    """Errors that name no part; the first question that reads it tells."""


def failed_merges(client: Client) -> Failures:
    """Which nobody is told of but who asks. Raises clickhouse_connect's errors."""
    sql = f"SELECT last_error_message AS text, query_id AS id FROM system.errors WHERE code IN {_DAMAGED}"  # noqa: S608
    errors = client.query_arrow(sql, {}).to_pylist()
    named = {part for each in errors if (part := _part_named(each["text"]))}
    others = [each["text"] for each in errors if _MERGE in each["id"] and not _part_named(each["text"])]
    sql = "SELECT database || '.' || table AS t, name FROM system.parts WHERE active"
    there = {Part(each["t"], each["name"]) for each in client.query_arrow(sql, {}).to_pylist()}
    return Failures(sorted(named & there), others)


def too_many_parts(client: Client, database: str) -> str | None:
    """What a person should know where merges don't keep up. Raises clickhouse_connect's errors."""
    rows = client.query_arrow(
        """SELECT table, count() AS parts FROM system.parts WHERE active AND database = {database:String}
        GROUP BY table, partition_id ORDER BY parts DESC LIMIT 1""",
        {"database": database},
    ).to_pylist()
    if not rows or rows[0]["parts"] < PARTS_TO_TELL:
        return None
    return (
        f"ClickHouse merges too little: {rows[0]['parts']} parts of {rows[0]['table']} wait, which slows it down. It "
        "needs room on the disk for what it merges, and time."
    )


def move_orphans(client: Client, clickhouse: Path, wall_s: float) -> list[Path]:
    """What tables held of which ClickHouse knows nothing any more; where it is now. ClickHouse itself would remove it
    some day. Raises clickhouse_connect's errors, OSError.
    """
    there = [path for path in (clickhouse / "store").glob("???/*") if any(path.iterdir())]
    sql = " UNION ALL ".join(f"SELECT toString(uuid) AS id FROM system.{name}" for name in _WITH_FOLDERS)  # noqa: S608
    known = {row["id"] for row in client.query_arrow(sql, {}).to_pylist()}
    moved: list[Path] = []
    for path in there:
        if path.name not in known:
            aside = clickhouse.with_name(FOLDER) / f"table-{path.name}-{int(wall_s)}"
            aside.parent.mkdir(mode=0o700, exist_ok=True)
            moved.append(path.rename(aside))
    return moved


def move_all(clickhouse: Path, wall_s: float) -> Path | None:
    """ClickHouse's whole folder; where it is now. None: another program has it. Raises OSError."""
    status = clickhouse / "status"
    if status.is_file():
        with status.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return None
    return clickhouse.rename(clickhouse.with_name(f"{clickhouse.name}.damaged-{int(wall_s)}"))
