"""Takes a scenario's name, gives its hosts: what each has, and what is wrong with it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from cluster_dash_mole.simulate.gpu_model import (
    A100_40,
    A100_80,
    H100,
    L40S,
    MODELS,
    RTX_3090,
    RTX_4090,
    V100,
    GpuModel,
)
from cluster_dash_mole.simulate.jobs import NOTEBOOK, SPIN, TRAIN, Job
from cluster_dash_mole.simulate.week import WEEK_S, make_job

SCENARIOS = ("demo", "plain")
DEMO_HOSTS = 24
NEVER_SEEN = "h100-05"
"""A host that somebody who runs the demo's lab would expect, and that never posts."""

UP, DOWN = "up", "down"
CLOCK_WRONG, SEED_FORMAT, NFS_DEAD, DISK_FULL = "clock_wrong", "seed_format", "nfs_dead", "disk_full"
DRIVER_HUNG, REBOOT_PENDING, NO_GPU = "driver_hung", "reboot_pending", "no_gpu"
CONDITIONS = (UP, DOWN, CLOCK_WRONG, SEED_FORMAT, NFS_DEAD, DISK_FULL, DRIVER_HUNG, REBOOT_PENDING, NO_GPU)
"""What can be true of a host. A host is up or down, the others come on top."""


@dataclass(frozen=True)
class HostPlan:
    """A host as it is set up. The fields for GPUs hold indices: `lost` has fallen off the bus, a `hot` one is slowed
    down, a `mig` one is split, a `failing` one has memory errors. `held` by somebody who does nothing all week, `spins`
    for a job that hangs all week, `works` for a training that lasts all week.
    """

    name: str
    model: GpuModel | None = None
    gpus: int = 0
    cpus: int = 64
    memory_gib: float = 503.0
    conditions: tuple[str, ...] = ()
    lost: tuple[int, ...] = ()
    hot: tuple[int, ...] = ()
    mig: tuple[int, ...] = ()
    failing: tuple[int, ...] = ()
    held: tuple[int, ...] = ()
    spins: tuple[int, ...] = ()
    works: tuple[int, ...] = ()
    network_home: bool = True
    has_desktop: bool = False
    tags: tuple[str, ...] = ()

    def pinned_jobs(self, seed: str) -> list[Job]:
        """Those that last all week."""
        chance = random.Random(f"{seed} pinned {self.name}")  # noqa: S311  no secret
        jobs: list[Job] = []
        for kind, gpus in ((NOTEBOOK, self.held), (SPIN, self.spins), (TRAIN, self.works)):
            if gpus:
                jobs.append(_worked_before(make_job(chance, kind, len(jobs), 0.0, WEEK_S, gpus)))
        return jobs


def _worked_before(job: Job) -> Job:
    """A notebook that holds its memory all week did its work long ago."""
    return job._replace(works_s=-1.0, memory=max(job.memory, 0.55)) if job.kind is NOTEBOOK else job


def plan_demo() -> list[HostPlan]:
    """24 hosts, 158 GPUs, and every trouble that the pages have a look for."""
    h100 = HostPlan("", H100, 8, 192, 2015.0, tags=("training", "rack-1"))
    a100 = HostPlan("", A100_80, 8, 128, 1007.0, tags=("training", "rack-2"))
    old_a100 = HostPlan("", A100_40, 8, 96, 1007.0, tags=("shared", "rack-3"))
    l40s = HostPlan("", L40S, 8, 64, 755.0, tags=("inference", "rack-4"))
    v100 = HostPlan("", V100, 8, 80, 376.0, tags=("teaching", "rack-5"))
    desk = HostPlan("", RTX_4090, 4, 32, 251.0, has_desktop=True, tags=("vision",))
    old = HostPlan("", RTX_3090, 4, 48, 251.0, network_home=False, tags=("shared",))
    return [
        replace(h100, name="h100-01", works=(0, 1, 2, 3, 4, 5, 6, 7)),
        replace(h100, name="h100-02", lost=(5,)),
        replace(h100, name="h100-03", spins=(4, 5, 6, 7)),
        replace(h100, name="h100-04", conditions=(DRIVER_HUNG,)),
        replace(a100, name="a100-01", mig=(0, 1)),
        replace(a100, name="a100-02", held=(3,), works=(4, 5, 6, 7), hot=(6,)),
        replace(a100, name="a100-03", conditions=(DOWN,), works=(0, 1, 2, 3)),
        replace(old_a100, name="gpu-a11", conditions=(DISK_FULL,)),
        replace(old_a100, name="gpu-a12", failing=(2,)),
        replace(old_a100, name="gpu-a13", held=(0,)),
        replace(old_a100, name="gpu-a14", conditions=(REBOOT_PENDING,)),
        replace(l40s, name="l40s-01"),
        replace(l40s, name="l40s-02", conditions=(NFS_DEAD,)),
        replace(l40s, name="render-and-inference-l40s-building7-rack12-unit03.cluster.example.org"),
        replace(v100, name="v100-01", conditions=(CLOCK_WRONG,)),
        replace(v100, name="v100-02"),
        replace(desk, name="rtx-01"),
        replace(desk, name="rtx-02", held=(1,)),
        replace(desk, name="vision-lab-3"),
        replace(desk, name="ws-fleur", gpus=2, cpus=16, memory_gib=125.0),
        replace(old, name="molgpu01", conditions=(SEED_FORMAT,)),
        replace(old, name="molgpu02"),
        replace(old, name="robotics", gpus=8),
        HostPlan("login-1", None, 0, 32, 125.0, (NO_GPU,), tags=("shared",)),
    ]


def plan_plain(seed: str, hosts: int, gpus: int, first: int = 1) -> list[HostPlan]:
    """So many hosts with so many GPUs each, nothing wrong with any; hosts of one model stand together."""
    planned: list[HostPlan] = []
    for number in range(first, first + hosts):
        rack = (number - 1) // 16
        chance = random.Random(f"{seed} rack {rack}")  # noqa: S311  no secret
        model = chance.choice(MODELS) if gpus else None
        conditions = () if gpus else (NO_GPU,)
        planned.append(HostPlan(f"gpu-{number:05d}", model, gpus, 64, 503.0, conditions))
    return planned


def plan_hosts(scenario: str, seed: str, hosts: int, gpus: int) -> list[HostPlan]:
    """The scenario's hosts; of "demo" the first so many, then plain ones."""
    if scenario == "plain":
        return plan_plain(seed, hosts, gpus)
    demo = plan_demo()[:hosts]
    return demo + plan_plain(seed, hosts - len(demo), gpus)
