"""The server's clocks: one that nobody sets, by which all is kept and ends, and the wall clock, by which a person reads
it. Tells when the wall clock was set, and when it is wrong.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

log = logging.getLogger(__name__)

STEP_S = 2.0
"""A leap second, and what a measurement wavers by, is less."""
STEP_SHOWN_S = 3600.0
NOTICED_S = 5.0
"""What a post's way takes is less."""
FEWEST_WITNESSES = 3
_MEASURED_WITHIN_S = 0.1
_MEASUREMENTS = 5


def since_boot() -> float:
    """Seconds, the time in which the machine slept among them; nobody sets it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Step(NamedTuple):
    """The wall clock was set."""

    by_s: float
    """Positive: forward."""
    mono_s: float


class Clock:
    """Both clocks. What was kept by the one is told by the other as that is now, so it moves when that is set."""

    def __init__(self, monotonic: Callable[[], float] = since_boot, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self.wall = wall
        self.steps = 0
        self._last: Step | None = None
        self._known_offset_s = self.offset_s()

    def offset_s(self) -> float:
        """What makes Unix seconds of the clock that nobody sets."""
        return self.wall() - self.monotonic()

    def look(self) -> Step | None:
        """Whether the wall clock was set in the last hour, and how; by the latest step."""
        measured = self._measure()
        if measured is not None:
            by_s, self._known_offset_s = measured - self._known_offset_s, measured
            if abs(by_s) >= STEP_S:
                self.steps += 1
                self._last = Step(by_s, self.monotonic())
                log.warning("this server's clock was set by %+.1f s; ages and deadlines go by another one", by_s)
        last = self._last
        return last if last and self.monotonic() - last.mono_s <= STEP_SHOWN_S else None

    def _measure(self) -> float | None:
        """None where this thread had to wait between the two clocks, which would look as if one was set."""
        for _ in range(_MEASUREMENTS):
            before, wall, after = self.monotonic(), self.wall(), self.monotonic()
            if after - before < _MEASURED_WITHIN_S:
                return wall - after
        return None


class OwnError(NamedTuple):
    """The server's clock differs from what most hosts' clocks agree on."""

    ahead_s: float
    agree: int
    hosts: int


def own_error(skews_s: list[float]) -> OwnError | None:
    """`skews_s`: how far each host's clock is ahead of the server's. Hosts that agree are believed more than it."""
    if len(skews_s) < FEWEST_WITNESSES:
        return None
    middle_s = median(skews_s)
    agree = sum(abs(skew_s - middle_s) < NOTICED_S for skew_s in skews_s)
    is_wrong = abs(middle_s) >= NOTICED_S and agree >= FEWEST_WITNESSES and 2 * agree > len(skews_s)
    return OwnError(-middle_s, agree, len(skews_s)) if is_wrong else None
