"""Takes the live hosts, gives what the views show: a row per host as it is now, and the fleet over time."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .gpus import Gpu, gpu_error_of, gpus_of
from .live.hosts import Host, Hosts, SeriesColumns

FREE_BELOW_PERCENT = 30
"""The original's rule for /api/gpu-summary and the history: less than this share of memory and of utilisation."""

UTIL, USED, TOTAL = "sys.gpu.util_percent", "sys.gpu.mem_used_bytes", "sys.gpu.mem_total_bytes"


@dataclass(slots=True)
class Disk:
    mount: str
    device: str | None
    total_gib: float | None
    used_gib: float | None
    percent: float | None
    """As df has it: of what users can fill."""


@dataclass(slots=True)
class HostNow:
    """A host's latest post, read; what the post lacks is None."""

    name: str
    age_s: float
    status: str
    host: Host
    gpus: list[Gpu]
    gpu_error: tuple[str, str] | None
    cpu_percent: float | None
    num_cpus: int | None
    load_1m: float | None
    mem_percent: float | None
    mem_used_gib: float | None
    mem_total_gib: float | None
    disks: list[Disk]

    @property
    def free_gpus(self) -> int:
        return sum(gpu.is_free for gpu in self.gpus) if self.status != "offline" else 0

    @property
    def fullest_disk(self) -> Disk | None:
        known = [disk for disk in self.disks if disk.percent is not None]
        return max(known, key=lambda disk: disk.percent or 0, default=None)

    @property
    def root_disk(self) -> Disk | None:
        return next((disk for disk in self.disks if disk.mount == "/"), None)


def now(hosts: Hosts) -> list[HostNow]:
    """By name as a person counts: gpu2 before gpu10."""
    return [host_now(hosts, host) for host in sorted(hosts.all(), key=lambda host: natural(host.name))]


def natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]


def host_now(hosts: Hosts, host: Host) -> HostNow:
    post = host.post
    cpu: dict[str, Any] = post["cpu"]
    memory: dict[str, Any] = post.get("memory", {})
    used, total = memory.get("used_gb"), memory.get("total_gb")
    age_s = hosts.age_s(host)
    return HostNow(
        name=host.name,
        age_s=age_s,
        status=host.status(age_s),
        host=host,
        gpus=gpus_of(post),
        gpu_error=gpu_error_of(post),
        cpu_percent=cpu.get("cpu_percent"),
        num_cpus=cpu.get("num_cpus"),
        load_1m=(cpu.get("load_avgs") or [None])[0],
        mem_percent=min(100.0, used / total * 100) if used is not None and total else None,
        mem_used_gib=used,
        mem_total_gib=total,
        disks=[_disk(key, entry) for key, entry in post.get("disk", {}).items()],
    )


def _disk(key: str, entry: dict[str, Any]) -> Disk:
    return Disk(
        entry.get("mount_point") or key,
        entry.get("device"),
        entry.get("total_gb"),
        entry.get("used_gb"),
        entry.get("percent_used"),
    )


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


@dataclass(slots=True)
class FleetBucket:
    """What the fleet's GPUs were in one span of time; each figure is the mean over the posts in it."""

    started_at: float
    servers: dict[str, dict[str, float]]

    def total(self, figure: str) -> float:
        return sum(server[figure] for server in self.servers.values())

    def mean(self, figure: str) -> float | None:
        return mean([server.get(figure) for server in self.servers.values()])


def bucket_s(hours: float) -> int:
    """5 minutes up to a day, 15 up to a week, an hour up to 30 days, else four."""
    for up_to_hours, seconds in ((24, 300), (24 * 7, 900), (24 * 30, 3600)):
        if hours <= up_to_hours:
            return seconds
    return 4 * 3600


def fleet_history(hosts: Hosts, hours: float, now_s: float) -> list[FleetBucket]:
    """In order of time; a span without a post of a host with GPUs is left out."""
    width = bucket_s(hours)
    buckets: dict[int, FleetBucket] = {}
    for host in hosts.all():
        for start, figures in _host_buckets(hosts, host, now_s - hours * 3600, width).items():
            bucket = buckets.setdefault(start, FleetBucket(start, {}))
            bucket.servers[host.name] = figures
    return [buckets[start] for start in sorted(buckets)]


def _host_buckets(hosts: Hosts, host: Host, since: float, width: int) -> dict[int, dict[str, float]]:
    columns = {column.key[:2]: column for column in hosts.series(host, UTIL, USED, TOTAL)}
    sums: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for metric, device in columns:
        used, util = columns.get((USED, device)), columns.get((UTIL, device))
        if metric == TOTAL and used:
            _add_device(sums, columns[TOTAL, device], used, util, since, width)
    return {start: _figures(bucket) for start, bucket in sums.items()}


def _add_device(
    sums: dict[int, dict[str, list[float]]],
    total: SeriesColumns,
    used: SeriesColumns,
    util: SeriesColumns | None,
    since: float,
    width: int,
) -> None:
    for row, time in enumerate(total.time):
        if time < since or not total.value[row] > 0 or math.isnan(used.value[row]):
            continue
        bucket = sums[int(time // width) * width]
        percent = used.value[row] / total.value[row] * 100
        busy = util.value[row] if util else math.nan
        bucket["posts"].append(time)
        bucket["avg_gpu_memory_percent"].append(percent)
        bucket["free"].append(percent < FREE_BELOW_PERCENT and busy < FREE_BELOW_PERCENT)
        if not math.isnan(busy):
            bucket["avg_gpu_util"].append(busy)


def _figures(bucket: dict[str, list[float]]) -> dict[str, float]:
    posts = len(set(bucket["posts"]))
    figures = {"total_gpus": len(bucket["posts"]) / posts, "free_gpus": sum(bucket["free"]) / posts}
    for name in ("avg_gpu_memory_percent", "avg_gpu_util"):
        if bucket[name]:
            figures[name] = sum(bucket[name]) / len(bucket[name])
    return figures
