"""Takes a host as it is now, gives its row: the JSON that everything about the fleet is made of, and what adds up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...gpus import Gpu
from ...live.host import OFFLINE_AFTER_S
from ...live.watch import GpuNow
from ...query import HostNow, natural
from ..notes import Note, mount_without_names, notes_of
from ..wording import printable
from .gpu import OFF, Beside, entry_of, rounded, shown, shown_uuid
from .holes import Holes, Template, part
from .spark import SparkOf
from .sums import Sums

LOOKED_AT_AGAIN_AFTER_S = 60.0
MOST_NOTES = 20

Alias = Callable[[str], str]


@dataclass(slots=True)
class Row:
    name: str
    order: list[tuple[int, str]]
    """Of its name as a person counts."""
    status: str
    until_mono_s: float
    """When time alone makes another row of it."""
    sums: Sums
    tags: list[str]
    uuids: list[str | None]
    """Of its GPUs. Half of what a packed row would take, so they aren't in the JSON of those that nobody can take."""
    json: Template


def silent_row(name: str, tags: list[str]) -> Row:
    """A host that is expected and hasn't reported since the server started."""
    document: dict[str, Any] = {"name": name, "is": "silent", "tags": tags, "notes": [], "gpus": [], "spark": []}
    return Row(name, natural(name), "silent", math.inf, Sums(), tags, [], Template(part(document), Holes()))


def row_of(
    host: HostNow,
    now_s: float,
    tags: list[str],
    spark: list[int | None],
    spark_of: SparkOf,
    alias: Alias,
    nameless: bool,
) -> Row:
    """`now_s` in Unix seconds; `alias` gives the name that a user is shown by. `nameless`: without any text of
    others that may hold a person's name.
    """
    holes = Holes()
    latest = host.latest
    memory: dict[str, Any] = host.post.get("memory", {})
    names = [gpu.name for gpu in host.gpus]
    model = _commonest(names)
    gpus_now = host.gpus_now if host.status == "up" else [_off(host, now) for now in host.gpus_now]
    document: dict[str, Any] = {
        "name": host.name,
        "is": host.status,
        "age_s": holes.age(latest.received_mono_s),
        "every_s": latest.interval_s,
        "seen": round(now_s - host.age_s, 1),
        "model": shown(model) if model else None,
        "tags": tags,
        "cpu": rounded(host.cpu_percent),
        "cpus": host.num_cpus,
        "load": rounded(host.load_1m, 1),
        "mem": (rounded(memory.get("used_gb"), 1), rounded(memory.get("total_gb"), 1)),
        "disk": _disk(host, nameless),
        "net": _net(host.post),
        "spark": spark,
        "spark_of": spark_of,
        "notes": [_note(note, host, holes, nameless) for note in notes_of(host)[:MOST_NOTES]],
    }
    sums = Sums()
    entries = _gpus(host, gpus_now, model, holes, sums, alias, nameless)
    return Row(
        host.name,
        natural(host.name),
        host.status,
        _until(host, gpus_now, spark),
        sums,
        tags,
        [shown_uuid(gpu.uuid) for gpu in host.gpus],
        Template.of(document, "gpus", entries, holes),
    )


def _gpus(
    host: HostNow, gpus_now: list[GpuNow], model: str | None, holes: Holes, sums: Sums, alias: Alias, nameless: bool
) -> list[bytes]:
    beside, entries = Beside(host.post), list[bytes]()
    is_up = host.status == "up"
    if is_up and beside.power:
        sums.power_w = rounded(sum(beside.power.values()))
    for gpu, now in zip(host.gpus, gpus_now, strict=True):
        held = _held(gpu, alias)
        told = replace(gpu, error=None) if nameless and gpu.error else gpu
        sums.count(now.what)
        if is_up:
            sums.add(gpu, now, held)
        entries.append(entry_of(told, now, model, beside, holes, sorted(held)))
    return entries


def _held(gpu: Gpu, alias: Alias) -> dict[str, float | None]:
    """MiB by the name that a user is shown by, which two may share."""
    holders = gpu.holder_mib()
    held = {alias(user): mib for user, mib in holders.items()}
    if len(held) == len(holders):
        return held
    sums: dict[str, float | None] = {}
    for user, mib in holders.items():
        name = alias(user)
        before = sums.get(name)
        sums[name] = mib if before is None else before + (mib or 0.0)
    return sums


def _commonest(names: list[str]) -> str | None:
    if not names or names.count(names[0]) == len(names):
        return names[0] if names else None
    return max(names, key=names.count)


def _off(host: HostNow, now: GpuNow) -> GpuNow:
    """A host that tells nothing has no GPU that is anything."""
    return GpuNow(OFF, host.latest.received_mono_s, now.worked_mono_s, None)


def _until(host: HostNow, gpus_now: list[GpuNow], spark: list[int | None]) -> float:
    latest = host.latest
    ends = [now.until_mono_s for now in gpus_now if now.until_mono_s is not None]
    if host.status == "up":
        ends.append(latest.received_mono_s + latest.stale_after_s)
    if host.status != "offline":
        offline_after_s = max(OFFLINE_AFTER_S, latest.stale_after_s if latest.interval_s else 0)
        ends.append(latest.received_mono_s + offline_after_s)
    if host.rivals or (host.status != "up" and any(value is not None for value in spark)):
        ends.append(host.mono_s + LOOKED_AT_AGAIN_AFTER_S)
    return min(ends, default=math.inf)


def _note(note: Note, host: HostNow, holes: Holes, nameless: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": note.kind,
        "level": note.level,
        "text": printable(note.text if note.nameless is None or not nameless else note.nameless),
        "since_s": None if note.since_s is None else holes.since(host.mono_s - note.since_s),
        "todo": printable(note.todo) if note.nameless is None or not nameless else "",
    }
    if note.told_since is not None:
        told["told_since"] = note.told_since
    return told


def _disk(host: HostNow, nameless: bool) -> dict[str, Any] | None:
    disk = host.fullest_disk
    if disk is None:
        return None
    is_stale = disk.stale_since is not None  # of another one a note tells
    mount = mount_without_names(disk.mount) if nameless else disk.mount
    return {"mount": shown(mount), "percent": rounded(disk.percent, 1), "stale": is_stale}


def _net(post: dict[str, Any]) -> tuple[int | None, int | None] | None:
    """Received and sent bytes a second over all interfaces."""
    metrics: dict[str, Any] = post.get("metrics", {})
    received, sent = metrics.get("sys.net.recv_bytes_per_s"), metrics.get("sys.net.sent_bytes_per_s")
    return (_sum(received), _sum(sent)) if received and sent else None


def _sum(column: dict[str, Any]) -> int | None:
    return rounded(sum(value for value in column["value"] if value is not None))
