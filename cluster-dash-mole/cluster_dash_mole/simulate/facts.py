"""Takes a host's plan, gives what stays true of it throughout: ids, clocks, GPUs, and what befalls it when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster_dash_mole.simulate import scenario
from cluster_dash_mole.simulate.chance import salt_of, uuid_of
from cluster_dash_mole.simulate.gpu import Gpu

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_dash_mole.simulate.gpu_model import GpuModel
    from cluster_dash_mole.simulate.people import Person
    from cluster_dash_mole.simulate.scenario import HostPlan
    from cluster_dash_mole.simulate.timing import Timing

FAULTS_FROM = 1
"""The number of the first post after the GPUs' faults. In the one before all GPUs are still there, as a mole knows only
those that it has seen."""
SILENT_FROM = 2
"""The number of the first post that a host that is down does not send."""
CLOCK_AHEAD_S = 5431.0
NFS_SERVER = "nas-2:/export/home"
DAY_S = 86400.0
_STALE_FOR_S = 5040.0


class Facts:
    """Of one host. Times are Unix seconds, by the host's own clock where the name ends in `_told`."""

    def __init__(self, plan: HostPlan, seed: str, timing: Timing, phase_s: float, people: Sequence[Person]) -> None:
        self.plan, self.timing = plan, timing
        self._phase_s, self._people = phase_s, people
        self.salt = salt_of(seed, plan.name)
        self.mole_id, self.boot_id = uuid_of(seed, plan.name, "mole"), uuid_of(seed, plan.name, "boot")
        # Starts of one simulated mole are told apart as a real mole's are: by a counter that only grows.
        self.epoch = f"{self.boot_id}.{int(timing.began_at)}"
        self.booted_at = timing.began_at - DAY_S * (3 + self.salt % 8700 / 100)
        self.clock_ahead_s = CLOCK_AHEAD_S if self.has(scenario.CLOCK_WRONG) else 0.0
        self.stale_since_told = round(timing.began_at + self.clock_ahead_s - _STALE_FOR_S, 3)
        self.faulty_since = self.sent_at(FAULTS_FROM)
        self.faulty_since_told = round(self.faulty_since + self.clock_ahead_s, 3)
        self.mounts = ("/", "/data", "/home") if plan.network_home else ("/", "/data")
        self.gpus = [self._make_gpu(seed, plan.model, index) for index in range(plan.gpus) if plan.model]

    def _make_gpu(self, seed: str, model: GpuModel, index: int) -> Gpu:
        plan = self.plan
        gpu = Gpu(seed, plan.name, model, index)
        gpu.is_hot = index in plan.hot
        gpu.has_desktop = plan.has_desktop and index == 0
        if index in plan.mig:
            gpu.tenants = [self.person(index), self.person(index + 5)]
            gpu.tenants_since = self.booted_at + 7200
        return gpu

    def person(self, number: int) -> Person:
        """The user that the number means on this host."""
        return self._people[(self.salt + number) % len(self._people)]

    def has(self, condition: str) -> bool:
        """Whether it is planned for this host, at whatever time."""
        return condition in self.plan.conditions

    def sent_at(self, number: int) -> float:
        """When the post of that number is made."""
        return self.timing.began_at + self._phase_s + number * self.timing.interval_s

    def number_at(self, at: float) -> int:
        """Of the newest post at that time; below 0 before the first. A host that is down posts no more, and keeps the
        number that it would have.
        """
        # The tiny part keeps the very moment of a post from falling before it by rounding.
        return int((at - self.timing.began_at - self._phase_s) / self.timing.interval_s + 1e-4 + 1) - 1

    def is_sending(self, number: int) -> bool:
        """Whether the post of that number is sent."""
        return number < SILENT_FROM or not self.has(scenario.DOWN)

    def is_hung(self, number: int) -> bool:
        """Whether the driver no longer answers in the post of that number."""
        return number >= FAULTS_FROM and self.has(scenario.DRIVER_HUNG)

    def is_lost(self, gpu: Gpu, number: int) -> bool:
        """Whether the GPU has fallen off the bus in the post of that number."""
        return number >= FAULTS_FROM and gpu.index in self.plan.lost
