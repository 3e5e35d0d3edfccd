"""Takes a selection of series and a range of time, gives their points from the store: raw, or by buckets.

Buckets lie on a fixed grid, the same for all series and however the range lies: seconds times a power of two, or a
tier's length times a power of two. The first and the last are whole, so one that has ended is always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .tables import TIERS

if TYPE_CHECKING:
    from .grouped import Series
    from .store import Store

MOST_ROWS = 500_000
MOST_POINTS = 10_000
TOO_MUCH = f"that is more than {MOST_ROWS} points: ask for a shorter time, fewer series, or points=500"
DAY_S = 86_400
LATEST_S = 2**32 - 1
"""Of ClickHouse's DateTime."""


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


class Grid(NamedTuple):
    """Which buckets answer a question."""

    tier: int
    """0: the points themselves; else TIERS from 1."""
    bucket_s: int


KEY = "metric, host, run_id, rank, device, tags_json"
# What is asked for stands in none of these: it goes as parameters.
_PIECE = f"""SELECT {KEY}, unit, toInt64(toUnixTimestamp(bucket)) AS at_s, points, numbers, least, most, total, last,
    last_time FROM {{source}} WHERE {{where}} AND bucket >= toDateTime({{start_s}}, 'UTC')
    AND bucket < toDateTime({{end_s}}, 'UTC')"""  # noqa: S608
_RAW_PIECE = f"""SELECT {KEY}, unit, toInt64(intDiv(toUnixTimestamp64Milli(event_time), 1000)) AS at_s,
    toUInt64(1) AS points, toUInt64(isFinite(value)) AS numbers, value AS least, value AS most,
    if(isFinite(value), value, 0) AS total, value AS last, event_time AS last_time
    FROM {{{{table}}}} WHERE {{where}} AND event_time >= toDateTime({{start_s}}, 'UTC')
    AND event_time < toDateTime({{end_s}}, 'UTC')"""  # noqa: S608
_BUCKETS = f"""SELECT {KEY}, any(unit) AS its_unit, intDiv(at_s, {{bucket_s}}) * {{bucket_s}} AS time,
    argMax(last, last_time) AS value, sum(points) AS count, sum(points) - sum(numbers) AS not_finite,
    if(sum(numbers) = 0, nan, minIf(least, numbers > 0)) AS min,
    if(sum(numbers) = 0, nan, maxIf(most, numbers > 0)) AS max,
    if(sum(numbers) = 0, nan, sum(total) / sum(numbers)) AS mean
    FROM ({{pieces}}) GROUP BY {KEY}, time ORDER BY {KEY}, time LIMIT {MOST_ROWS + 1}"""  # noqa: S608
_WITHIN = """{{table}} WHERE {where} AND event_time >= fromUnixTimestamp64Milli({{start:Int64}})
    AND event_time < fromUnixTimestamp64Milli({{end:Int64}})"""
_RAW = f"""SELECT {KEY}, unit AS its_unit, toUnixTimestamp64Milli(event_time) / 1000 AS time, value
    FROM {_WITHIN} ORDER BY {KEY}, time LIMIT {MOST_ROWS + 1}"""  # noqa: S608
_MOST = f"SELECT max(n) AS most FROM (SELECT count() AS n FROM {_WITHIN} GROUP BY {KEY})"  # noqa: S608


def read_series(store: Store, wanted: Selection, now_s: float) -> tuple[list[Series], int]:
    """By metric, host, run, rank, device, tags; and the length of a bucket in seconds, 0 where every point is there.

    Raises TooMuch, TooSlow, StoreAway.
    """
    if wanted.points is None:
        _check_number(store, wanted)
        return _read_raw(store, wanted), 0
    days = store.rollups.days
    grid = grid_of(wanted.end_s - wanted.start_s, wanted.points, now_s - wanted.start_s, days)
    if grid.tier == 0 and _most_points(store, wanted) <= wanted.points:
        return _read_raw(store, wanted), 0
    found = read_buckets(store, wanted, grid)
    if grid.tier and all(each.count.sum() <= wanted.points for each in found):
        raw = _read_raw(store, wanted)
        has_all = days[0] is None or wanted.start_s >= now_s - days[0] * DAY_S
        if has_all or sum(len(each.time) for each in raw) == sum(each.count.sum() for each in found):
            if all(len(each.time) <= wanted.points for each in raw):
                return raw, 0
            found = read_buckets(store, wanted, grid._replace(tier=0))  # points have come that no tier has yet
    return found, grid.bucket_s


