"""What a simulation did to its hosts and GPUs, for whoever checks what a page says of them."""

from __future__ import annotations

from dataclasses import dataclass

FREE, IN_USE, HELD_IDLE, SPINNING, LOST, HUNG, MIG = "free", "in_use", "held_idle", "spinning", "lost", "hung", "mig"
GPU_STATES = (FREE, IN_USE, HELD_IDLE, SPINNING, LOST, HUNG, MIG)
"""Of a GPU: nobody is on it; somebody works on it; memory is held and nothing is done since `since`; a program hangs on
it, at 100 % and with little power; it has fallen off the bus; its driver doesn't answer; it is split into instances."""


@dataclass(frozen=True)
class GpuTruth:
    """A GPU as it is. Values are those of the post, rounded alike; None = not in it. Memory in MiB, `since` in Unix
    seconds by the server's clock, `throttle` as NVML's bit mask. `screens` are users who only draw a screen with it.
    """

    id: str
    index: int
    model: str
    state: str
    users: tuple[str, ...]
    screens: tuple[str, ...]
    since: float | None
    used_mib: float | None
    total_mib: float | None
    util_percent: float | None
    power_w: float | None
    temperature_c: int | None
    throttle: int | None


@dataclass(frozen=True)
class HostTruth:
    """A host as it is. `conditions` are those of `scenario.CONDITIONS`; `posted_at` is when its newest post was made,
    by the server's clock, None before the first; `clock_ahead_s` is how far its own clock is off.
    """

    name: str
    conditions: frozenset[str]
    posted_at: float | None
    clock_ahead_s: float
    gpus: tuple[GpuTruth, ...]
