"""Takes a host as it is now, gives its row: the JSON that everything about the fleet is made of, and what adds up.

In the JSON every duration is a hole, which `Row.text` fills with what it is when somebody asks. So a row is made once
for each post, or when time alone changes a state, however many look at it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

import orjson

from ...gpus import NO_INDEX, Gpu
from ...live.hosts import OFFLINE_AFTER_S
from ...live.watch import BUSY, IDLE, GpuNow
from ...query import HostNow, by_device, natural
from ..notes import notes_of, todo_of_gpu
from ..wording import gib, printable
from .spark import SparkOf

OFF = "off"
BAD = ("lost", "hung", "error")
SPARK_MOVES_S = 60.0
MIB_OF_GIB = 1024
MOST_NOTES = 20
MOST = 1e15
_SECONDS, _TENTHS = orjson.Fragment(b"\x00"), orjson.Fragment(b"\x01")
"""Holes. No JSON text holds these bytes otherwise: in strings they are escaped."""

Alias = Callable[[str], str]


@dataclass(slots=True)
class FreeGpu:
    """One that may be taken: a whole GPU, or an instance of a split one."""

    index: str
    uuid: str | None
    model: str
    mem_free_mib: float
    since_mono_s: float
    is_mig: bool = False


@dataclass(slots=True)
class UserOfHost:
    """What one user has on the GPUs of one host."""

    gpus: int = 0
    mib: int = 0
    idle: int = 0
    util: int = 0
    """Sum over the GPUs whose utilisation is known."""
    util_gpus: int = 0


@dataclass(slots=True)
class Row:
    name: str
    order: list[tuple[int, str]]
    """Of its name as a person counts."""
    status: str
    until_mono_s: float
    """When time alone makes another row of it."""
    gpus: dict[str, int]
    """How many are what: free, busy, idle, off, bad, unknown."""
    power_w: int | None
    users: dict[str, UserOfHost]
    free: list[FreeGpu]
    tags: list[str]
    _template: bytes
    _marks: tuple[float, ...]
    """When each duration of the template began."""

    def text(self, mono_s: float) -> bytes:
        """Its JSON as it is now."""
        return self._template % tuple([max(0.0, mono_s - mark) for mark in self._marks])


class _Holes:
    """Collects when each duration began, in the order in which they stand in the JSON."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def since(self, mono_s: float | None) -> orjson.Fragment | None:
        if mono_s is None:
            return None
        self.marks.append(mono_s)
        return _SECONDS

    def age(self, mono_s: float) -> orjson.Fragment:
        self.marks.append(mono_s)
        return _TENTHS


def silent_row(name: str, tags: list[str]) -> Row:
    """A host that is expected and hasn't reported since the server started."""
    document = {"name": name, "is": "silent", "tags": tags, "notes": [], "gpus": [], "spark": []}
    return Row(name, natural(name), "silent", math.inf, {}, None, {}, [], tags, _template_of(document), ())


def row_of(
    host: HostNow, now_s: float, tags: list[str], spark: list[int | None], spark_of: SparkOf, alias: Alias
) -> Row:
    """`now_s` in Unix seconds; `alias` gives the name that a user is shown by."""
    holes, is_up = _Holes(), host.status == "up"
    latest, memory = host.latest, host.post.get("memory", {})
    model = _commonest([gpu.name for gpu in host.gpus])
    gpus_now = [_shown(host, now) for now in host.gpus_now]
    sums = _Sums(host, gpus_now, alias)
    document: dict[str, Any] = {
        "name": host.name,
        "is": host.status,
        "age_s": holes.age(latest.received_mono_s),
        "every_s": latest.interval_s,
        "seen": round(now_s - host.age_s, 1),
        "model": printable(model) if model else None,
        "tags": tags,
        "cpu": _rounded(host.cpu_percent),
        "cpus": host.num_cpus,
        "load": _rounded(host.load_1m, 1),
        "mem": [_rounded(memory.get("used_gb"), 1), _rounded(memory.get("total_gb"), 1)],
        "disk": _disk(host),
        "net": _net(host.post),
        "spark": spark,
        "spark_of": spark_of,
        "notes": [
            {
                "kind": note.kind,
                "level": note.level,
                "text": printable(note.text),
                "since_s": holes.since(None if note.since_s is None else host.mono_s - note.since_s),
                "todo": printable(note.todo),
            }
            for note in notes_of(host)[:MOST_NOTES]
        ],
    }
    beside = _Beside(host.post)
    document["gpus"] = [
        _gpu(gpu, now, model, beside, holes, sorted(map(alias, gpu.users)) if gpu.has_values else [])
        for gpu, now in zip(host.gpus, gpus_now, strict=True)
    ]
    return Row(
        host.name,
        natural(host.name),
        host.status,
        _until(host, gpus_now, spark),
        sums.counts,
        sums.power_w(beside) if is_up else None,
        sums.users,
        sums.free if is_up else [],
        tags,
        _template_of(document),
        tuple(holes.marks),
    )


