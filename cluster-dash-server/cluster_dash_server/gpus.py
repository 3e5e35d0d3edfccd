"""Takes the `gpu` section of a post, gives its GPUs: the one place that knows what the fields mean.

A value that the mole could not read is None here, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from .plausible import MOST_MIB, SLACK_MIB, gpu_faults, is_share, is_size, told
from .throttle import reasons_of

NO_INDEX = 65535
FREE_BELOW_MIB = 1024
FREE_BELOW_PERCENT = 5
WORKS_FROM_PERCENT = 5
LITTLE_USED_BELOW_PERCENT = 30
WITH_VALUES = ("ok", "error")
DISPLAY_SERVERS = frozenset(
    {
        "X", "Xorg", "Xwayland", "Xvnc", "cinnamon", "compiz", "gnome-shell", "kwin_wayland", "kwin_x11", "mutter",
        "plasmashell", "sddm-greeter", "sway", "weston", "xfwm4",
    }
)  # fmt: skip
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
    only_draws: bool
    """See `only_draws`."""


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
    """ok, lost, error or hung, as the mole says; error too where it tells what can't be, see `plausible.py`."""
    error: str | None
    entry: dict[str, Any]
    """As posted."""
    is_impossible: bool = False
    """Whether it tells what can't be, see `plausible.py`; it has none of that."""

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
        """Whether a process is on it that doesn't only draw a screen."""
        return any(not only_draws(process) for processes in self.users.values() for process in processes.values())

    @property
    def is_drawn_on(self) -> bool:
        """Whether processes are on it, and all of them only draw a screen."""
        return bool(self.has_values and self.users) and not self.has_compute

    @property
    def drawn_mib(self) -> float:
        """What the processes hold that only draw a screen."""
        drawing = [each for processes in self.users.values() for each in processes.values() if only_draws(each)]
        return sum(process.get("mem") or 0.0 for process in drawing)

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
        """Memory by user; None for a user none of whose processes has a known size, or whose sum can't be."""
        return self._sums(with_screens=True)

    def holder_mib(self) -> dict[str, float | None]:
        """The same without the processes that only draw a screen: who has only such holds nothing."""
        return self._sums(with_screens=False)

    def _sums(self, *, with_screens: bool) -> dict[str, float | None]:
        users = self.entry.get("users")
        if not users or not self.has_values:
            return {}
        most = (self.total_mib or MOST_MIB) + SLACK_MIB
        sums: dict[str, float | None] = {}
        for user, processes in users.items():
            total: float | None = None
            counts = with_screens or not processes
            for process in processes.values():
                if not with_screens and only_draws(process):
                    continue
                counts = True
                mib = process.get("mem")
                if mib is not None:
                    total = mib if total is None else total + mib
            if counts:
                sums[user] = total if total is None or total <= most else None
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
    error = get("error")
    readable = state in WITH_VALUES
    total, used = get("total_mem"), get("used_mem") if readable else None
    util, memory_util = (get("gpu_util"), get("memory_util")) if readable else (None, None)
    of_memory, of_util = gpu_faults(total, used, util)
    is_impossible = bool(of_memory or of_util)
    if is_impossible:
        total, used = total if total is None or is_size(total) else None, None if of_memory else used
        util = None if of_util else util
        state, error = "error" if readable else state, _with(error, told(of_memory, of_util))
    return Gpu(
        gpu_id,
        int(index) if index is not None else NO_INDEX if "index" in entry else position,
        get("name") or "unknown GPU",
        get("uuid"),
        total,
        used,
        min(100.0, used / total * 100) if total and used is not None else None,
        util,
        memory_util if memory_util is not None and is_share(memory_util) else None,
        state,
        error,
        entry,
        is_impossible,
    )


def _with(error: str | None, fault: str) -> str:
    return f"{error}; {fault}" if error else fault


FREE, HELD, WORKS, OCCUPIED, SPLIT, UNKNOWN = "free", "held", "works", "occupied", "split", "unknown"
"""What a readable GPU does, see `condition_of`. The others are the states that a mole tells: lost, hung, error."""


def condition_of(gpu: Gpu) -> str:
    """What the GPU does by this one reading of it.

    works: utilisation of 5 % or more. free: less, no compute process, under 1 GiB and under 5 % of its memory.
    held: less, and more memory than that, whatever a screen
    takes left out. occupied: less, a process, and little memory. split: by MIG, and somebody is
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
    if (used >= FREE_BELOW_MIB or share >= FREE_BELOW_PERCENT) and _is_held(gpu, used):
        return HELD
    return OCCUPIED if gpu.users and gpu.has_compute else FREE


def _is_held(gpu: Gpu, used: float) -> bool:
    """Whether that is still so of a GPU with a screen, without what the screen takes."""
    drawn = gpu.drawn_mib if gpu.users else 0.0
    left = used - drawn if drawn <= used else used
    return left >= FREE_BELOW_MIB or left >= (gpu.total_mib or 0) * FREE_BELOW_PERCENT / 100


def only_draws(process: dict[str, Any]) -> bool:
    """Whether it is a display server, or another process that draws and does nothing else, as a desktop's browser.

    By the type that the mole tells, else by its name. What draws with a GiB or more isn't a screen, but a renderer.
    """
    kind = process.get("type")
    if kind == "C":
        return False
    return process.get("name") in DISPLAY_SERVERS or (kind == "G" and (process.get("mem") or 0) < FREE_BELOW_MIB)


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
            None if gpu_faults(each.get("total_mem"), each.get("used_mem"), None)[0] else each.get("used_mem"),
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
            only_draws(entry),
        )
        for user, processes in users.items()
        for pid, entry in processes.items()
    ]
