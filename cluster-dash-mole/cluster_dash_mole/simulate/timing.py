"""Takes when a simulation began and how fast its lab lives, gives the times of its posts by all its clocks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """`began_at` in Unix seconds. The lab's time counts from a Monday at 0:00; `speed` is how many of its seconds pass
    in one.
    """

    began_at: float
    interval_s: float
    lab_start_s: float
    speed: float

    def lab_s(self, time: float) -> float:
        """The lab's time."""
        return self.lab_start_s + (time - self.began_at) * self.speed

    def real(self, lab_s: float) -> float:
        """Unix seconds of the lab's time."""
        return self.began_at + (lab_s - self.lab_start_s) / self.speed
