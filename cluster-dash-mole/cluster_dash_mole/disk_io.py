"""Takes the kernel's counters of block devices, gives how much each whole disk reads and writes."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_dash_mole.rates import Rates
from cluster_dash_mole.reading import KeptFile, Metric, Reading, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

READ = Metric("sys.disk_io.read_bytes_per_s", "B/s", "read from the disk")
WRITTEN = Metric("sys.disk_io.written_bytes_per_s", "B/s", "written to the disk")
BUSY = Metric("sys.disk_io.busy_percent", "%", "time in which the disk had something to do; SSDs take more even at 100")

_SECTOR_BYTES = 512  # of the kernel's counters, whatever the disk's own sectors are
# Not disks: memory, files and images, optical drives, and what is built from disks that are counted themselves.
_NOT_A_DISK = re.compile(r"(loop|z?ram|fd|sr|dm-|md|zd|drbd|bcache)\d")
_MOST_DISKS = 128


def parse_diskstats(text: str) -> dict[str, tuple[int, int, int]]:
    """/proc/diskstats by device: sectors read, sectors written, ms in which it was busy. Format: kernel's iostats."""
    counters: dict[str, tuple[int, int, int]] = {}
    for line in text.split("\n"):
        words = line.split()
        try:
            counters[words[2]] = (int(words[5]), int(words[9]), int(words[12]))
        except (IndexError, ValueError):
            continue
    return counters


def select_disks(names: Iterable[str]) -> list[str]:
    """Those that are whole disks. `nvme0n1p2` and `sda1` are partitions where `nvme0n1` and `sda` exist."""
    known = set(names)
    disks: list[str] = []
    for name in sorted(known):
        base = name.rstrip("0123456789")
        whole = base[:-1] if base.endswith("p") and base[-2:-1].isdigit() else base
        if not _NOT_A_DISK.match(name) and (base == name or whole not in known):
            disks.append(name)
    return disks[:_MOST_DISKS]


class DiskIoCollector:
    """Each disk since its own previous reading."""

    name = "disk_io"

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._diskstats = KeptFile(proc / "diskstats")
        self._rates = Rates(clock)
        self._known: set[str] = set()
        self._disks: list[str] = []

    def prime(self) -> None:
        """Make the first reading, so that the first post has the rates."""
        self.collect()

    def collect(self) -> Reading:
        """Samples only."""
        counters = parse_diskstats(self._diskstats.read_optional())
        if counters.keys() != self._known:
            self._known, self._disks = set(counters), select_disks(counters)
        rates = self._rates.update({name: counters[name] for name in self._disks})
        reading = Reading()
        for name, (sectors_read, sectors_written, busy_ms) in rates.items():
            tags = {"disk": name}
            reading.samples += [
                Sample(READ, sectors_read * _SECTOR_BYTES, tags=tags),
                Sample(WRITTEN, sectors_written * _SECTOR_BYTES, tags=tags),
                Sample(BUSY, min(100.0, busy_ms / 10), tags=tags),
            ]
        return reading

    def close(self) -> None:
        """Nothing is held."""
