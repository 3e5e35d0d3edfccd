"""Takes a host's post, gives its numbers as points: rows of `metric_points`, held as columns.

Numbers are in base units (bytes, seconds, percent); what the post left out or sent as null gives no point.

A host sends the same series again and again. So a post's points are one row of values, and a `Layout` that says which
series they belong to; hosts that report alike share it. The columns of the table are made from both when asked for.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import orjson

from .gpus import Gpu, gpus_of

NO_DEVICE = 65535
MIB = 2**20
GIB = 2**30

Number = float | int


COUNTS: tuple[str, ...] = (
    "sys.gpu.count",
    "sys.gpu.little_used_count",
    "sys.gpu.mean_util_percent",
    "sys.gpu.mean_mem_percent",
)
"""What the fleet's history adds up. It is counted here only: who could send it would spoil the sums of all hosts."""


class SeriesKey(NamedTuple):
    metric: str
    device: int
    """GPU index, NO_DEVICE where there is none."""
    tags_json: str
    """A JSON object with sorted keys, "" where there are no tags."""


class Layout:
    """The series and units of a row's values. Never changed; two that are the same object fit the same rows."""

    __slots__ = ("__weakref__", "series", "units")

    def __init__(self, series: Iterable[SeriesKey], units: Iterable[str]) -> None:
        self.series = tuple(series)
        self.units = tuple(units)

    def only(self, positions: Sequence[int]) -> Layout:
        return Layout([self.series[at] for at in positions], [self.units[at] for at in positions])


class Points(NamedTuple):
    """A host's post as points."""

    host: str
    event_time: float
    """Unix seconds by the sender's clock."""
    layout: Layout
    row: Sequence[Number]
    """A value for each series of the layout, NaN where the post has none."""
    gpus: Sequence[Gpu] = ()
    """As they were read for it: reading them again would cost as much."""

    def packed(self) -> Points:
        """The same in little memory, for whoever keeps many: without GPUs, and no object a value."""
        return Points(self.host, self.event_time, self.layout, array("d", self.row))

    def columns(self) -> dict[str, list[Any]]:
        """The columns of `metric_points`, of one length, without what is missing."""
        present = [at for at, value in enumerate(self.row) if not math.isnan(value)]
        keys = [self.layout.series[at] for at in present]
        rows = len(present)
        return {
            "event_time": [self.event_time] * rows,
            "run_id": [""] * rows,
            "host": [self.host] * rows,
            "rank": [0] * rows,
            "device": [key.device for key in keys],
            "step": [0] * rows,
            "metric": [key.metric for key in keys],
            "value": [float(self.row[at]) for at in present],
            "unit": [self.layout.units[at] for at in present],
            "tags_json": [key.tags_json for key in keys],
        }


def tags_json(tags: dict[str, str]) -> str:
    return orjson.dumps(tags, option=orjson.OPT_SORT_KEYS).decode() if tags else ""


Column = tuple[str, str, Sequence[Number | None], Sequence[int] | None, Sequence[dict[str, str]] | None]
"""Metric, unit, values, then device and tags of each where they have any, as a post's `metrics` hold them."""


def points_of_post(post: dict[str, Any]) -> Points:
    """The points of a post that has passed the schema."""
    gpus = gpus_of(post)
    columns: list[Column] = [
        *_cpu(post["cpu"]),
        *_memory(post.get("memory", {})),
        *_disks(post.get("disk", {})),
        *_gpus(gpus),
    ]
    for metric, posted in post.get("metrics", {}).items():
        if metric in COUNTS:
            continue
        columns.append((metric, posted.get("unit", ""), posted["value"], posted.get("device"), posted.get("tags")))
    values = [column[2] for column in columns]
    row = [math.nan if value is None else value for value in chain.from_iterable(values)]
    return Points(post["hostname"], float(post["timestamp"]), _layout(columns), row, gpus)


def _column(metric: str, unit: str, value: Number | None) -> Column:
    return metric, unit, [value], None, None


def _cpu(cpu: dict[str, Any]) -> list[Column]:
    loads = cpu.get("load_avgs") or (None, None, None)
    return [
        _column("sys.cpu_percent", "%", cpu.get("cpu_percent")),
        _column("sys.cpu_count", "", cpu.get("num_cpus")),
        _column("sys.load_1m", "", loads[0]),
        _column("sys.load_5m", "", loads[1]),
        _column("sys.load_15m", "", loads[2]),
    ]


