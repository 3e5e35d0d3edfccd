"""Takes a host's history by the minute, gives the last hour as 60 whole percents: what its sparkline shows."""

from __future__ import annotations

from typing import Literal
from weakref import WeakKeyDictionary

from ...live.rows import Segment
from ...points import Layout

MINUTES = 60
GPU, CPU = "sys.gpu.mean_util_percent", "sys.cpu_percent"
SparkOf = Literal["gpu", "cpu"]

_places: WeakKeyDictionary[Layout, dict[str, int]] = WeakKeyDictionary()
"""Where the two series are in a layout, which thousands of hosts share."""


def spark(segments: list[Segment], of: SparkOf, mono_s: float, newest: tuple[float, float | None]) -> list[int | None]:
    """Oldest first, None where nothing is known. The last is the minute of `mono_s`.

    The minute of the newest post isn't in the history yet: `newest`, its time and value, stands for it.
    """
    first = int(mono_s // 60) - MINUTES + 1
    found: list[int | None] = [None] * MINUTES
    for segment in reversed(segments):
        times = segment.time[: segment.rows]
        if not times or times[-1] // 60 < first:
            break
        at = _place(segment.layout, GPU if of == "gpu" else CPU)
        if at is not None:
            _fill(found, first, times.tolist(), segment.column(at).tolist())
    at_s, value = newest
    if value is not None:
        _fill(found, first, [at_s], [value])
    return found


def _fill(found: list[int | None], first: int, times: list[float], values: list[float]) -> None:
    total, start, end = sum(values), int(times[0] // 60) - first, int(times[-1] // 60) - first
    if total == total and 0 <= start <= end < MINUTES and end - start == len(times) - 1:  # no gap: a row each minute
        found[start : end + 1] = map(round, values)
        return
    for time, value in zip(times, values, strict=True):
        minute = int(time // 60) - first
        if 0 <= minute < MINUTES and value == value:
            found[minute] = round(value)


def _place(layout: Layout, metric: str) -> int | None:
    places = _places.get(layout)
    if places is None:
        places = {key.metric: at for at, key in enumerate(layout.series) if key.metric in (GPU, CPU)}
        _places[layout] = places
    return places.get(metric)
