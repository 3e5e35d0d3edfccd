"""Takes the kernel's counts of memory and swap, gives the post's `memory` section."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_dash_mole.rates import Rates
from cluster_dash_mole.reading import KeptFile, Metric, Reading, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHARED = Metric("sys.mem_shared_bytes", "B", "shared memory and tmpfs, /dev/shm included; it can't be given back")
BUFFERS = Metric("sys.mem_buffers_bytes", "B", "cache of block devices; given back when programs need it")
CACHED = Metric("sys.mem_cached_bytes", "B", "cache of files, with shared memory; most of it can be given back")
HUGE_TOTAL = Metric("sys.mem_hugepages_bytes", "B", "memory set aside for huge pages; absent where there is none")
HUGE_FREE = Metric("sys.mem_hugepages_free_bytes", "B", "memory set aside for huge pages and not in use")
SWAP_USED = Metric("sys.swap_used_bytes", "B", "swap in use; absent on a host without swap")
SWAP_TOTAL = Metric("sys.swap_total_bytes", "B", "size of the swap; absent on a host without swap")
SWAP_IN = Metric("sys.swap_in_bytes_per_s", "B/s", "memory read back from swap; absent on a host without swap")
SWAP_OUT = Metric("sys.swap_out_bytes_per_s", "B/s", "memory written to swap; absent on a host without swap")

GIB = 2**30
_IN_KB = ("MemTotal", "MemAvailable", "Buffers", "Cached", "Shmem", "SwapTotal", "SwapFree", "Hugepagesize")
_WANTED = frozenset((*_IN_KB, "HugePages_Total", "HugePages_Free"))
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def parse_meminfo(text: str) -> dict[str, int]:
    """`MemTotal:  16384 kB` and so on, in bytes, as far as it is used here. kB are KiB; a count has no unit."""
    sizes: dict[str, int] = {}
    for line in text.split("\n"):
        name, _, rest = line.partition(":")
        words = rest.split() if name in _WANTED else []
        if words and words[0].isdigit():
            sizes[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    return sizes


def parse_vmstat(text: str) -> list[int]:
    """/proc/vmstat: pages read from swap and written to it since boot; empty when it lacks them."""
    lines = [line.partition(" ") for line in text.split("\n") if line.startswith("pswp")]
    pages = {name: int(count) for name, _, count in lines if count.isdigit()}
    return [pages["pswpin"], pages["pswpout"]] if {"pswpin", "pswpout"} <= pages.keys() else []


def assemble_memory(sizes: Mapping[str, int]) -> dict[str, float | None]:
    """The seed's section, in GiB. `used` = total - available, so cache that can be given back isn't in it."""
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    used = None if total is None or available is None else total - available
    by_key = {"total_gb": total, "available_gb": available, "used_gb": used}
    return {key: None if size is None else size / GIB for key, size in by_key.items()}


def assemble_samples(sizes: Mapping[str, int]) -> list[Sample]:
    """What the section has no place for. Huge pages and swap only where there are any."""
    samples = [
        Sample(SHARED, sizes.get("Shmem")),
        Sample(BUFFERS, sizes.get("Buffers")),
        Sample(CACHED, sizes.get("Cached")),
    ]
    page, pages, free = (sizes.get(key) for key in ("Hugepagesize", "HugePages_Total", "HugePages_Free"))
    if page and pages and free is not None:
        samples += [Sample(HUGE_TOTAL, pages * page), Sample(HUGE_FREE, free * page)]
    if sizes.get("SwapTotal") and "SwapFree" in sizes:
        used = sizes["SwapTotal"] - sizes["SwapFree"]
        samples += [Sample(SWAP_USED, used), Sample(SWAP_TOTAL, sizes["SwapTotal"])]
    return samples


class MemoryCollector:
    """Memory and swap of the host."""

    name = "memory"

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._meminfo = KeptFile(proc / "meminfo")
        self._vmstat = KeptFile(proc / "vmstat")
        self._rates = Rates(clock)

    def prime(self) -> None:
        """Make the first reading, so that the first post has the rates."""
        self.collect()

    def collect(self) -> Reading:
        """`memory`, all of it None when the kernel doesn't tell."""
        reading = Reading()
        try:
            sizes = parse_meminfo(self._meminfo.read_text())
        except OSError as error:
            sizes = {}
            reading.errors["memory"] = f"{self._meminfo.path}: {error.strerror}"
        reading.sections["memory"] = assemble_memory(sizes)
        reading.samples = assemble_samples(sizes)
        if sizes.get("SwapTotal"):
            reading.samples += self._collect_swap_rates()
        return reading

    def _collect_swap_rates(self) -> list[Sample]:
        pages = parse_vmstat(self._vmstat.read_optional())
        rates = self._rates.update({"swap": pages} if pages else {})
        return [
            Sample(metric, rate * _PAGE_BYTES)
            for pages_per_s in rates.values()
            for metric, rate in zip((SWAP_IN, SWAP_OUT), pages_per_s)
        ]

    def close(self) -> None:
        """Nothing is held."""