def _memory(memory: dict[str, Any]) -> list[Column]:
    return [
        _column("sys.mem_total_bytes", "B", _times(memory.get("total_gb"), GIB)),
        _column("sys.mem_available_bytes", "B", _times(memory.get("available_gb"), GIB)),
        _column("sys.mem_used_bytes", "B", _times(memory.get("used_gb"), GIB)),
    ]


def _disks(disks: dict[str, dict[str, Any]]) -> list[Column]:
    if not disks:
        return []
    mounts = [{"mount": disk.get("mount_point") or key} for key, disk in disks.items()]
    percent = [disk.get("percent_used") for disk in disks.values()]
    return [
        ("sys.disk.total_bytes", "B", [_times(disk.get("total_gb"), GIB) for disk in disks.values()], None, mounts),
        ("sys.disk.used_bytes", "B", [_times(disk.get("used_gb"), GIB) for disk in disks.values()], None, mounts),
        ("sys.disk.percent", "%", percent, None, mounts),
        _column("sys.disk.fullest_percent", "%", max((each for each in percent if each is not None), default=None)),
    ]


def _gpus(gpus: list[Gpu]) -> list[Column]:
    if not gpus:
        return []
    index = [gpu.index for gpu in gpus]
    util = [gpu.util_percent for gpu in gpus]
    return [
        ("sys.gpu.util_percent", "%", util, index, None),
        ("sys.gpu.memory_util_percent", "%", [gpu.memory_util_percent for gpu in gpus], index, None),
        ("sys.gpu.mem_used_bytes", "B", [_times(gpu.used_mib, MIB) for gpu in gpus], index, None),
        ("sys.gpu.mem_total_bytes", "B", [_times(gpu.total_mib, MIB) for gpu in gpus], index, None),
        _by_user(gpus),
        *_counts(gpus),
    ]


def _counts(gpus: list[Gpu]) -> list[Column]:
    """COUNTS, here once a post instead of again at each look."""
    units = ("", "", "%", "%")
    values = (
        len(gpus),
        sum([gpu.is_little_used for gpu in gpus]),
        mean([gpu.util_percent for gpu in gpus]),
        mean([gpu.mem_percent for gpu in gpus]),
    )
    return [_column(*each) for each in zip(COUNTS, units, values, strict=True)]


def _by_user(gpus: list[Gpu]) -> Column:
    sizes: list[Number | None] = []
    index: list[int] = []
    tags: list[dict[str, str]] = []
    for gpu in gpus:
        for user, mib in gpu.user_mib().items():
            sizes.append(_times(mib, MIB))
            index.append(gpu.index)
            tags.append({"user": user})
    return "sys.gpu.user_mem_bytes", "B", sizes, index, tags


def _times(value: Number | None, factor: int) -> Number | None:
    return None if value is None else value * factor


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


_layouts: WeakValueDictionary[bytes, Layout] = WeakValueDictionary()
"""Those in use, by what makes them."""
_keys: dict[SeriesKey, SeriesKey] = {}
"""One object for each key: thousands of hosts name the same ones in layouts that differ in a user."""
MAX_SHARED_KEYS = 20_000


def _layout(columns: list[Column]) -> Layout:
    shape = orjson.dumps([(metric, unit, len(values), device, tags) for metric, unit, values, device, tags in columns])
    known = _layouts.get(shape)
    if known is None:
        key = memoryview(shape).tobytes()  # what orjson returns holds up to twice its length in memory
        known = _layouts.setdefault(key, _new_layout(columns))
    return known


def _new_layout(columns: list[Column]) -> Layout:
    if len(_keys) > MAX_SHARED_KEYS:
        _keys.clear()
    series: list[SeriesKey] = []
    units: list[str] = []
    for metric, unit, values, device, tags in columns:
        devices = device or [NO_DEVICE] * len(values)
        texts = map(tags_json, tags) if tags else [""] * len(values)
        for each, text in zip(devices, texts, strict=True):
            key = SeriesKey(metric, int(each), text)
            series.append(_keys.setdefault(key, key))
        units += [unit] * len(values)
    return Layout(series, units)
