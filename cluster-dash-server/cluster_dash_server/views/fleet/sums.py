"""Takes a host's GPUs and what they do now, gives what of them adds up over the fleet, and which may be taken."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...gpus import Gpu
from ...live.watch import IDLE, GpuNow
from .gpu import BAD, FREE, shown, shown_uuid


@dataclass(slots=True)
class FreeGpu:
    """One that may be taken: a whole GPU, or an instance of a split one."""

    index: int
    uuid: str
    """Empty where it tells none."""
    model: str
    mem_free_mib: float
    since_mono_s: float
    """Since when it is free, as far as is known; of an instance the same as of its GPU."""
    instance: str | None = None
    """Its name, where it is one."""


@dataclass(slots=True)
class UserOfHost:
    """What one user has on the GPUs of one host."""

    gpus: int = 0
    mib: int = 0
    """Sum over the GPUs on which it is known."""
    mib_gpus: int = 0
    idle: int = 0
    util: int = 0
    """Sum over the GPUs whose utilisation is known."""
    util_gpus: int = 0


@dataclass(slots=True)
class Sums:
    """In whole numbers, so that taking away what was added leaves nothing."""

    gpus: dict[str, int] = field(default_factory=dict[str, int])
    """How many are what: free, busy, idle, off, bad, unknown."""
    users: dict[str, UserOfHost] = field(default_factory=dict[str, UserOfHost])
    free: list[FreeGpu] = field(default_factory=list[FreeGpu])
    power_w: int | None = None
    """None where no GPU tells."""

    def count(self, what: str) -> None:
        kind = "bad" if what in BAD else what
        self.gpus[kind] = self.gpus.get(kind, 0) + 1

    def add(self, gpu: Gpu, now: GpuNow, held: dict[str, float | None]) -> None:
        """A GPU of a host that is up; `held` is the memory in MiB by user."""
        util = gpu.util_percent
        for user, mib in held.items():
            sums = self.users.get(user)
            if sums is None:
                sums = self.users[user] = UserOfHost()
            sums.gpus += 1
            if mib is not None:
                sums.mib += round(mib)
                sums.mib_gpus += 1
            if now.what == IDLE:
                sums.idle += 1
            if util is not None:
                sums.util += int(util + 0.5)
                sums.util_gpus += 1
        if now.what == FREE or gpu.entry.get("mig"):
            self._add_free(gpu, now)

    def _add_free(self, gpu: Gpu, now: GpuNow) -> None:
        model = shown(gpu.name)
        if gpu.is_split:
            for each in gpu.mig if gpu.state == "ok" else ():
                if each.is_free and each.total_mib and each.used_mib is not None:
                    left, uuid = each.total_mib - each.used_mib, shown_uuid(each.uuid) or ""
                    self.free.append(FreeGpu(gpu.index, uuid, model, left, now.since_mono_s, shown(each.name)))
        elif gpu.total_mib and gpu.used_mib is not None:
            left = gpu.total_mib - gpu.used_mib
            self.free.append(FreeGpu(gpu.index, shown_uuid(gpu.uuid) or "", model, left, now.since_mono_s))