def _template_of(document: dict[str, Any]) -> bytes:
    text = orjson.dumps(document).replace(b"%", b"%%")
    return text.replace(b"\x00", b"%.0f").replace(b"\x01", b"%.1f")


def _shown(host: HostNow, now: GpuNow) -> GpuNow:
    """A host that tells nothing has no GPU that is anything."""
    if host.status == "up":
        return now
    return GpuNow(OFF, host.latest.received_mono_s, now.worked_mono_s, None)


def _until(host: HostNow, gpus_now: list[GpuNow], spark: list[int | None]) -> float:
    latest = host.latest
    offline_after_s = max(OFFLINE_AFTER_S, latest.stale_after_s if latest.interval_s else 0)
    ends = [now.until_mono_s for now in gpus_now if now.until_mono_s is not None]
    if host.status == "up":
        ends.append(latest.received_mono_s + latest.stale_after_s)
    elif any(value is not None for value in spark):
        ends.append(host.mono_s + SPARK_MOVES_S)
    if host.status != "offline":
        ends.append(latest.received_mono_s + offline_after_s)
    if host.rivals:
        ends.append(host.mono_s + SPARK_MOVES_S)
    return min(ends, default=math.inf)


class _Beside:
    """The metrics that stand beside a GPU's own fields."""

    def __init__(self, post: dict[str, Any]) -> None:
        self.power = by_device(post, "sys.gpu.power_w")
        self.limit = by_device(post, "sys.gpu.power_limit_w")
        self.temperature = by_device(post, "sys.gpu.temperature_c")


def _gpu(gpu: Gpu, now: GpuNow, model: str | None, beside: _Beside, holes: _Holes, users: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"i": None if gpu.index == NO_INDEX else gpu.index, "is": now.what}
    if gpu.name != model:
        entry["model"] = printable(gpu.name)
    entry["util"] = _rounded(gpu.util_percent)
    entry["mem"] = [_gib(gpu.used_mib), _gib(gpu.total_mib)]
    if gpu.has_values:
        entry["power"] = [_rounded(beside.power.get(gpu.index)), _rounded(beside.limit.get(gpu.index))]
        entry["temp"] = _rounded(beside.temperature.get(gpu.index))
    entry["throttled"] = gpu.throttled_by
    entry["users"] = [printable(user) for user in users]
    entry["since_s"] = holes.since(now.since_mono_s)
    if now.what in (IDLE, BUSY) and now.worked_mono_s is not None and (gpu.util_percent or 0) < 5:
        entry["idle_s"] = holes.since(now.worked_mono_s)
    why, todo = _reasons(gpu, now, users)
    if why:
        entry["why"] = printable(why)
    if todo:
        entry["todo"] = printable(todo)
    if gpu.is_split and gpu.has_values:
        entry["mig"] = [
            {"name": printable(each.name), "used_mib": each.used_mib, "total_mib": each.total_mib} for each in gpu.mig
        ]
    entry["uuid"] = printable(gpu.uuid) if gpu.uuid else None
    return entry


def _reasons(gpu: Gpu, now: GpuNow, users: list[str]) -> tuple[str, str]:
    """Why it is what it is, where that isn't plain, and what to do about it."""
    if now.what == IDLE:
        whom = " and ".join(users[:3]) or "whoever holds it"
        return f"holds {gib(_gib(gpu.used_mib))} GiB and does no work", f"Ask {whom} whether it is still needed."
    if now.what in BAD:
        return gpu.error or _SAID[now.what], todo_of_gpu(now.what)
    if now.what == "unknown":
        return _unknown(gpu), "Compare with nvidia-smi on the host."
    if now.what == OFF:
        return (
            "its host doesn't report: the last values",
            "Is the host on? Does its mole run (systemctl status cluster-dash-mole)?",
        )
    if now.what == BUSY:
        return _busy(gpu, now), ""
    return "", ""


