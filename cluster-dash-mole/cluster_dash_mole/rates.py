"""Takes counters that only grow, gives how fast they grew since the reading before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Rates:
    """Growth per second of each device's counters. `clock` counts seconds and never jumps: those that the
    host was awake, as counters stand still while it sleeps.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: Mapping[str, Sequence[int]] = {}
        self._before_at = 0.0

    def update(self, counters: Mapping[str, Sequence[int]]) -> dict[str, list[float]]:
        """By device, in the order of its counters. A device is left out at its first reading and when any one of its
        counters fell: it was reset, wrapped or made anew, and how much it had counted until then nobody knows.
        """
        now = self._clock()
        elapsed_s, before = now - self._before_at, self._before
        self._before, self._before_at = counters, now
        if elapsed_s <= 0:
            return {}
        return {
            device: [(value - old) / elapsed_s for value, old in zip(values, before[device])]
            for device, values in counters.items()
            if device in before and all(value >= old for value, old in zip(values, before[device]))
        }