def grid_of(range_s: float, points: int, age_s: float, days: tuple[int | None, ...]) -> Grid:
    """The shortest buckets of which `points` span the range, of the longest tier that has such ones. The range begins
    `age_s` ago: a tier that doesn't go back so far isn't taken, and where none does, the one that goes back furthest.
    """
    lengths = (1, *(tier.bucket_s for tier in TIERS))
    kept_s = [float("inf") if each is None else each * DAY_S for each in days]
    going_back = [tier for tier, seconds in enumerate(kept_s) if seconds >= age_s] or [kept_s.index(max(kept_s))]
    tier = max((tier for tier in going_back if lengths[tier] * points <= range_s), default=going_back[0])
    bucket_s = lengths[tier]
    while bucket_s * points < range_s:
        bucket_s *= 2
    return Grid(tier, bucket_s)


def _check_number(store: Store, wanted: Selection) -> None:
    """The hours know at once what reading all points would take seconds to find out. Raises TooMuch."""
    hours = TIERS[-1]
    start_s = int(-(-wanted.start_s // hours.bucket_s)) * hours.bucket_s
    end_s = min(int(wanted.end_s // hours.bucket_s) * hours.bucket_s, store.rollups.ends[-1])
    if start_s < end_s:
        where, parameters = _where(wanted)
        piece = _PIECE.format(source=f"{{{hours.table}}}", where=where, start_s=start_s, end_s=end_s)
        [number] = store.ask(f"SELECT sum(points) AS n FROM ({piece})", parameters)["n"].to_pylist()  # noqa: S608
        if number > MOST_ROWS:
            raise TooMuch(TOO_MUCH)


def _read_raw(store: Store, wanted: Selection) -> list[Series]:
    return _grouped(_ask_raw(store, _RAW, wanted))


def _most_points(store: Store, wanted: Selection) -> int:
    """Of a series."""
    return max(_ask_raw(store, _MOST, wanted)["most"].to_pylist(), default=0) or 0


def _ask_raw(store: Store, sql: str, wanted: Selection) -> Any:
    where, parameters = _where(wanted)
    parameters |= {"start": int(wanted.start_s * 1000), "end": int(wanted.end_s * 1000)}
    return store.ask(sql.format(where=where), parameters)


def read_buckets(store: Store, wanted: Selection, grid: Grid) -> list[Series]:
    """Of the tier up to where it is there, then of the finer ones, at last of the points."""
    where, parameters = _where(wanted)
    at_s = int(wanted.start_s // grid.bucket_s) * grid.bucket_s
    last_s = min(int(-(-wanted.end_s // grid.bucket_s)) * grid.bucket_s, LATEST_S)
    ends = [last_s, *store.rollups.ends]
    pieces: list[str] = []
    for tier in range(grid.tier, -1, -1):
        end_s = min(last_s, ends[tier])
        if at_s < end_s:
            piece, source = (_PIECE, f"{{{TIERS[tier - 1].table}}}") if tier else (_RAW_PIECE, "")
            pieces.append(piece.format(source=source, where=where, start_s=at_s, end_s=end_s))
            at_s = end_s
    if not pieces:  # later than any bucket can be
        return []
    sql = _BUCKETS.format(bucket_s=grid.bucket_s, pieces=" UNION ALL ".join(pieces))
    return _grouped(store.ask(sql, parameters))


def _where(wanted: Selection) -> tuple[str, dict[str, Any]]:
    """Every value that somebody asked for is a parameter, none is ever joined into the SQL."""
    terms = ["metric IN {metrics:Array(String)}"]
    parameters: dict[str, Any] = {"metrics": list(wanted.metrics)}
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


def _grouped(table: Any) -> list[Series]:
    """Raises TooMuch."""
    from .grouped import grouped  # a server without a store needn't load it

    if table.num_rows > MOST_ROWS:
        raise TooMuch(TOO_MUCH)
    return grouped(table)
