"""Takes rows of values with their layouts, keeps them in blocks, gives a series as columns of time and value.

A host's rows nearly always have the same layout, so a row is one append: 4 bytes a value, 8 for its time. A change of
the layout starts another block; where a block lacks a series there is NaN.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..points import Layout, SeriesKey

BLOCK_COST = 400
"""Bytes that a block takes beside its rows."""
ROOM_OF_A_NEW_LAYOUT = 2
POSITION_COST, KEY_COST = 32, 250
"""Bytes that a layout of a host's own takes for each of its series, and for each that the layout before lacked."""


class Segment(NamedTuple):
    """Rows of one layout. What is added to its arrays later lies behind `rows`, so a reader needs no lock."""

    layout: Layout
    time: array[float]
    values: array[float]
    rows: int

    def column(self, position: int) -> array[float]:
        width = len(self.layout.series)
        return self.values[position : self.rows * width : width]


@dataclass(slots=True)
class SeriesColumns:
    """A copy of one series: `time` in Unix seconds by the server's clock as it is now, `value` with NaN where there is
    none.
    """

    key: SeriesKey
    unit: str
    time: array[float] = field(repr=False)
    value: array[float] = field(repr=False)


class _Block:
    """Its room is made at once: thousands of arrays that grow by turns leave as much memory in holes as they fill."""

    __slots__ = ("cost", "layout", "room", "time", "values")

    def __init__(self, layout: Layout, room: int, cost: int) -> None:
        self.layout = layout
        self.room = room
        self.time = array("d")
        self.values = array("f", bytes(4 * room * len(layout.series)))
        self.cost = cost + room * (8 + 4 * len(layout.series))

    def append(self, time: float, values: array[float]) -> None:
        start = len(self.time) * len(values)
        self.values[start : start + len(values)] = values
        self.time.append(time)

    def shrink(self, room: int) -> None:
        """To so much room, or to what its rows take; who reads it keeps the arrays that were."""
        room = max(room, len(self.time))
        if room < self.room:
            width = len(self.layout.series)
            self.cost -= (self.room - room) * (8 + 4 * width)
            self.room, self.values = room, self.values[: room * width]


class Rows:
    """Not safe for threads by itself, except that a `Segment` stays readable. Whole blocks of old rows go at once."""

    __slots__ = ("_blocks", "block_rows", "bytes", "rows")

    def __init__(self, block_rows: int) -> None:
        self.rows = 0
        self.bytes = 0
        self.block_rows = block_rows
        self._blocks: list[_Block] = []

    @property
    def layout(self) -> Layout | None:
        """Of the newest row."""
        return self._blocks[-1].layout if self._blocks else None

    def append(self, time: float, layout: Layout, values: array[float]) -> bool:
        """Whether a new block was started: the time to look for what is too old."""
        block = self._blocks[-1] if self._blocks else None
        fits = block is not None and block.layout is layout and len(block.time) < block.room
        if block is None or not fits:
            block = self._start_block(layout)
        block.append(time, values)
        self.rows += 1
        return not fits

    def append_gap(self, time: float) -> None:
        """A row without values, so that a line breaks there."""
        if layout := self.layout:
            self.append(time, layout, array("f", [math.nan]) * len(layout.series))

    def _start_block(self, layout: Layout) -> _Block:
        before, cost, room = self.layout, BLOCK_COST, self.block_rows
        if before and before is not layout:
            cost += POSITION_COST * len(layout.series) + KEY_COST * len(set(layout.series).difference(before.series))
            room = ROOM_OF_A_NEW_LAYOUT  # it may be as short-lived as the one before
        return self._add(_Block(layout, room, cost))

    def _add(self, block: _Block) -> _Block:
        self._blocks.append(block)
        self.bytes += block.cost
        return block

    def forget(self, before: float, at_least: int, at_most: int) -> None:
        """Rows older than `before` beyond the newest `at_least`, and all beyond the newest `at_most`.

        Only whole blocks, except that of the last one half goes when that much is too old.
        """
        while len(self._blocks) > 1:
            first = self._blocks[0]
            left = self.rows - len(first.time)
            if left < at_most and (left < at_least or first.time[-1] >= before):
                return
            self._drop(first)
        if self._blocks:
            self._forget_in_block(self._blocks[0], before, at_least, at_most)
        if self._blocks:
            self._shrink(self._blocks[-1])

    def _forget_in_block(self, only: _Block, before: float, at_least: int, at_most: int) -> None:
        old = sum(1 for time in only.time if time < before)
        keep = min(max(self.rows - old, at_least), at_most, self.rows)
        if keep <= self.rows // 2:
            self._drop(only)
            if keep:
                width = len(only.layout.series)
                block = self._add(_Block(only.layout, keep, BLOCK_COST))
                for row in range(len(only.time) - keep, len(only.time)):
                    block.append(only.time[row], only.values[row * width : (row + 1) * width])
                self.rows = keep

    def _shrink(self, newest: _Block) -> None:
        """Where `block_rows` has become less since it was made."""
        self.bytes -= newest.cost
        newest.shrink(self.block_rows)
        self.bytes += newest.cost

    def _drop(self, block: _Block) -> None:
        self._blocks.remove(block)
        self.rows -= len(block.time)
        self.bytes -= block.cost

    def segments(self) -> list[Segment]:
        return [Segment(block.layout, block.time, block.values, len(block.time)) for block in self._blocks]

    def newest_segments(self, rows: int) -> list[Segment]:
        """Copies of the newest rows."""
        found: list[Segment] = []
        for block in reversed(self._blocks):
            if rows <= 0:
                break
            take = min(rows, len(block.time))
            width, end = len(block.layout.series), len(block.time)
            values = block.values[(end - take) * width : end * width]
            found.insert(0, Segment(block.layout, block.time[-take:], values, take))
            rows -= take
        return found


def columns(segments: Iterable[Segment], metrics: Collection[str], offset_s: float = 0.0) -> list[SeriesColumns]:
    """Every series of these metrics that has a value, by metric, device and tags. They share one column of time.

    `offset_s` is added to the rows' times.
    """
    time = array("d")
    found: dict[SeriesKey, SeriesColumns] = {}
    layout = Layout((), ())
    positions: list[int] = []
    for segment in segments:
        if segment.layout is not layout:
            layout = segment.layout
            positions = [at for at, key in enumerate(layout.series) if key.metric in metrics]
        for at in positions:
            key = layout.series[at]
            column = found.get(key)
            if column is None:
                column = found[key] = SeriesColumns(key, layout.units[at], time, array("f"))
            _fill(column.value, len(time))
            column.value.extend(segment.column(at))
        time.extend([mono_s + offset_s for mono_s in segment.time[: segment.rows]])
    for column in found.values():
        _fill(column.value, len(time))
    return [found[key] for key in sorted(found) if any(value == value for value in found[key].value)]


def _fill(column: array[float], rows: int) -> None:
    """With NaN up to this length."""
    if len(column) < rows:
        column.extend(array("f", [math.nan]) * (rows - len(column)))
