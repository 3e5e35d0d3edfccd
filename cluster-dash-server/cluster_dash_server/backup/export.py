"""Takes a link to a store and what is asked for, writes its points into one Parquet file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..points import NO_DEVICE
from .link import Link
from .make import InTheWay, sync_folder
from .manifest import rows_of, write_file

COLUMNS = (
    "event_time",
    "run_id",
    "host",
    "rank",
    f"nullIf(device, {NO_DEVICE}) AS device",
    "step",
    "metric",
    "value",
    "unit",
    "tags_json",
)
ORDER = "run_id, metric, host, rank, device, step, event_time"
"""As the table's key begins, so that nothing is sorted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """None in `hosts` or `metrics`: all."""

    start_s: float
    end_s: float
    hosts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def export_points(link: Link, file: Path, wanted: Wanted) -> int:
    """How many, each once, series by series. Raises InTheWay, StoreAway, NotWhole, OSError."""
    if file.exists() or file.is_symlink():
        raise InTheWay(f"{file} is there already: name one that isn't")
    link.carry()
    where = [
        "event_time >= fromUnixTimestamp64Milli({start:Int64})",
        "event_time < fromUnixTimestamp64Milli({end:Int64})",
    ]
    parameters: dict[str, object] = {"start": int(wanted.start_s * 1000), "end": int(wanted.end_s * 1000)}
    for column, names in (("host", wanted.hosts), ("metric", wanted.metrics)):
        if names:
            where.append(f"{column} IN {{{column}:Array(String)}}")
            parameters[column] = list(names)
    points = f"SELECT * FROM {{points}} WHERE {' AND '.join(where)} ORDER BY {ORDER}"  # noqa: S608
    sql = f"SELECT {', '.join(COLUMNS)} FROM ({points})"  # noqa: S608
    partial = file.with_name(f"{file.name}.partial-{os.getpid()}")
    try:
        write_file(partial, link.read(sql, parameters))
        rows = rows_of(partial)
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(file.parent)
    return rows
