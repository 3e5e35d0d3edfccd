"""Takes the fleet or a host, gives which metrics there are, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .tables import TIERS

if TYPE_CHECKING:
    from .store import Store

MOST_METRICS = 10_000
"""That are told: a host whose names change with every post would fill an answer without end."""
_OF_HOST = "run_id = '' AND host = {host:String}"
_AMONG = " AND metric IN {metrics:Array(String)}"


class Known(NamedTuple):
    metrics: list[dict[str, Any]]
    """By name."""
    has_more: bool
    """Those that the most hosts have, and of these the newest, are told."""


def read_metrics(store: Store) -> Known:
    """What there is of the last 30 days: name, unit, how many hosts have it, the newest point's Unix seconds.

    Raises StoreAway.
    """
    hours, end_s = TIERS[-1].table, store.rollups.ends[-1]
    found = store.ask(
        f"""SELECT toString(metric) AS name, toString(any(unit)) AS unit, toUInt64(uniq(host)) AS hosts,
        toUnixTimestamp64Milli(max(at)) / 1000 AS newest
        FROM (SELECT metric, unit, host, last_time AS at FROM {{{hours}}} WHERE bucket > now() - INTERVAL 30 DAY
        AND bucket < toDateTime({end_s}, 'UTC') UNION ALL
        SELECT metric, unit, host, event_time AS at FROM {{table}} WHERE event_time > now() - INTERVAL 30 DAY
        AND event_time >= toDateTime({end_s}, 'UTC')) GROUP BY metric
        ORDER BY hosts DESC, newest DESC LIMIT {MOST_METRICS + 1}""",  # noqa: S608  # no outsider's text
        {},
    )
    return _known(found)


def read_metrics_of(store: Store, host: str, metrics: tuple[str, ...] = ()) -> Known:
    """Outside of runs, of all time that is kept: name, unit, and the Unix seconds of the oldest and the newest point;
    that of the oldest is of the start of its hour where the hours have it. No metrics: all of them. Raises StoreAway.
    """
    hours, end_s = TIERS[-1].table, store.rollups.ends[-1]
    where = _OF_HOST + (_AMONG if metrics else "")
    found = store.ask(
        f"""SELECT toString(metric) AS name, toString(any(unit)) AS unit, toFloat64(min(first)) AS oldest,
        toUnixTimestamp64Milli(max(last)) / 1000 AS newest
        FROM (SELECT metric, unit, toFloat64(toUnixTimestamp(bucket)) AS first, last_time AS last FROM {{{hours}}}
        WHERE {where} AND bucket < toDateTime({end_s}, 'UTC') UNION ALL
        SELECT metric, unit, toUnixTimestamp64Milli(event_time) / 1000 AS first, event_time AS last FROM {{table}}
        WHERE {where} AND event_time >= toDateTime({end_s}, 'UTC')) GROUP BY metric
        ORDER BY newest DESC, oldest LIMIT {MOST_METRICS + 1}""",  # noqa: S608
        {"host": host} | ({"metrics": list(metrics)} if metrics else {}),
    )
    return _known(found)


def _known(found: Any) -> Known:
    """Of an Arrow table with one row more than is told, if there are."""
    rows: list[dict[str, Any]] = found.slice(0, MOST_METRICS).to_pylist()
    return Known(sorted(rows, key=lambda row: row["name"]), found.num_rows > MOST_METRICS)
