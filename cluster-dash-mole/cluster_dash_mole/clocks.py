"""Takes this host's clocks that nobody sets, gives how long it was asleep: suspended, so that nothing ran."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster_dash_mole.reading import Json

SLEPT_S = 2.0
"""A shorter sleep is told by nobody: a reading that is a little late is no gap."""
_APART_S = 0.1


def since_boot() -> float:
    """Seconds since boot, sleep included; where the system has no such clock, as the monotonic one has it."""
    uptime = read_uptime()
    return time.monotonic() if uptime is None else uptime


def read_uptime() -> float | None:
    """Seconds since boot, sleep included. None where the system has no clock of it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else time.clock_gettime(clock)


class Sleep:
    """How long the host slept from one look to the next: by so much the clock since boot went further than the
    monotonic one, which stands meanwhile. What pauses a virtual machine stops both, and isn't seen.
    """

    def __init__(
        self, uptime: Callable[[], float | None] = read_uptime, awake: Callable[[], float] = time.monotonic
    ) -> None:
        self._uptime = uptime
        self._awake = awake
        self._slept_s: float | None = None

    def look(self, now: float) -> list[dict[str, Json]]:
        """An event if it slept since the last look; `now` by the wall clock. The first look gives none."""
        slept_s = self._measure()
        if slept_s is None:
            return []
        before, self._slept_s = self._slept_s, slept_s
        if before is None or slept_s - before < SLEPT_S:
            return []
        return [describe_sleep(now, slept_s - before)]

    def _measure(self) -> float | None:
        """Since boot. None where it can't be told, or this thread had to wait between the clocks."""
        before, uptime, after = self._awake(), self._uptime(), self._awake()
        return None if uptime is None or after - before > _APART_S else uptime - after


def describe_sleep(now: float, slept_s: float) -> dict[str, Json]:
    """The event of a host that woke just before `now`."""
    text = f"this host was asleep for {timedelta(seconds=round(slept_s))}"
    return {"time": now, "kind": "sleep", "text": text, "data": {"slept_s": round(slept_s, 1)}}
