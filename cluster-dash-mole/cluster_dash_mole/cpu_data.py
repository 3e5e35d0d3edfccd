"""Takes the kernel's CPU time counters, queue and load averages, gives the post's `cpu` section."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cluster_dash_mole.reading import KeptFile, Metric, Reading, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

CORE = Metric("sys.cpu.core_percent", "%", "how busy each CPU was")
IOWAIT = Metric(
    "sys.cpu.iowait_percent", "%", "time in which a CPU was idle only because it waited for disk or network"
)
STEAL = Metric("sys.cpu.steal_percent", "%", "time that the hypervisor gave to other virtual machines")
RUNNING = Metric("sys.cpu.procs_running", "1", "threads that run or wait for a CPU, the mole's own included")
BLOCKED = Metric("sys.cpu.procs_blocked", "1", "threads that wait for a disk or network file system and can't be ended")

_IDLE, _IOWAIT, _STEAL = 3, 4, 7
_COUNTED = 8  # guest times follow, but they are in user and nice already


class CpuStat(NamedTuple):
    """`times` are ticks since boot by "cpu" for all and "cpu0", "cpu1", ... for each that is online.

    A line's order: user, nice, system, idle, iowait, irq, softirq, steal; old kernels end it earlier.
    """

    times: Mapping[str, tuple[int, ...]]
    procs_running: int | None
    procs_blocked: int | None


class CpuUse(NamedTuple):
    """Percent, 0 to 100, over the time between two readings. None = not known."""

    busy_percent: float | None = None
    iowait_percent: float | None = None
    steal_percent: float | None = None


def parse_stat(text: str) -> CpuStat:
    """/proc/stat. A line that can't be understood is left out. Format: proc_stat(5)."""
    times: dict[str, tuple[int, ...]] = {}
    single: dict[str, int] = {}
    for line in text.split("\n"):
        if line.startswith("cpu"):
            name, *words = line.split(None, 1 + _COUNTED)
            ticks = _numbers(words[:_COUNTED])
            if len(ticks) > _IDLE:
                times[name] = ticks
        elif line.startswith("procs_"):
            name, _, count = line.partition(" ")
            if _numbers([count]):
                single[name] = int(count)
    return CpuStat(times, single.get("procs_running"), single.get("procs_blocked"))


def _numbers(words: list[str]) -> tuple[int, ...]:
    try:
        return tuple(map(int, words))
    except ValueError:
        return ()


def parse_cpu_use(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> CpuUse:
    """Waiting for disks counts as idle. No earlier reading, or no time between the two, gives None, not 0."""
    if before is None or after is None or len(before) != len(after):
        return CpuUse()
    # Linux lets idle and iowait step back by a tick at times.
    rises = [new - old if new > old else 0 for old, new in zip(before, after)]
    total = sum(rises)
    if not total:
        return CpuUse()
    waited = rises[_IOWAIT] if len(rises) > _IOWAIT else None
    stolen = rises[_STEAL] if len(rises) > _STEAL else None
    busy = total - rises[_IDLE] - (waited or 0)
    return CpuUse(100 * busy / total, _share(waited, total), _share(stolen, total))


def _share(part: int | None, total: int) -> float | None:
    return None if part is None else 100 * part / total


def parse_load_averages(text: str) -> list[float] | None:
    """/proc/loadavg: over 1, 5 and 15 minutes."""
    try:
        loads = [float(word) for word in text.split()[:3]]
    except ValueError:
        return None
    return loads if len(loads) == 3 else None


class CpuCollector:
    """CPU use since its own previous reading; psutil's cpu_percent keeps that per thread and starts with a false 0."""

    name = "cpu"

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._stat = KeptFile(proc / "stat")
        self._loadavg = KeptFile(proc / "loadavg")
        self._before: Mapping[str, tuple[int, ...]] = {}

    def prime(self) -> None:
        """Make the first reading, so that the first post has a percentage."""
        self.collect()

    def collect(self) -> Reading:
        """`cpu`: percent, load averages over 1, 5 and 15 minutes, number of CPUs that are online."""
        reading = Reading()
        try:
            stat = parse_stat(self._stat.read_text())
        except OSError as error:
            stat = CpuStat({}, None, None)
            reading.errors["cpu"] = f"{self._stat.path}: {error.strerror}"
        use = parse_cpu_use(self._before.get("cpu"), stat.times.get("cpu"))
        reading.samples = [
            Sample(IOWAIT, use.iowait_percent),
            Sample(STEAL, use.steal_percent),
            Sample(RUNNING, stat.procs_running),
            Sample(BLOCKED, stat.procs_blocked),
        ]
        cores = [name for name in stat.times if name != "cpu"]
        for name in cores:
            percent = parse_cpu_use(self._before.get(name), stat.times[name]).busy_percent
            reading.samples.append(Sample(CORE, percent, tags={"core": name[3:]}))
        self._before = stat.times
        reading.sections["cpu"] = {
            "cpu_percent": use.busy_percent,
            "load_avgs": parse_load_averages(self._loadavg.read_optional()),
            "num_cpus": len(cores) or os.cpu_count(),
        }
        return reading

    def close(self) -> None:
        """Nothing is held."""
