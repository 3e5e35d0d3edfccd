"""Takes the points of a host's posts, gives its recent history: one column of time, one of values for each series.

Values are float32 and NaN where a post lacked the series: 720 rows of 120 series take 350 kB.
"""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

from ..points import Points

MAX_SERIES = 2_000
"""Of one host. A sender that invents names must not fill the memory: further series are left out and counted."""
CLOCK_STEP_S = 2.0


class SeriesKey(NamedTuple):
    metric: str
    device: int
    tags_json: str


class RecentHistory:
    """Not safe for threads by itself; `Hosts` holds its lock."""

    def __init__(self, max_rows: int, max_age_s: float) -> None:
        self.time = array("d")
        self.columns: dict[SeriesKey, array[float]] = {}
        self.units: dict[str, str] = {}
        self.left_out = 0
        """Values of series beyond MAX_SERIES."""
        self._last_mono_s = 0.0
        self._max_rows = max_rows
        self._max_age_s = max_age_s

    def append(self, received_at: float, mono_s: float, points: Points, gap_after_s: float) -> None:
        """Adds a row; after more than `gap_after_s` without one, first an empty one, so that a line breaks there.

        `mono_s` is a clock that nobody sets. Where the wall clock was set meanwhile, the rows before move with it.
        """
        if self.time:
            passed_s = max(0.0, mono_s - self._last_mono_s)
            self._follow_clock(received_at - (self.time[-1] + passed_s))
            if passed_s > gap_after_s:
                self._append_row(self.time[-1] + gap_after_s / 2)
            received_at = max(received_at, self.time[-1])
        self._last_mono_s = mono_s
        self._append_row(received_at)
        for key, value, unit in zip(
            map(SeriesKey, points.metric, points.device, points.tags_json), points.value, points.unit, strict=True
        ):
            column = self.columns.get(key) or self._new_column(key, unit)
            if column is not None:
                column[-1] = value
        self._forget(received_at)

    def _follow_clock(self, step_s: float) -> None:
        if abs(step_s) >= CLOCK_STEP_S:
            self.time = array("d", [time + step_s for time in self.time])

    def _append_row(self, time: float) -> None:
        self.time.append(time)
        for column in self.columns.values():
            column.append(math.nan)

    def _new_column(self, key: SeriesKey, unit: str) -> array[float] | None:
        if len(self.columns) >= MAX_SERIES:
            self.left_out += 1
            return None
        self.units[key.metric] = unit
        self.columns[key] = array("f", [math.nan]) * len(self.time)
        return self.columns[key]

    def _forget(self, now: float) -> None:
        """Old rows go an eighth at a time, since each cut moves every column."""
        if len(self.time) > self._max_rows + self._max_rows // 8:
            self._cut(len(self.time) - self._max_rows)
        self.forget_before(now - self._max_age_s, at_least=max(1, len(self.time) // 8))

    def forget_before(self, time: float, at_least: int = 1) -> None:
        old = next((row for row, at in enumerate(self.time) if at >= time), len(self.time))
        if old >= at_least:
            self._cut(old)

    def _cut(self, rows: int) -> None:
        del self.time[:rows]
        for key, column in list(self.columns.items()):
            del column[:rows]
            if all(map(math.isnan, column)):
                del self.columns[key]
        metrics = {key.metric for key in self.columns}
        self.units = {metric: unit for metric, unit in self.units.items() if metric in metrics}
