"""Takes the `gpu` section of a post, gives its GPUs: the one place that knows what the fields mean.

A value that the mole could not read is None here, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from .throttle import reasons_of

NO_INDEX = 65535
FREE_BELOW_MIB = 1024
FREE_BELOW_PERCENT = 5
WORKS_FROM_PERCENT = 5
LITTLE_USED_BELOW_PERCENT = 30
WITH_VALUES = ("ok", "error")
DISPLAY_SERVERS = frozenset(
    {"X", "Xorg", "Xwayland", "gnome-shell", "kwin_wayland", "kwin_x11", "plasmashell", "sddm-greeter", "weston"}
)
"""Programs that draw a screen: moles list them too, and they take the GPU from nobody."""


@dataclass(slots=True)
class Process:
    """A process on a GPU; `mem_mib` is None where the driver doesn't tell (MIG, containers)."""

    pid: str
    user: str
    name: str | None
    mem_mib: float | None
    command: str | None
    started_at: float | None
    container: str | None


@dataclass(slots=True)
class MigInstance:
    name: str
    uuid: str | None
    total_mib: float | None
    used_mib: float | None
    processes: int | None
    """None where the mole doesn't tell."""

    @property
    def is_free(self) -> bool:
        """By memory and processes: no driver tells what an instance does."""
        if self.used_mib is None or not self.total_mib or self.processes:
            return False
        return self.used_mib < FREE_BELOW_MIB and self.used_mib / self.total_mib * 100 < FREE_BELOW_PERCENT


@dataclass(slots=True)
class Gpu:
    id: str
    index: int
    """NO_INDEX where NVML has none for it: a GPU that only the PCI bus shows."""
    name: str
    uuid: str | None
    total_mib: float | None
    used_mib: float | None
    mem_percent: float | None
    util_percent: float | None
    """Share of the last second or less in which a kernel ran; says nothing of the load."""
    memory_util_percent: float | None
    state: str
    """ok, lost, error or hung, as the mole says."""
    error: str | None
    entry: dict[str, Any]
    """As posted."""

    @property
    def has_values(self) -> bool:
        """One failing call leaves the other values true."""
        return self.state in WITH_VALUES

    @property
    def users(self) -> dict[str, dict[str, dict[str, Any]]]:
        """As posted: user, then pid."""
        return self.entry.get("users") or {}

    @property
    def processes(self) -> list[Process]:
        return _processes(self.users) if self.has_values else []

    @property
    def throttled_by(self) -> list[str]:
        return reasons_of(self.entry.get("throttle_reasons")) if self.has_values else []

    @property
    def is_split(self) -> bool:
        """By MIG: then the driver tells no utilisation of it."""
        return self.entry.get("mig") is not None

    @property
    def mig(self) -> list[MigInstance]:
        return _instances(self.entry.get("mig") or []) if self.has_values else []

    @property
    def has_compute(self) -> bool:
        """Whether a process is on it that isn't known to only draw a screen."""
        return any(
            process.get("name") not in DISPLAY_SERVERS
            for processes in self.users.values()
            for process in processes.values()
        )

    @property
    def number(self) -> str:
        """The index as a person reads it."""
        return "?" if self.index == NO_INDEX else str(self.index)

    @property
    def is_readable(self) -> bool:
        """Whether it is known what this GPU does."""
        return self.state == "ok" and self.mem_percent is not None and self.util_percent is not None

    @property
    def is_free(self) -> bool:
        """Known to hold next to nothing and to do nothing; what isn't known isn't free."""
        return condition_of(self) == FREE

    @property
    def is_little_used(self) -> bool:
        """Free by the original's rule, which its scripts and the history count by."""
        share, util = self.mem_percent, self.util_percent
        if share is None or util is None:
            return False
        return share < LITTLE_USED_BELOW_PERCENT and util < LITTLE_USED_BELOW_PERCENT

    def unreadable(self, state: str, error: str) -> Gpu:
        """The GPU while its driver tells nothing: no values, nobody on it."""
        return Gpu(self.id, self.index, self.name, self.uuid, self.total_mib, None, None, None, None, state, error, {})

    def user_mib(self) -> dict[str, float | None]:
        """Memory by user; None for a user none of whose processes has a known size."""
        users = self.entry.get("users")
        if not users or not self.has_values:
            return {}
        sums: dict[str, float | None] = {}
        for user, processes in users.items():
            sums[user] = None
            for process in processes.values():
                mib = process.get("mem")
                if mib is not None:
                    sums[user] = (sums[user] or 0.0) + mib
        return sums


