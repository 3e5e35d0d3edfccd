"""Takes the kernel's CPU time counters and load averages, gives the post's `cpu` section."""

from __future__ import annotations

import os
from typing import NamedTuple

import psutil

from cluster_dash_mole.reading import Metric, Reading, Sample

IOWAIT = Metric(
    "sys.cpu.iowait_percent", "%", "time in which a CPU was idle only because it waited for disk or network"
)


class CpuTimes(NamedTuple):
    """Seconds since boot, summed over all CPUs. `iowait` is None where the system doesn't count it."""

    busy: float
    idle: float
    iowait: float | None


class CpuUse(NamedTuple):
    """Percent of all CPUs, 0 to 100, over the time between two readings. None = not known."""

    busy_percent: float | None
    iowait_percent: float | None


def read_cpu_times() -> CpuTimes:
    """From psutil. Guest time is in `user` and `nice` already, so it isn't added again."""
    times = psutil.cpu_times()
    busy_fields = ("user", "nice", "system", "irq", "softirq", "steal")
    busy = sum(float(getattr(times, name, 0.0)) for name in busy_fields)
    return CpuTimes(busy, times.idle, getattr(times, "iowait", None))


def parse_cpu_use(before: CpuTimes | None, after: CpuTimes) -> CpuUse:
    """Waiting for disks counts as idle. No earlier reading, or no time between the two, gives None, not 0."""
    if before is None:
        return CpuUse(None, None)
    busy = _rise(before.busy, after.busy)
    iowait = _rise(before.iowait or 0.0, after.iowait or 0.0)
    total = busy + _rise(before.idle, after.idle) + iowait
    if total <= 0:
        return CpuUse(None, None)
    return CpuUse(100 * busy / total, None if after.iowait is None else 100 * iowait / total)


def _rise(before: float, after: float) -> float:
    # Linux lets idle and iowait step back by a tick at times.
    return max(0.0, after - before)


class CpuCollector:
    """CPU use since its own previous reading; psutil's cpu_percent keeps that per thread and starts with a false 0."""

    name = "cpu"

    def __init__(self) -> None:
        self._before: CpuTimes | None = None

    def prime(self) -> None:
        """Make the first reading, so that the first post has a percentage."""
        self._before = read_cpu_times()

    def collect(self) -> Reading:
        """`cpu`: percent, load averages over 1, 5 and 15 minutes, number of CPUs that are online."""
        times = read_cpu_times()
        use = parse_cpu_use(self._before, times)
        self._before = times
        cpu = {"cpu_percent": use.busy_percent, "load_avgs": list(os.getloadavg()), "num_cpus": os.cpu_count()}
        return Reading({"cpu": cpu}, [Sample(IOWAIT, use.iowait_percent)])

    def close(self) -> None:
        """Nothing is held."""
