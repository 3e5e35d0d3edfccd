"""Takes a selection of series and a range of time, gives their points from the store: raw, or by buckets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .store import Store

SHORTEST_BUCKET_S = 1
MOST_ROWS = 500_000
MOST_POINTS = 10_000


class TooMuch(Exception):
    """The text says what to ask for instead."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is empty or None selects everything."""

    metrics: tuple[str, ...]
    start_s: float
    """Unix seconds; included."""
    end_s: float
    """Not included."""
    host: str | None = None
    run_id: str | None = None
    device: int | None = None
    tags_json: str | None = None
    points: int | None = None
    """The most of a series; None: every single one."""


@dataclass(slots=True)
class Series:
    """Columns of one length, by time."""

    metric: str
    unit: str
    host: str
    run_id: str
    rank: int
    device: int | None
    tags_json: str
    time: list[float] = field(default_factory=list)
    """Unix seconds; of a bucket its start."""
    value: list[float] = field(default_factory=list)
    """Of a bucket the last."""
    min: list[float] = field(default_factory=list)
    max: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    """These four are empty where points are raw."""


KEY = "metric, host, run_id, rank, device, tags_json"
NO_DEVICE = 65535


def read_series(store: Store, wanted: Selection) -> tuple[list[Series], int]:
    """By metric, host, run, rank, device, tags; and the length of a bucket in seconds, 0 where every point is there.

    Raises TooMuch, StoreAway.
    """
    where, parameters = _where(wanted)
    bucket_s = 0
    if wanted.points is not None:
        most = store.ask(
            f"SELECT max(n) AS n FROM (SELECT count() AS n FROM {{table}} WHERE {where} GROUP BY {KEY})",  # noqa: S608
            parameters,
        )["n"].to_pylist()
        if most and (most[0] or 0) > wanted.points:
            bucket_s = bucket_of(wanted.end_s - wanted.start_s, wanted.points)
    table = store.ask(_bucketed(where, bucket_s) if bucket_s else _raw(where), parameters)
    if table.num_rows > MOST_ROWS:
        raise TooMuch(f"that is more than {MOST_ROWS} points: ask for a shorter time, fewer series, or points=500")
    return _grouped(table, bool(bucket_s)), bucket_s


def _raw(where: str) -> str:
    columns = f"{KEY}, unit, toUnixTimestamp64Milli(event_time) / 1000 AS time, value AS last"
    return f"SELECT {columns} FROM {{table}} WHERE {where} ORDER BY {KEY}, time LIMIT {MOST_ROWS + 1}"  # noqa: S608


def _bucketed(where: str, bucket_s: int) -> str:
    time = f"toFloat64(intDiv(toUnixTimestamp64Milli(event_time), {bucket_s * 1000}) * {bucket_s})"
    columns = (
        f"{KEY}, any(unit) AS unit, {time} AS time, argMax(value, event_time) AS last, min(value) AS lowest, "
        "max(value) AS highest, avg(value) AS mean, toUInt64(count()) AS n"
    )
    grouped = f"WHERE {where} GROUP BY {KEY}, time ORDER BY {KEY}, time"
    return f"SELECT {columns} FROM {{table}} {grouped} LIMIT {MOST_ROWS + 1}"  # noqa: S608


def bucket_of(range_s: float, points: int) -> int:
    """The shortest power of two, in seconds, of which `points` span the range. A fixed grid, so closed buckets stay."""
    bucket_s = SHORTEST_BUCKET_S
    while bucket_s * points < range_s:
        bucket_s *= 2
    return bucket_s


def read_metrics(store: Store) -> list[dict[str, Any]]:
    """What there is of the last 30 days: name, unit, how many hosts have it, the newest point's Unix seconds."""
    return store.ask(
        """SELECT toString(metric) AS name, toString(any(unit)) AS unit, toUInt64(uniq(host)) AS hosts,
        toUnixTimestamp64Milli(max(event_time)) / 1000 AS newest
        FROM {table} WHERE event_time > now() - INTERVAL 30 DAY GROUP BY metric ORDER BY name""",
        {},
    ).to_pylist()


def _where(wanted: Selection) -> tuple[str, dict[str, Any]]:
    """Every value that somebody asked for is a parameter, none is ever joined into the SQL."""
    terms = [
        "metric IN {metrics:Array(String)}",
        "event_time >= fromUnixTimestamp64Milli({start:Int64})",
        "event_time < fromUnixTimestamp64Milli({end:Int64})",
    ]
    parameters: dict[str, Any] = {
        "metrics": list(wanted.metrics),
        "start": int(wanted.start_s * 1000),
        "end": int(wanted.end_s * 1000),
    }
    for name, column, kind, value in (
        ("host", "host", "String", wanted.host),
        ("run", "run_id", "String", wanted.run_id),
        ("device", "device", "UInt16", wanted.device),
        ("tags", "tags_json", "String", wanted.tags_json),
    ):
        if value is not None:
            terms.append(f"{column} = {{{name}:{kind}}}")
            parameters[name] = value
    return " AND ".join(terms), parameters


def _grouped(table: Any, has_buckets: bool) -> list[Series]:
    columns = {name: table[name].to_pylist() for name in table.column_names}
    found: list[Series] = []
    before: tuple[Any, ...] | None = None
    rows = zip(*(columns[name] for name in ("metric", "host", "run_id", "rank", "device", "tags_json")), strict=True)
    starts: list[int] = []
    for at, key in enumerate(rows):
        if key != before:
            metric, host, run_id, rank, device, tags_json = key
            no_device = None if device == NO_DEVICE else device
            found.append(Series(metric, columns["unit"][at], host, run_id, rank, no_device, tags_json))
            starts.append(at)
            before = key
    wanted = {"time": "time", "value": "last"}
    if has_buckets:
        wanted |= {"min": "lowest", "max": "highest", "mean": "mean", "count": "n"}
    ends = [*starts, table.num_rows][1:]
    for series, start, end in zip(found, starts, ends, strict=True):
        for name, column in wanted.items():
            setattr(series, name, columns[column][start:end])
    return found
