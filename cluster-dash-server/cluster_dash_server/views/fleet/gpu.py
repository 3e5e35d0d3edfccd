"""Takes a GPU and what it does now, gives its part of the host's row, as JSON.

Nearly all GPUs are plain: they work or are free, and every value is known. Their JSON is made by one format, in half
the time of a dict; a test holds both to the same text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, overload

import orjson

from ...gpus import NO_INDEX, WORKS_FROM_PERCENT, Gpu, MigInstance
from ...live.watch import BUSY, IDLE, GpuNow
from ...query import by_device
from ...throttle import reasons_of
from ..notes import mole_says, todo_of_gpu
from ..wording import number, printable
from .holes import Holes, as_text, part

OFF, FREE, UNKNOWN = "off", "free", "unknown"
BAD = ("lost", "hung", "error")
MIB_OF_GIB = 1024
MOST = 1e15
_SAID = {
    "lost": "the driver doesn't find it any more",
    "hung": "the driver doesn't answer",
    "error": "it can't be read",
}
_OFF = (
    "its host doesn't report: these are the last values",
    "Is the host on? Does its mole run (systemctl status cluster-dash-mole)?",
)

shown = lru_cache(maxsize=8192)(printable)
"""Names come again and again; what is each host's own would only push them out."""


def shown_uuid(uuid: str | None) -> str | None:
    return uuid if not uuid or (uuid.isascii() and uuid.isprintable()) else printable(uuid)


@lru_cache(maxsize=8192)
def _json(name: str) -> str:
    return as_text(orjson.dumps(printable(name))).decode()


@lru_cache(maxsize=512)
def _reasons_of(mask: float) -> tuple[str, ...]:
    return tuple(reasons_of(mask))


@lru_cache(maxsize=512)
def _json_of_reasons(mask: float) -> str:
    return as_text(orjson.dumps(_reasons_of(mask))).decode()


ACTIVITY = {
    "sm": "sys.gpu.sm_active_percent",
    "tensor": "sys.gpu.tensor_active_percent",
    "dram": "sys.gpu.dram_active_percent",
}
"""How busy a GPU's parts were, by their keys in its part of the row; where its driver tells."""


class Beside:
    """The metrics that stand beside a GPU's own fields, by its index. Of `activity` those that are known."""

    __slots__ = ("activity", "limit", "power", "temperature")

    def __init__(self, post: dict[str, Any]) -> None:
        self.power = by_device(post, "sys.gpu.power_w")
        self.limit = by_device(post, "sys.gpu.power_limit_w")
        self.temperature = by_device(post, "sys.gpu.temperature_c")
        self.activity: dict[int, dict[str, int]] = {}
        for key, metric in ACTIVITY.items():
            for index, value in by_device(post, metric).items():
                percent = rounded(value)
                if percent is not None:
                    self.activity.setdefault(index, {})[key] = percent


def entry_of(gpu: Gpu, now: GpuNow, model: str | None, beside: Beside, holes: Holes, users: list[str]) -> bytes:
    """A part of a template. `model` is the host's: a GPU names its own only where it is another. `users` are those that
    are shown.
    """
    is_plain = now.what == FREE or (now.what == BUSY and users and (gpu.util_percent or 0) >= WORKS_FROM_PERCENT)
    if is_plain and gpu.name == model and gpu.entry.get("mig") is None:
        try:
            entry = _plain(gpu, now, beside, users)
        except TypeError:  # a value is missing
            entry = None
        if entry is not None:
            holes.marks.append(now.since_mono_s)
            return entry
    return part(document_of(gpu, now, model, beside, holes, users))


def _plain(gpu: Gpu, now: GpuNow, beside: Beside, users: list[str]) -> bytes | None:
    """Raises TypeError where a value is missing."""
    index, used, total = gpu.index, gpu.used_mib, gpu.total_mib
    watts, limit, temperature = beside.power.get(index), beside.limit.get(index), beside.temperature.get(index)
    is_sane = -MOST < watts < MOST and -MOST < limit < MOST and -MOST < temperature < MOST  # pyright: ignore
    if not is_sane or index == NO_INDEX:
        return None
    what = now.what
    uuid = "" if what == BUSY else f',"uuid":{as_text(orjson.dumps(shown_uuid(gpu.uuid))).decode()}'
    parts = "".join([f'"{key}":{percent},' for key, percent in beside.activity.get(index, {}).items()])
    text = (
        f'{{"i":{index},"is":"{what}","util":{round(gpu.util_percent)},'  # pyright: ignore
        f'"mem":[{used / MIB_OF_GIB:.1f},{total / MIB_OF_GIB:.1f}],"power":[{round(watts)},{round(limit)}],'  # pyright: ignore
        f'"temp":{round(temperature)},"throttled":{_json_of_reasons(gpu.entry.get("throttle_reasons") or 0)},'  # pyright: ignore
        f'{parts}"users":[{",".join(map(_json, users))}],"since_s":%.0f{uuid}}}'
    )
    return text.encode()


