"""Takes a host's post, gives its numbers as points: rows of `metric_points`, held as columns.

Numbers are in base units (bytes, seconds, percent); what the post left out or sent as null gives no point.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from .gpus import Gpu, gpus_of

NO_DEVICE = 65535
MIB = 2**20
GIB = 2**30

Number = float | int


@dataclass(slots=True)
class Points:
    """A columnar batch: the lists are of one length, a row is a point."""

    event_time: list[float] = field(default_factory=list[float])
    """Unix seconds by the sender's clock."""
    run_id: list[str] = field(default_factory=list[str])
    host: list[str] = field(default_factory=list[str])
    rank: list[int] = field(default_factory=list[int])
    device: list[int] = field(default_factory=list[int])
    """GPU index, NO_DEVICE where there is none."""
    step: list[int] = field(default_factory=list[int])
    metric: list[str] = field(default_factory=list[str])
    value: list[float] = field(default_factory=list[float])
    unit: list[str] = field(default_factory=list[str])
    tags_json: list[str] = field(default_factory=list[str])
    """A JSON object with sorted keys, "" where there are no tags."""

    def __len__(self) -> int:
        return len(self.value)


def tags_json(tags: dict[str, str]) -> str:
    return orjson.dumps(tags, option=orjson.OPT_SORT_KEYS).decode() if tags else ""


def points_of_post(post: dict[str, Any]) -> Points:
    """The points of a post that has passed the schema."""
    points = Points()
    for metric, value, unit, device, tags in _readings(post):
        if value is not None:
            points.metric.append(metric)
            points.value.append(float(value))
            points.unit.append(unit)
            points.device.append(device)
            points.tags_json.append(tags)
    rows = len(points)
    points.event_time = [float(post["timestamp"])] * rows
    points.host = [post["hostname"]] * rows
    points.run_id = [""] * rows
    points.rank = [0] * rows
    points.step = [0] * rows
    return points


Reading = tuple[str, Number | None, str, int, str]


def _readings(post: dict[str, Any]) -> Iterable[Reading]:
    """(metric, value, unit, device, tags_json), value None where it is missing."""
    yield from _cpu(post["cpu"])
    for name in ("total", "available", "used"):
        yield f"sys.mem_{name}_bytes", _times(post.get("memory", {}).get(f"{name}_gb"), GIB), "B", NO_DEVICE, ""
    for key, disk in post.get("disk", {}).items():
        yield from _disk(disk.get("mount_point") or key, disk)
    gpus = gpus_of(post)
    for gpu in gpus:
        yield from _gpu(gpu)
    if gpus:
        yield from _gpu_sums(gpus)
    for metric, columns in post.get("metrics", {}).items():
        yield from _columns(metric, columns)


def _times(value: Number | None, factor: int) -> Number | None:
    return None if value is None else value * factor


def _cpu(cpu: dict[str, Any]) -> Iterable[Reading]:
    yield "sys.cpu_percent", cpu.get("cpu_percent"), "%", NO_DEVICE, ""
    yield "sys.cpu_count", cpu.get("num_cpus"), "", NO_DEVICE, ""
    for minutes, load in zip((1, 5, 15), cpu.get("load_avgs") or (), strict=False):
        yield f"sys.load_{minutes}m", load, "", NO_DEVICE, ""


def _disk(mount: str, disk: dict[str, Any]) -> Iterable[Reading]:
    tags = tags_json({"mount": mount})
    yield "sys.disk.total_bytes", _times(disk.get("total_gb"), GIB), "B", NO_DEVICE, tags
    yield "sys.disk.used_bytes", _times(disk.get("used_gb"), GIB), "B", NO_DEVICE, tags
    yield "sys.disk.percent", disk.get("percent_used"), "%", NO_DEVICE, tags


def _gpu(gpu: Gpu) -> Iterable[Reading]:
    yield "sys.gpu.util_percent", gpu.util_percent, "%", gpu.index, ""
    yield "sys.gpu.memory_util_percent", gpu.memory_util_percent, "%", gpu.index, ""
    yield "sys.gpu.mem_used_bytes", _times(gpu.used_mib, MIB), "B", gpu.index, ""
    yield "sys.gpu.mem_total_bytes", _times(gpu.total_mib, MIB), "B", gpu.index, ""
    for user, mib in gpu.user_mib().items():
        yield "sys.gpu.user_mem_bytes", _times(mib, MIB), "B", gpu.index, tags_json({"user": user})


def _gpu_sums(gpus: list[Gpu]) -> Iterable[Reading]:
    """What the fleet's history counts, here once a post instead of again at each look."""
    yield "sys.gpu.count", len(gpus), "", NO_DEVICE, ""
    yield "sys.gpu.little_used_count", sum(gpu.is_little_used for gpu in gpus), "", NO_DEVICE, ""
    yield "sys.gpu.mean_util_percent", mean([gpu.util_percent for gpu in gpus]), "%", NO_DEVICE, ""
    yield "sys.gpu.mean_mem_percent", mean([gpu.mem_percent for gpu in gpus]), "%", NO_DEVICE, ""


def mean(values: list[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _columns(metric: str, columns: dict[str, Any]) -> Iterable[Reading]:
    values: list[Number] = columns["value"]
    devices: list[int] = columns.get("device") or [NO_DEVICE] * len(values)
    tags: list[dict[str, str]] = columns.get("tags") or [{}] * len(values)
    unit: str = columns.get("unit", "")
    for value, device, row_tags in zip(values, devices, tags, strict=True):
        yield metric, value, unit, int(device), tags_json(row_tags)
