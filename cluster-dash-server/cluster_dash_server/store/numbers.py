"""Takes the numbers of posts that are kept, tells up to which all are, and which of those that a mole has are not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

STARTS = 16
"""Of moles, that are remembered for a host; a mole tells of half as many."""
MOST_RANGES = 64
"""Of one start. With more holes some of what is kept is forgotten, and asked for again, which does no harm."""

Range = tuple[str, int, int]
"""Epoch, first and last number."""


class Number(NamedTuple):
    """A post's place among all posts: unique, and growing within an epoch."""

    mole_id: str
    epoch: str
    """One start of the mole: "<boot id>.<start counter>"."""
    seq: int


def number_of(post: Mapping[str, Any]) -> Number | None:
    """None where the post has none, as of the original's mole, of curl and of a mole's `check`."""
    mole: Mapping[str, Any] = post.get("mole", {})
    mole_id, epoch, seq = mole.get("id"), mole.get("epoch"), mole.get("seq")
    return None if not mole_id or not epoch or seq is None else Number(mole_id, epoch, int(seq))


class _Kept:
    """Of one start: ranges that don't touch each other, in their order."""

    __slots__ = ("firsts", "lasts")

    def __init__(self) -> None:
        self.firsts: list[int] = []
        self.lasts: list[int] = []

    def add(self, first: int, last: int) -> None:
        if self.lasts and first == self.lasts[-1] + 1:  # nearly always
            self.lasts[-1] = last
            return
        start = bisect_right(self.lasts, first - 2)  # the first that it touches
        end = bisect_right(self.firsts, last + 1)
        if start < end:
            first, last = min(first, self.firsts[start]), max(last, self.lasts[end - 1])
        self.firsts[start:end], self.lasts[start:end] = [first], [last]
        if len(self.firsts) > MOST_RANGES:  # not the first one, by which all is acknowledged
            del self.firsts[1], self.lasts[1]

    def holes(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        for at in range(bisect_right(self.lasts, first - 1), len(self.firsts)):
            if self.firsts[at] > last:
                break
            if first < self.firsts[at]:
                yield first, self.firsts[at] - 1
            first = self.lasts[at] + 1
        if first <= last:
            yield first, last


class Numbers:
    """Of one host's moles. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._starts: dict[tuple[str, str], _Kept] = {}
        """The one that was used last at the end."""

    def add(self, number: Number) -> None:
        self._add(number.mole_id, number.epoch, number.seq, number.seq)

    def _add(self, mole_id: str, epoch: str, first: int, last: int) -> None:
        kept = self._starts.pop((mole_id, epoch), None) or _Kept()
        kept.add(first, last)
        self._starts[mole_id, epoch] = kept
        while len(self._starts) > STARTS:
            del self._starts[next(iter(self._starts))]

    def has(self, number: Number) -> bool:
        kept = self._starts.get((number.mole_id, number.epoch))
        return kept is not None and not any(kept.holes(number.seq, number.seq))

    def merge(self, other: Numbers) -> None:
        """Those of the other count as older."""
        ours, self._starts = self._starts, {}
        for starts in (other._starts, ours):
            for (mole_id, epoch), kept in starts.items():
                for first, last in zip(kept.firsts, kept.lasts, strict=True):
                    self._add(mole_id, epoch, first, last)

    def through(self, mole_id: str, epoch: str) -> int:
        """All from 1 to this one are kept; 0 where the first isn't."""
        kept = self._starts.get((mole_id, epoch))
        return kept.lasts[0] if kept and kept.firsts[0] <= 1 else 0

    def missing(self, mole_id: str, held: Iterable[Range], most: int, most_ranges: int) -> list[Range]:
        """What isn't kept of what the mole holds, so many numbers at most."""
        found: list[Range] = []
        for epoch, first, last in held:
            kept = self._starts.get((mole_id, epoch)) or _Kept()
            for hole_first, hole_last in kept.holes(first, last):
                if most <= 0 or len(found) >= most_ranges:
                    return found
                hole_last = min(hole_last, hole_first + most - 1)
                found.append((epoch, hole_first, hole_last))
                most -= hole_last - hole_first + 1
        return found

    def dump(self) -> list[Any]:
        """As JSON holds it."""
        return [[*start, list(zip(kept.firsts, kept.lasts, strict=True))] for start, kept in self._starts.items()]


def load_numbers(dumped: Any) -> Numbers:
    """Raises ValueError, TypeError: it is none that `dump` gave."""
    numbers = Numbers()
    for mole_id, epoch, ranges in cast("list[tuple[str, str, list[tuple[int, int]]]]", dumped):
        for first, last in ranges:
            numbers._add(str(mole_id), str(epoch), int(first), int(last))  # pyright: ignore[reportPrivateUsage]  # of this file
    return numbers