def document_of(
    gpu: Gpu, now: GpuNow, model: str | None, beside: Beside, holes: Holes, users: list[str]
) -> dict[str, Any]:
    """The same of any GPU."""
    what, index = now.what, gpu.index
    has_values = gpu.has_values
    entry: dict[str, Any] = {
        "i": None if index == NO_INDEX else index,
        "is": what,
        "util": rounded(gpu.util_percent),
        "mem": (in_gib(gpu.used_mib), in_gib(gpu.total_mib)),
        "power": (rounded(beside.power.get(index)), rounded(beside.limit.get(index))) if has_values else None,
        "temp": rounded(beside.temperature.get(index)) if has_values else None,
        "throttled": _reasons_of(gpu.entry.get("throttle_reasons") or 0) if has_values else (),
        **(beside.activity.get(index, {}) if has_values else {}),
        "users": users,
        "since_s": holes.since(now.since_mono_s),
    }
    if what == FREE:
        entry["uuid"] = shown_uuid(gpu.uuid)
    if gpu.name != model:
        entry["model"] = shown(gpu.name)
    does_nothing = what == IDLE or (what == BUSY and (gpu.util_percent or 0) < WORKS_FROM_PERCENT)
    if does_nothing and now.worked_mono_s is not None:
        entry["idle_s"] = holes.since(now.worked_mono_s)
    if what not in (FREE, BUSY) or does_nothing or (what == BUSY and gpu.is_drawn_on):
        why, todo = _reasons(gpu, now, users)
        entry["why"] = why
        if todo:
            entry["todo"] = todo
    if gpu.is_split:
        entry["mig"] = [_instance(each, may_be_taken=what != OFF and gpu.state == "ok") for each in gpu.mig]
    return entry


def _instance(instance: MigInstance, *, may_be_taken: bool) -> dict[str, Any]:
    """With its UUID only where it is free, as of GPUs."""
    told: dict[str, Any] = {
        "name": shown(instance.name),
        "used_mib": instance.used_mib,
        "total_mib": instance.total_mib,
    }
    if may_be_taken and instance.is_free:
        told["uuid"] = shown_uuid(instance.uuid)
    return told


def _reasons(gpu: Gpu, now: GpuNow, users: list[str]) -> tuple[str, str]:
    """Why it is what it is, and what to do about it."""
    what = now.what
    if what == IDLE:
        whom = " and ".join(users[:3]) or "whoever holds it"
        return f"holds {number(in_gib(gpu.used_mib))} GiB and does no work", f"Ask {whom} whether it is still needed."
    if what == BUSY:
        return _quiet(gpu, now), ""
    if what in BAD:
        error, told_since = mole_says(gpu.error or _SAID[what])
        why = printable(error) + (f" (since {told_since} by its mole)" if told_since else "")
        return why, printable(todo_of_gpu(gpu))
    return _OFF if what == OFF else (_unknown(gpu), "Compare with nvidia-smi on the host.")


def _unknown(gpu: Gpu) -> str:
    if gpu.is_split:
        return "split by MIG: the memory in use isn't told" if gpu.mig else "split by MIG, without an instance"
    missing = [
        what for what, value in (("utilisation", gpu.util_percent), ("memory in use", gpu.mem_percent)) if value is None
    ]
    return f"the driver doesn't tell its {' and '.join(missing)}"


def _quiet(gpu: Gpu, now: GpuNow) -> str:
    """Of one that is somebody's, whatever its utilisation says."""
    if gpu.is_split:
        return "split by MIG: the driver doesn't tell how much it works"
    if gpu.is_drawn_on and now.until_mono_s is None:
        return "only a screen is drawn on it"
    if now.until_mono_s is not None:
        return "holds memory and does no work right now, not for long enough to count as idle"
    if (gpu.used_mib or 0) < MIB_OF_GIB:
        return "a process is on it, and holds little memory"
    return "its power says that it works"


@overload
def rounded(value: float | None) -> int | None: ...
@overload
def rounded(value: float | None, digits: int) -> float | None: ...
def rounded(value: float | None, digits: int | None = None) -> float | None:
    """None too for what is beyond all sense, as nobody could write it."""
    return round(value, digits) if value is not None and -MOST < value < MOST else None


def in_gib(mib: float | None) -> float | None:
    return None if mib is None else round(mib / MIB_OF_GIB, 1)
