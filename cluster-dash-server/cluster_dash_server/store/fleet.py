"""Takes metrics of hosts and spans of time, gives each host's means in each span from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .series import MOST_ROWS, TooMuch

if TYPE_CHECKING:
    from .store import Store


class HostMeans(NamedTuple):
    host: str
    started_at: int
    """Of the span, Unix seconds."""
    means: list[float | None]
    """As the metrics were asked for; None where the host told nothing."""


def read_means(store: Store, metrics: list[str], width_s: int, start_s: float, end_s: float) -> list[HostMeans]:
    """In order of time and host, those without a value left out. `end_s` isn't included. Raises TooMuch, StoreAway."""
    means = [f"avgIf(value, metric = {{m{at}:String}} AND isFinite(value)) AS m{at}" for at in range(len(metrics))]
    table = store.ask(
        f"""SELECT toString(host) AS host,
        toInt64(intDiv(toUnixTimestamp64Milli(event_time), {width_s * 1000}) * {width_s}) AS start, {", ".join(means)}
        FROM {{table}} WHERE run_id = '' AND metric IN {{metrics:Array(String)}}
        AND event_time >= fromUnixTimestamp64Milli({{start:Int64}})
        AND event_time < fromUnixTimestamp64Milli({{end:Int64}})
        GROUP BY host, start ORDER BY start, host LIMIT {MOST_ROWS + 1}""",  # noqa: S608  # numbers and names of ours
        {f"m{at}": metric for at, metric in enumerate(metrics)}
        | {"metrics": metrics, "start": int(start_s * 1000), "end": int(end_s * 1000)},
    )
    if table.num_rows > MOST_ROWS:
        raise TooMuch(f"that is more than {MOST_ROWS} spans of hosts: ask for fewer hours")
    columns = [[_known(value) for value in table[f"m{at}"].to_pylist()] for at in range(len(metrics))]
    rows = zip(table["host"].to_pylist(), table["start"].to_pylist(), zip(*columns, strict=True), strict=True)
    return [HostMeans(host, start, list(means)) for host, start, means in rows]


def _known(value: float | None) -> float | None:
    """ClickHouse's mean of nothing is NaN."""
    return None if value is None or value != value else value
