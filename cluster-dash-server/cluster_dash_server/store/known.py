"""Takes a host, gives which metrics it ever sent, and from when to when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .tables import TIERS

if TYPE_CHECKING:
    from .store import Store

_OF_HOST = "run_id = '' AND host = {host:String}"
_AMONG = " AND metric IN {metrics:Array(String)}"


def read_metrics_of(store: Store, host: str, metrics: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Outside of runs, of all time that is kept: name, unit, and the Unix seconds of the oldest and the newest point;
    that of the oldest is of the start of its hour where the hours have it. No metrics: all of them. Raises StoreAway.
    """
    hours, end_s = TIERS[-1].table, store.rollups.ends[-1]
    where = _OF_HOST + (_AMONG if metrics else "")
    return store.ask(
        f"""SELECT toString(metric) AS name, toString(any(unit)) AS unit, toFloat64(min(first)) AS oldest,
        toUnixTimestamp64Milli(max(last)) / 1000 AS newest
        FROM (SELECT metric, unit, toFloat64(toUnixTimestamp(bucket)) AS first, last_time AS last FROM {{{hours}}}
        WHERE {where} AND bucket < toDateTime({end_s}, 'UTC') UNION ALL
        SELECT metric, unit, toUnixTimestamp64Milli(event_time) / 1000 AS first, event_time AS last FROM {{table}}
        WHERE {where} AND event_time >= toDateTime({end_s}, 'UTC')) GROUP BY metric ORDER BY name""",  # noqa: S608
        {"host": host} | ({"metrics": list(metrics)} if metrics else {}),
    ).to_pylist()