def gpus_of(post: dict[str, Any]) -> list[Gpu]:
    """By index; the entry that only carries the host's GPU error is none of them (see `gpu_error_of`)."""
    entries = [(gpu_id, entry) for gpu_id, entry in post["gpu"].items() if not _is_error_entry(gpu_id, entry)]
    gpus = [_gpu(gpu_id, entry, position) for position, (gpu_id, entry) in enumerate(entries)]
    gpus.sort(key=_PLACE)
    return gpus


_PLACE = attrgetter("index", "id")


def gpu_error_of(post: dict[str, Any]) -> tuple[str, str] | None:
    """(state, text) where the mole could read no GPU at all: no driver, a hung one."""
    for gpu_id, entry in post["gpu"].items():
        if _is_error_entry(gpu_id, entry):
            return entry.get("state") or "error", entry.get("error") or "unknown GPU error"
    return None


def _is_error_entry(gpu_id: str, entry: dict[str, Any]) -> bool:
    return gpu_id == "gpu_error" or entry.get("name") == "error"


def _gpu(gpu_id: str, entry: dict[str, Any], position: int) -> Gpu:
    get = entry.get
    index = get("index")
    state = get("state") or ("error" if get("error") else "ok")
    readable = state in WITH_VALUES
    total, used = get("total_mem"), get("used_mem") if readable else None
    return Gpu(
        gpu_id,
        int(index) if index is not None else NO_INDEX if "index" in entry else position,
        get("name") or "unknown GPU",
        get("uuid"),
        total,
        used,
        min(100.0, used / total * 100) if total and used is not None else None,
        _share(get("gpu_util")) if readable else None,
        _share(get("memory_util")) if readable else None,
        state,
        get("error"),
        entry,
    )


def _share(percent: float | None) -> float | None:
    """Drivers have been seen to give numbers far beyond 100; they mean nothing."""
    return percent if percent is not None and percent <= 100 else None


FREE, HELD, WORKS, OCCUPIED, SPLIT, UNKNOWN = "free", "held", "works", "occupied", "split", "unknown"
"""What a readable GPU does, see `condition_of`. The others are the states that a mole tells: lost, hung, error."""


def condition_of(gpu: Gpu) -> str:
    """What the GPU does by this one reading of it.

    works: utilisation of 5 % or more. free: less, no compute process, under 1 GiB and under 5 % of its memory.
    held: less, and more memory than that. occupied: less, a process, and little memory. split: by MIG, and somebody is
    on it. unknown: a value is missing that this needs. lost, hung and error: as the mole says.
    """
    if gpu.state != "ok":
        return gpu.state
    util, share, used = gpu.util_percent, gpu.mem_percent, gpu.used_mib
    if gpu.entry.get("mig") is not None:
        return _of_split(gpu)
    if util is None:
        return UNKNOWN
    if util >= WORKS_FROM_PERCENT:
        return WORKS
    if share is None or used is None:
        return UNKNOWN
    if used >= FREE_BELOW_MIB or share >= FREE_BELOW_PERCENT:
        return HELD
    return OCCUPIED if gpu.users and gpu.has_compute else FREE


def _of_split(gpu: Gpu) -> str:
    instances = gpu.mig
    if gpu.has_compute or any(each.processes for each in instances):
        return SPLIT
    if not instances or any(each.used_mib is None for each in instances):
        return UNKNOWN  # without an instance nothing can run
    return FREE if all(each.is_free for each in instances) else SPLIT


def _instances(entries: list[dict[str, Any]]) -> list[MigInstance]:
    return [
        MigInstance(
            each.get("name") or "MIG instance",
            each.get("uuid"),
            each.get("total_mem"),
            each.get("used_mem"),
            len(each["pids"]) if isinstance(each.get("pids"), list) else None,
        )
        for each in entries
    ]


def _processes(users: dict[str, dict[str, dict[str, Any]]]) -> list[Process]:
    return [
        Process(
            pid,
            user,
            entry.get("name"),
            entry.get("mem"),
            entry.get("command"),
            entry.get("started_at"),
            entry.get("container"),
        )
        for user, processes in users.items()
        for pid, entry in processes.items()
    ]
