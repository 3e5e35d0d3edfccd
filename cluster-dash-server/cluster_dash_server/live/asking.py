"""Takes the numbers of a host's posts, tells its mole which are on disk and which it shall send again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..store.numbers import Number, Numbers, Range

MOST_POSTS = 1000
MOST_RANGES = 20
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0


class _Pauses:
    """Between two times that the same is asked for, ever longer: the mole may have set those posts aside."""

    def __init__(self, first_s: float) -> None:
        """`first_s`: how long it must have been the same before it is asked for at all."""
        self._first_s = first_s
        self._what: object = None
        self._pause_s = FIRST_PAUSE_S
        self._not_before_mono_s = 0.0

    def is_due(self, what: object, mono_s: float) -> bool:
        if what != self._what:
            self._what, self._pause_s, self._not_before_mono_s = what, FIRST_PAUSE_S, mono_s + self._first_s
        if mono_s < self._not_before_mono_s:
            return False
        self._not_before_mono_s = mono_s + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
        return True


class Asking:
    """One host's. Not safe for threads by itself."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        """On disk: in the journal or in the store."""
        self._of_all = _Pauses(0.0)
        self._of_oldest = _Pauses(FIRST_PAUSE_S)

    def ack(self, number: Number) -> dict[str, Any]:
        """All up to there is on disk; empty where the first post isn't."""
        through = self.numbers.through(number.mole_id, number.epoch)
        return {"ack": {"epoch": number.epoch, "seq": through}} if through else {}

    def need(self, number: Number, mole: Mapping[str, Any], mono_s: float) -> list[Range]:
        """What it holds and we don't: lost here after it was told that we had it. What it dropped is nothing that it
        holds.

        While posts wait there, holes fill by themselves, the oldest first. One that doesn't is asked for all the same:
        some moles always have a post on its way.
        """
        if mole.get("backlog") is None or not mole.get("kept"):
            return []
        missing = self.numbers.missing(number.mole_id, mole["kept"], MOST_POSTS, MOST_RANGES)
        if mole["backlog"] == 0:
            return missing if self._of_all.is_due(missing, mono_s) else []
        oldest = missing[:1]
        return oldest if self._of_oldest.is_due([each[:2] for each in oldest], mono_s) else []
