"""Takes the live hosts, gives what the views show: a row per host as it is now, and the fleet over time."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .gpus import Gpu, Process, gpu_error_of, gpus_of
from .live.claim import Rival, ids_of, label
from .live.clock import OwnError
from .live.host import Host, Latest
from .live.hosts import Hosts
from .live.watch import GpuNow
from .plausible import SENSORS, can_be, faults_of, without_impossible
from .points import COUNTS, mean
from .store.fleet import read_means

if TYPE_CHECKING:
    from .store.store import Store


@dataclass(slots=True)
class Disk:
    mount: str
    device: str | None
    total_gib: float | None
    used_gib: float | None
    percent: float | None
    """As df has it: of what users can fill."""
    stale_since: float | None
    """Unix seconds by the host's clock: since then a network file system hasn't answered."""

    @property
    def sort_key(self) -> tuple[float, str]:
        """The fullest first."""
        return (-(self.percent or 0), self.mount)


@dataclass(slots=True)
class RivalNow:
    """Who else posts under a host's name, and is refused."""

    label: str
    """Its address and ids."""
    address: str
    ids: str
    by_number: bool
    """Refused as its posts have the numbers of others; else as another machine."""
    gpus: int
    since_s: float
    last_s: float
    posts: int


@dataclass(slots=True)
class HostNow:
    """A host's latest post, read; what the post lacks is None."""

    host: Host
    latest: Latest
    post: dict[str, Any]
    gpus: list[Gpu]
    """Those that the host is known to have, though its driver may tell nothing of them now."""
    gpu_error: tuple[str, str] | None
    """(state, text) where the mole could read no GPU at all."""
    age_s: float
    status: str
    """up, stale or offline."""
    skew_s: float | None
    """How far its clock is ahead; None where it isn't off. See `Hosts.skew_s`."""
    cpu_percent: float | None
    num_cpus: int | None
    load_1m: float | None
    mem_percent: float | None
    mem_used_gib: float | None
    mem_total_gib: float | None
    disks: list[Disk]
    rivals: list[RivalNow]
    holder_since_s: float
    mono_s: float
    """When this was read, by the server's clock that nobody sets."""
    gpus_now: list[GpuNow]
    """What each of `gpus` does, and since when."""

    def since_s(self, trouble: str) -> float | None:
        """How long the host has had it, see `Watch`; None where it isn't known."""
        mono_s = self.host.watch.trouble_since(trouble)
        return None if mono_s is None else max(0.0, self.mono_s - mono_s)

    @property
    def holder(self) -> str:
        """Which machine is shown: its address and ids."""
        return label(self.host.claim.machine, self.host.claim.address)

    @property
    def holder_ids(self) -> str:
        return ids_of(self.host.claim.machine)

    @property
    def machines(self) -> int:
        """That report under its name now."""
        return 1 + sum(not rival.by_number for rival in self.rivals)

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def posted_gpus(self) -> list[Gpu]:
        """Those that its newest post has."""
        return [] if self.latest.hidden_gpus else self.gpus

    @property
    def state(self) -> str:
        """`status`; of an up host conflict where another machine wants its name, fault where GPUs can't be read."""
        if self.status == "up" and self.rivals:
            return "conflict"
        broken = self.gpu_error is not None or any(gpu.state != "ok" for gpu in self.gpus)
        return "fault" if self.status == "up" and broken else self.status

    @property
    def free_gpus(self) -> int:
        """Right now: what a silent host last said is no promise."""
        return sum(gpu.is_free for gpu in self.gpus) if self.status == "up" else 0

    @property
    def used_gpus(self) -> int:
        """Read right now and not free."""
        readable = sum(gpu.is_readable for gpu in self.gpus) if self.status == "up" else 0
        return readable - self.free_gpus

    @property
    def processes(self) -> list[tuple[Gpu, Process]]:
        """By GPU, the largest first."""
        found = [(gpu, process) for gpu in self.gpus for process in gpu.processes]
        return sorted(found, key=lambda each: (each[0].index, -(each[1].mem_mib or 0)))

    @property
    def fullest_disk(self) -> Disk | None:
        known = [disk for disk in self.disks if disk.percent is not None]
        return max(known, key=lambda disk: disk.percent or 0, default=None)

    @property
    def root_disk(self) -> Disk | None:
        return next((disk for disk in self.disks if disk.mount == "/"), None)


def now(hosts: Hosts) -> list[HostNow]:
    """By name as a person counts: gpu2 before gpu10."""
    own = hosts.own_error()
    return [host_now(hosts, host, own) for host in sorted(hosts.all(), key=lambda host: natural(host.name))]


def natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]


def host_now(hosts: Hosts, host: Host, own: OwnError | None = None) -> HostNow:
    """`own` as `Hosts.own_error` tells."""
    latest = host.latest  # once: the next post may come while this one is read
    return _host_now(hosts, host, latest, latest.post, own)


def glance(hosts: Hosts, host: Host, own: OwnError | None = None) -> HostNow:
    """`host_now` whose post has only what the overview shows of it, which takes half the time to decode."""
    latest = host.latest
    return _host_now(hosts, host, latest, latest.document.glance(), own)