_SAID = {
    "lost": "the driver doesn't find it any more",
    "hung": "the driver doesn't answer",
    "error": "it can't be read",
}


def _unknown(gpu: Gpu) -> str:
    if gpu.is_split:
        return "split by MIG, without an instance" if not gpu.mig else "split by MIG: the memory in use isn't told"
    missing = [
        what for what, value in (("utilisation", gpu.util_percent), ("memory in use", gpu.mem_percent)) if value is None
    ]
    return f"the driver doesn't tell its {' and '.join(missing)}"


def _busy(gpu: Gpu, now: GpuNow) -> str:
    if gpu.is_split:
        return "split by MIG: nothing tells how much it works"
    if now.until_mono_s is not None:
        return "holds memory and does no work right now: idle after 10 min of that"
    if (gpu.util_percent or 0) >= 5:
        return ""
    return (
        "a process is on it, with little memory" if (gpu.used_mib or 0) < MIB_OF_GIB else "its power says that it works"
    )


class _Sums:
    """What of a host's GPUs adds up over the fleet."""

    def __init__(self, host: HostNow, gpus_now: list[GpuNow], alias: Alias) -> None:
        self._host = host
        self.counts: dict[str, int] = dict(Counter("bad" if now.what in BAD else now.what for now in gpus_now))
        self.users: dict[str, UserOfHost] = {}
        self.free: list[FreeGpu] = []
        if host.status != "up":
            return
        for gpu, now in zip(host.gpus, gpus_now, strict=True):
            for user, mib in gpu.user_mib().items():
                self._add_user(alias(user), mib, gpu, now)
            self._add_free(gpu, now)

    def _add_user(self, user: str, mib: float | None, gpu: Gpu, now: GpuNow) -> None:
        sums = self.users.setdefault(user, UserOfHost())
        sums.gpus += 1
        sums.mib += round(mib or 0)
        sums.idle += now.what == IDLE
        if gpu.util_percent is not None:
            sums.util += round(gpu.util_percent)
            sums.util_gpus += 1

    def _add_free(self, gpu: Gpu, now: GpuNow) -> None:
        if gpu.is_split:
            for place, each in enumerate(gpu.mig if gpu.state == "ok" else []):
                if each.is_free and each.total_mib and each.used_mib is not None:
                    left = each.total_mib - each.used_mib
                    index, model = f"{gpu.number}:{place}", f"{gpu.name} MIG {each.name}"
                    self.free.append(FreeGpu(index, each.uuid, model, left, now.since_mono_s, is_mig=True))
        elif now.what == "free" and gpu.total_mib and gpu.used_mib is not None:
            left = gpu.total_mib - gpu.used_mib
            self.free.append(FreeGpu(gpu.number, gpu.uuid, gpu.name, left, now.since_mono_s))

    def power_w(self, beside: _Beside) -> int | None:
        known = [beside.power[gpu.index] for gpu in self._host.gpus if gpu.has_values and gpu.index in beside.power]
        return _rounded(sum(known)) if known else None


def _commonest(names: list[str]) -> str | None:
    return Counter(names).most_common(1)[0][0] if names else None


def _disk(host: HostNow) -> dict[str, Any] | None:
    disk = host.fullest_disk
    if disk is None:
        return None
    return {
        "mount": printable(disk.mount),
        "percent": _rounded(disk.percent, 1),
        "stale": any(each.stale_since is not None for each in host.disks),
    }


def _net(post: dict[str, Any]) -> list[int | None] | None:
    """Received and sent bytes a second over all interfaces."""
    metrics = post.get("metrics", {})
    both = [metrics.get(f"sys.net.{way}_bytes_per_s") for way in ("recv", "sent")]
    if not all(both):
        return None
    return [_rounded(sum(value for value in each["value"] if value is not None)) for each in both]


@overload
def _rounded(value: float | None) -> int | None: ...
@overload
def _rounded(value: float | None, digits: int) -> float | None: ...
def _rounded(value: float | None, digits: int | None = None) -> float | None:
    """None too for what is beyond all sense, as nothing could write it."""
    return round(value, digits) if value is not None and -MOST < value < MOST else None


def _gib(mib: float | None) -> float | None:
    return None if mib is None else round(mib / MIB_OF_GIB, 1)
