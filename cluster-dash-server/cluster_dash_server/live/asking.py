"""Takes the numbers of a host's posts, tells its mole which are on disk and which it shall send again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..store.numbers import Number, Numbers, Range

MOST_POSTS = 1000
MOST_RANGES = 20
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0


class Asking:
    """One host's. Not safe for threads by itself."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        """On disk: in the journal or in the store."""
        self._asked: list[Range] = []
        self._pause_s = FIRST_PAUSE_S
        self._not_before_mono_s = 0.0

    def ack(self, number: Number) -> dict[str, Any]:
        """All up to there is on disk; empty where the first post isn't."""
        through = self.numbers.through(number.mole_id, number.epoch)
        return {"ack": {"epoch": number.epoch, "seq": through}} if through else {}

    def need(self, number: Number, mole: Mapping[str, Any], mono_s: float) -> list[Range]:
        """What it holds and we don't: lost here after it was told that we had it.

        While posts wait there, holes fill by themselves. The same is asked for at once and then ever more seldom: the
        mole may have set those posts aside. What it dropped is nothing that it holds.
        """
        if mole.get("backlog") != 0 or not mole.get("kept"):
            return []
        missing = self.numbers.missing(number.mole_id, mole["kept"], MOST_POSTS, MOST_RANGES)
        if missing != self._asked:
            self._pause_s = FIRST_PAUSE_S
        elif mono_s < self._not_before_mono_s:
            return []
        self._asked, self._not_before_mono_s = missing, mono_s + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
        return missing
