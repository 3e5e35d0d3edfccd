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
_DAMAGED = re.compile(r"Code: (?:32|33|40|107|117|246|271)\b")
"""Its files end too early, have another checksum, can't be unpacked, or are gone."""


class Part(NamedTuple):
    table: str
    """With its database."""
    name: str


def part_in(error: Exception) -> Part | None:
    """The damaged one that a question failed for."""
    text = str(error)
    found = _PART.search(text) if _DAMAGED.search(text) else None
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