def _host_now(hosts: Hosts, host: Host, latest: Latest, post: dict[str, Any], own: OwnError | None) -> HostNow:
    cpu: dict[str, Any] = post["cpu"]
    memory: dict[str, Any] = post.get("memory", {})
    used, total = memory.get("used_gb"), memory.get("total_gb")
    age_s = hosts.age_s(latest)
    gpus = latest.hidden_gpus or gpus_of(post)
    mono_s, gpus_now = hosts.gpus_now(host, gpus)
    return HostNow(
        host=host,
        latest=latest,
        post=post,
        gpus=gpus,
        gpu_error=gpu_error_of(post) if len(gpus) != len(post["gpu"]) or latest.hidden_gpus else None,
        age_s=age_s,
        status=latest.status(age_s),
        skew_s=hosts.skew_s(latest, own),
        cpu_percent=cpu.get("cpu_percent"),
        num_cpus=cpu.get("num_cpus"),
        load_1m=(cpu.get("load_avgs") or [None])[0],
        mem_percent=min(100.0, used / total * 100) if used is not None and total else None,
        mem_used_gib=used,
        mem_total_gib=total,
        disks=[_disk(key, entry) for key, entry in post.get("disk", {}).items()],
        rivals=[_rival(hosts, rival) for rival in hosts.rivals(host)],
        holder_since_s=hosts.ago_s(host.claim.since_mono_s),
        mono_s=mono_s,
        gpus_now=gpus_now,
    )


def _rival(hosts: Hosts, rival: Rival) -> RivalNow:
    since_s, last_s = hosts.ago_s(rival.since_mono_s), hosts.ago_s(rival.last_mono_s)
    machine = rival.machine
    return RivalNow(
        rival.label,
        rival.address,
        ids_of(machine),
        rival.by_number,
        len(machine.gpu_uuids),
        since_s,
        last_s,
        rival.posts,
    )


def by_device(post: dict[str, Any], metric: str) -> dict[int, float]:
    """The newest values of a metric by GPU index; a GPU that has none, or one that can't be, is left out."""
    return without_impossible(_posted(post, metric), metric)


def sensor_faults(post: dict[str, Any]) -> list[tuple[int, str]]:
    """By GPU index what its sensors tell and can't be."""
    metrics: dict[str, Any] = post.get("metrics", {})
    doubted = [metric for metric in SENSORS if metric in metrics and not can_be(metrics[metric]["value"], metric)]
    return [fault for metric in doubted for fault in faults_of(_posted(post, metric), metric)]


def _posted(post: dict[str, Any], metric: str) -> dict[int, float]:
    columns: dict[str, Any] = post.get("metrics", {}).get(metric, {})
    values = columns.get("value", ())
    both = zip(columns.get("device", ()), values, strict=False)
    return {device: value for device, value in both if value is not None} if None in values else dict(both)


def _disk(key: str, entry: dict[str, Any]) -> Disk:
    return Disk(
        entry.get("mount_point") or key,
        entry.get("device"),
        entry.get("total_gb"),
        entry.get("used_gb"),
        entry.get("percent_used"),
        entry.get("stale_since"),
    )


@dataclass(slots=True)
class FleetBucket:
    """What the fleet's GPUs were in one span of time; each figure is the mean over the posts in it."""

    started_at: float
    servers: dict[str, dict[str, float]]

    def total(self, figure: str) -> float:
        return sum(server[figure] for server in self.servers.values())

    def mean(self, figure: str) -> float | None:
        return mean([server.get(figure) for server in self.servers.values()])


FIGURES: dict[str, str] = dict(
    zip(COUNTS, ("total_gpus", "free_gpus", "avg_gpu_util", "avg_gpu_memory_percent"), strict=True)
)


def bucket_s(hours: float) -> int:
    """5 minutes up to a day, 15 up to a week, an hour up to 30 days, else four."""
    for up_to_hours, seconds in ((24, 300), (24 * 7, 900), (24 * 30, 3600)):
        if hours <= up_to_hours:
            return seconds
    return 4 * 3600


def fleet_history(hosts: Hosts, hours: float, now_s: float) -> list[FleetBucket]:
    """In order of time; a span without a post of a host with GPUs is left out."""
    width, since = bucket_s(hours), now_s - hours * 3600
    buckets: dict[int, FleetBucket] = {}
    for host in hosts.all():
        columns = hosts.headline(host, *FIGURES)
        for start, first, end in _spans(columns[0].time, since, width) if columns else ():
            figures = {FIGURES[column.key.metric]: _mean_of(column.value[first:end]) for column in columns}
            known = {name: figure for name, figure in figures.items() if figure is not None}
            if _counts_gpus(known):
                buckets.setdefault(start, FleetBucket(start, {})).servers[host.name] = known
    return [buckets[start] for start in sorted(buckets)]


def stored_fleet_history(store: Store, hours: float, now_s: float) -> list[FleetBucket]:
    """As `fleet_history`, of all that was ever kept. Raises TooMuch, StoreAway."""
    buckets: dict[int, FleetBucket] = {}
    means = read_means(store, tuple(FIGURES), bucket_s(hours), now_s - hours * 3600, now_s)
    for (start, host), known in means.items():
        figures = {FIGURES[metric]: mean for metric, mean in known.items()}
        if _counts_gpus(figures):
            buckets.setdefault(start, FleetBucket(start, {})).servers[host] = figures
    return list(buckets.values())


def _counts_gpus(figures: dict[str, float]) -> bool:
    """A store may have rows that somebody else has put there."""
    return figures.get("total_gpus", 0) > 0 and "free_gpus" in figures


def _spans(times: Sequence[float], since: float, width: int) -> Iterator[tuple[int, int, int]]:
    """Start of each bucket, its first row and the row after its last."""
    first = bisect_left(times, since)
    while first < len(times):
        start = int(times[first] // width) * width
        end = bisect_left(times, start + width, first)
        yield start, first, end
        first = end


def _mean_of(values: Sequence[float]) -> float | None:
    total = sum(values)
    return total / len(values) if total == total else mean([None if math.isnan(value) else value for value in values])
