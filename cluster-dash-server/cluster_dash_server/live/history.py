"""Takes the points of a host's posts, gives its recent history: all series for minutes, the headline series for a day.

Its times are of the clock that nobody sets; `columns` turns them into the wall clock's.

`RecentHistory.share` shortens both where memory is short (see `budget.py`).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from ..points import Layout, Number, Points, SeriesKey
from .minutes import minute_of
from .rows import Rows, Segment

MAX_SERIES = 2_000
"""Of one host. A sender that invents names must not fill the memory: further series are left out and counted."""
COUNT_AGAIN_AFTER_S, COUNTED_AT_ONCE = 60.0, 5
FEWEST_ROWS = 60
"""What a host that posts seldom, or no more, keeps beyond the minutes; not beyond the hours."""
ROWS_PER_S = 1
"""A host that posts more often has that much less time in its recent history."""
BLOCK_ROWS, BLOCK_MINUTES = 16, 60
MINUTE_S = 60


class _Fit(NamedTuple):
    """A posted layout, what is kept of it, the positions of that where it isn't all, how many values are left out."""

    posted: Layout
    kept: Layout
    positions: list[int] | None
    left_out: int


class RecentHistory:
    """Not safe for threads by itself; `Hosts` holds its lock."""

    def __init__(self, recent_s: float, headline_s: float) -> None:
        self.recent = Rows(BLOCK_ROWS)
        self.minutes = Rows(BLOCK_MINUTES)
        self.left_out = 0
        """Values of series beyond MAX_SERIES."""
        self.share = 1.0
        """Of the minutes and hours promised, what there is memory for."""
        self._recent_s = recent_s
        self._headline_s = headline_s
        self._newest_mono_s: float | None = None
        self._minute = 0
        self._minute_rows = 0
        """Rows that are in no minute yet."""
        self._fit: _Fit | None = None
        self._series = 0
        self._counted_mono_s = -math.inf

    @property
    def bytes(self) -> int:
        return self.recent.bytes + self.minutes.bytes

    def append(self, mono_s: float, points: Points, gap_after_s: float) -> None:
        """Adds a row; after more than `gap_after_s` without one, first an empty one, so that a line breaks there."""
        if self._newest_mono_s is not None:
            if mono_s - self._newest_mono_s > gap_after_s:
                self._append_gap(self._newest_mono_s + gap_after_s / 2)
            mono_s = max(mono_s, self._newest_mono_s)  # two threads may come in another order than they looked
        self._newest_mono_s = mono_s
        minute = int(mono_s // MINUTE_S)
        if minute != self._minute:
            self._end_minute()
            self._minute = minute
        layout, values = self._fitting(points.layout, points.row)
        self._minute_rows += 1
        if self.recent.append(mono_s, layout, values):
            self.forget(mono_s)

    def _append_gap(self, mono_s: float) -> None:
        self._end_minute()
        self.minutes.append_gap(mono_s)
        self.recent.append_gap(mono_s)

    def _end_minute(self) -> None:
        for segment in self._minute_so_far():
            self.minutes.append(segment.time[0], segment.layout, segment.values)
        self._minute_rows = 0

    def _minute_so_far(self) -> list[Segment]:
        """One row, none where nothing came."""
        newest = self.recent.newest_segments(self._minute_rows)
        return [minute_of(newest, self.minutes.layout)] if newest else []

    def _fitting(self, layout: Layout, row: Sequence[Number]) -> tuple[Layout, array[float]]:
        if self._fit is None or self._fit.posted is not layout or (self._fit.left_out and self._may_count_again):
            self._fit = self._fit_layout(layout)
        positions = self._fit.positions
        if positions is None:
            return layout, array("f", row)
        self.left_out += self._fit.left_out
        return self._fit.kept, array("f", [row[at] for at in positions])

    def _fit_layout(self, layout: Layout) -> _Fit:
        """Of a series that comes twice the last value counts; new ones only while they aren't too many."""
        before = self.recent.layout
        known = set(before.series) if before else set[object]()
        places = {key: at for at, key in enumerate(layout.series)}
        new = [key for key in places if key not in known]
        room = max(0, MAX_SERIES - self._count_series(len(new)))
        for key in new[room:]:
            del places[key]
        self._series += min(len(new), room)
        if len(places) == len(layout.series):
            return _Fit(layout, layout, None, 0)
        positions = sorted(places.values())
        kept = layout.only(positions)
        if before and before.series == kept.series:
            kept = before
        return _Fit(layout, kept, positions, len(new[room:]))

    def _count_series(self, new: int) -> int:
        """At least those that are kept; exactly where `new` ones may be too many and it doesn't take long.

        A sender that changes its names each time must not cost the others' time.
        """
        if not self.recent.rows:
            self._series = 0
        elif self._series + new > MAX_SERIES:
            layouts = {segment.layout for segment in self.recent.segments()}
            if self._may_count_again or sum(len(layout.series) for layout in layouts) <= COUNTED_AT_ONCE * MAX_SERIES:
                self._series = len(set[SeriesKey]().union(*(layout.series for layout in layouts)))
                self._counted_mono_s = self._newest_mono_s or 0.0
        return self._series

    @property
    def _may_count_again(self) -> bool:
        return (self._newest_mono_s or 0.0) >= self._counted_mono_s + COUNT_AGAIN_AFTER_S

    def forget(self, mono_s: float) -> None:
        """What is too old, by the host's newest post and the time that passed since."""
        if self._newest_mono_s is None:
            return
        silent_s = max(0.0, mono_s - self._newest_mono_s)
        for rows, most in ((self.recent, BLOCK_ROWS), (self.minutes, BLOCK_MINUTES)):
            rows.block_rows = max(2, min(most, int(2 * most * self.share)))  # a block is room for what comes
        if silent_s >= MINUTE_S:
            self._end_minute()
        now = self._newest_mono_s + silent_s
        fewest = int(self.share * FEWEST_ROWS) if silent_s < self._headline_s else 0
        most = max(1, int(self.share * self._recent_s * ROWS_PER_S))
        self.recent.forget(now - self.share * self._recent_s, fewest, most)
        self.minutes.forget(now - self.share * self._headline_s, 0, int(self._headline_s))

    def recent_segments(self) -> list[Segment]:
        return self.recent.segments()

    def minute_segments(self) -> list[Segment]:
        """With the minute that goes on as its last row."""
        return [*self.minutes.segments(), *self._minute_so_far()]
