"""Takes many posts' points, gives them as one Arrow table of `metric_points`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from ..points import Layout, Points

FUTURE_S = 600.0
PAST_S = 31 * 86_400.0


class Names:
    """Texts as codes, in the order in which they came."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        return self._codes.setdefault(text, len(self._codes))

    def codes(self, texts: Iterable[str]) -> Any:
        return np.fromiter(map(self.code, texts), np.int32)

    def array(self, codes: Any) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(self._codes), pa.string()))


def event_time_of(points: Points, received_s: float) -> float:
    """The sender's own time. One more than 10 minutes ahead or 31 days ago is a clock that was never set, and counts as
    the time when the post came.
    """
    return points.event_time if -PAST_S < points.event_time - received_s < FUTURE_S else received_s


def table_of(posts: Sequence[tuple[Points, float]]) -> Any:
    """Of posts and when they came, Unix seconds; without what is missing."""
    hosts, metrics, units, tags = Names(), Names(), Names(), Names()
    parts: list[tuple[Any, ...]] = []
    for layout, group in groupby(sorted(posts, key=lambda post: id(post[0].layout)), key=lambda post: post[0].layout):
        parts.append(_part(layout, list(group), (hosts, metrics, units, tags)))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    times, host, metric, unit, tag, device, value = columns
    rows = len(value)
    empty = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([""]))
    return pa.table(
        {
            "event_time": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "run_id": empty,
            "host": hosts.array(host),
            "device": pa.array(device),
            "metric": metrics.array(metric),
            "value": pa.array(value),
            "unit": units.array(unit),
            "tags_json": tags.array(tag).dictionary_decode(),
        }
    )


def _part(
    layout: Layout, posts: list[tuple[Points, float]], names: tuple[Names, Names, Names, Names]
) -> tuple[Any, ...]:
    """Columns of posts with the same series, in the order of `table_of`."""
    hosts, metrics, units, tags = names
    series = len(layout.series)
    value = np.array([points.row for points, _ in posts], np.float64).reshape(-1)
    times = [math.floor(event_time_of(points, received_s) * 1000) for points, received_s in posts]
    columns = (
        np.repeat(np.array(times, np.int64), series),
        np.repeat(hosts.codes(points.host for points, _ in posts), series),
        np.tile(metrics.codes(key.metric for key in layout.series), len(posts)),
        np.tile(units.codes(layout.units), len(posts)),
        np.tile(tags.codes(key.tags_json for key in layout.series), len(posts)),
        np.tile(np.fromiter((key.device for key in layout.series), np.uint16), len(posts)),
        value,
    )
    present = ~np.isnan(value)
    return tuple(column[present] for column in columns)
