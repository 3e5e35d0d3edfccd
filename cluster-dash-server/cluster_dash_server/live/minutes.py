"""Takes the rows of one minute, gives the minute's row: the headline series alone, each as one value.

What is busy is the mean over the minute. What fills up, memory and disk, is its highest value: there a moment counts.
"""

from __future__ import annotations

import math
from array import array
from weakref import WeakKeyDictionary

from ..points import NO_DEVICE, Layout
from .rows import Segment

MEAN = {
    "sys.cpu_percent",
    "sys.gpu.util_percent",
    "sys.gpu.count",
    "sys.gpu.little_used_count",
    "sys.gpu.mean_util_percent",
    "sys.gpu.mean_mem_percent",
}
HIGHEST = {"sys.mem_used_bytes", "sys.gpu.mem_used_bytes", "sys.disk.fullest_percent"}
HEADLINE = MEAN | HIGHEST
OF_A_GPU = {"sys.gpu.util_percent", "sys.gpu.mem_used_bytes"}

Headline = tuple[Layout, list[int]]
_headlines: WeakKeyDictionary[Layout, Headline] = WeakKeyDictionary()


def headline_of(layout: Layout) -> Headline:
    """The layout of the minutes, and where its series are in `layout`."""
    found = _headlines.get(layout)
    if found is None:
        positions = {
            key: at
            for at, key in enumerate(layout.series)
            if key.metric in HEADLINE and not key.tags_json and (key.device != NO_DEVICE) == (key.metric in OF_A_GPU)
        }
        found = _headlines[layout] = (layout.only(list(positions.values())), list(positions.values()))
    return found


def minute_of(segments: list[Segment], before: Layout | None) -> Segment:
    """The minute's one row, at the time of its newest, of the series that this one has.

    `before` is the layout of the minute before: kept where it fits.
    """
    newest = segments[-1]
    layout, positions = headline_of(newest.layout)
    values = [newest.column(at) for at in positions]
    for segment in segments[:-1]:
        own, places = headline_of(segment.layout)
        place_of = dict(zip(own.series, places, strict=True))
        for key, column in zip(layout.series, values, strict=True):
            if key in place_of:
                column.extend(segment.column(place_of[key]))
    row = array("f", [_one(key.metric, column) for key, column in zip(layout.series, values, strict=True)])
    kept = before if before and before.series == layout.series else layout
    return Segment(kept, newest.time[-1:], row, 1)


def _one(metric: str, column: array[float]) -> float:
    total = sum(column)
    known = column if total == total else [value for value in column if value == value]
    if not known:
        return math.nan
    return max(known) if metric in HIGHEST else sum(known) / len(known)
