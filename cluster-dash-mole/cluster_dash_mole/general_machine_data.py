"""Takes /proc and the size of each local file system, gives the post's `general`, `memory` and `disk` sections."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from cluster_dash_mole.mounts import read_mounts, select_local
from cluster_dash_mole.reading import Metric, Reading, Sample

if TYPE_CHECKING:
    from cluster_dash_mole.mounts import Mount
    from cluster_dash_mole.reading import Json

SWAP_USED = Metric("sys.swap_used_bytes", "B", "swap in use; absent on a host without swap")
UPTIME = Metric("sys.uptime_s", "s", "time since the host started, sleep included")

GIB = 2**30
_MOST_DISKS = 256  # the server takes no more in one post


class Memory(NamedTuple):
    """Bytes. `used` = total - available, so page cache that can be given back isn't in it. None = not known."""

    total: int | None
    available: int | None
    used: int | None
    swap_used: int | None


class Disk(NamedTuple):
    """Bytes of one file system. `free_to_users` is what remains without the part that is kept for root."""

    total: int
    used: int
    free_to_users: int


def read_memory(proc: Path) -> Memory:
    """From <proc>/meminfo."""
    return parse_meminfo(Path(proc, "meminfo").read_text(encoding="ascii", errors="replace"))


def parse_meminfo(text: str) -> Memory:
    """`MemTotal:  16384 kB` and so on; kB are KiB. A host without swap has swap_used None."""
    words = [line.split() for line in text.splitlines()]
    sizes = {line[0].rstrip(":"): int(line[1]) * 1024 for line in words if len(line) >= 2 and line[1].isdigit()}
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    used = None if total is None or available is None else total - available
    swap_used = sizes["SwapTotal"] - sizes["SwapFree"] if sizes.get("SwapTotal") and "SwapFree" in sizes else None
    return Memory(total, available, used, swap_used)


def read_disk(mount: Mount) -> Disk | None:
    """The size by statvfs. None = nothing to measure: a file mounted over a file, or a file system without blocks."""
    path = os.fsencode(mount.mount_point)
    if not Path(os.fsdecode(path)).is_dir():
        return None
    size = os.statvfs(path)
    if not size.f_blocks:
        return None
    total, free = size.f_blocks * size.f_frsize, size.f_bfree * size.f_frsize
    return Disk(total, total - free, size.f_bavail * size.f_frsize)


def parse_disk(mount: Mount, disk: Disk) -> dict[str, Json]:
    """The seed's entry, in GiB; the percentage is that of `df`: of what users can have."""
    reachable = disk.used + disk.free_to_users
    return {
        "mount_point": as_text(mount.mount_point),
        "device": as_text(mount.device),
        "total_gb": disk.total / GIB,
        "used_gb": disk.used / GIB,
        "percent_used": 100 * disk.used / reachable if reachable else None,
    }


def as_text(path: str) -> str:
    """A path that can travel as JSON: bytes that aren't UTF-8 are written as escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class GeneralMachineCollector:
    """The host itself. `proc` is another folder in tests."""

    name = "general"

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def prime(self) -> None:
        """Nothing to prepare."""

    def collect(self) -> Reading:
        """`general`, `memory` and `disk`; a disk that can't be read is left out and named in the errors."""
        memory = read_memory(self._proc)
        reading = Reading({"general": read_general(), "memory": _memory_section(memory)})
        reading.samples = [Sample(SWAP_USED, memory.swap_used), Sample(UPTIME, read_uptime())]
        reading.sections["disk"] = self._collect_disks(reading.errors)
        return reading

    def _collect_disks(self, errors: dict[str, str]) -> dict[str, Json]:
        disks: dict[str, Json] = {}
        for mount in select_local(read_mounts(self._proc))[:_MOST_DISKS]:
            try:
                disk = read_disk(mount)
            except OSError as error:
                errors[f"disk {as_text(mount.mount_point)}"[:256]] = error.strerror or str(error)
            else:
                if disk is not None:
                    disks[as_text(mount.mount_point)] = parse_disk(mount, disk)
        return disks

    def close(self) -> None:
        """Nothing is held."""


def _memory_section(memory: Memory) -> dict[str, Json]:
    sizes = {"total_gb": memory.total, "available_gb": memory.available, "used_gb": memory.used}
    return {key: None if size is None else size / GIB for key, size in sizes.items()}


def read_general() -> dict[str, Json]:
    """Name, clock and start of this host; the times in local time, for a person."""
    return {
        "hostname": read_hostname(),
        "system_time": _local_time(time.time()),
        "boottime": _local_time(psutil.boot_time()),
    }


def read_hostname() -> str:
    """As the kernel has it; the server takes no control characters in it and no empty one."""
    name = "".join(letter for letter in socket.gethostname() if letter.isprintable())
    return name[:256] or "unknown"


def _local_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def read_uptime() -> float | None:
    """Seconds since boot, from a clock that nobody can set. None where the system has none."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else time.clock_gettime(clock)
