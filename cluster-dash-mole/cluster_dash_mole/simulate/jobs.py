"""Gives the kinds of work in a lab: when they come, how long they stay, what they do to their GPUs."""

from __future__ import annotations

import math
from typing import NamedTuple

from cluster_dash_mole.simulate.noise import noise

HOUR_S = 3600.0


class Kind(NamedTuple):
    """Work of one kind. Pairs are the least and the most; `day` and `night` say how often it comes then.

    `power` is the share of what lies between a GPU at rest and its limit. `works` is the share of its time after which
    it only holds its memory; 1 = it works to its end.
    """

    name: str
    day: float
    night: float
    gpus: tuple[int, ...]
    hours: tuple[float, float]
    memory: tuple[float, float]
    util: tuple[float, float]
    power: tuple[float, float]
    commands: tuple[str, ...]
    works: tuple[float, float] = (1.0, 1.0)
    in_container: float = 0.0


TRAIN = Kind(
    "train", 1.2, 2.0, (1, 2, 4, 4, 8, 8), (6, 40), (0.55, 0.93), (91, 99), (0.7, 0.95),
    (
        "python train.py --config configs/vit_large.yaml --seed {number}",
        "python -m torch.distributed.run --nproc_per_node {gpus} pretrain.py --config configs/lm_{number}.yaml",
        "python finetune.py --run runs/{login}/lora-{number} --bf16 --batch-size 32",
        "python scripts/train_diffusion.py --data /data/shards --resolution 512 --run diff-{number}",
    ),
    in_container=0.3,
)  # fmt: skip
SHORT = Kind(
    "short", 5.0, 0.8, (1, 1, 1, 2), (0.15, 1.5), (0.1, 0.6), (35, 90), (0.3, 0.75),
    (
        "python eval.py --checkpoint runs/{login}/step_{number}000.pt --split val",
        "python train.py --config configs/debug.yaml --max-steps 200",
        "python sweep.py --trial {number}",
        "./build/bench_kernels --iterations {number}",
    ),
)  # fmt: skip
NOTEBOOK = Kind(
    "notebook", 1.4, 0.15, (1,), (2, 20), (0.08, 0.8), (15, 60), (0.15, 0.45),
    ("/home/{login}/.venv/bin/python -m ipykernel_launcher -f /run/user/{uid}/jupyter/kernel-{number}.json",),
    works=(0.1, 0.6),
)  # fmt: skip
SERVE = Kind(
    "serve", 0.15, 0.15, (1, 2), (24, 90), (0.75, 0.92), (12, 55), (0.2, 0.55),
    ("python -m server.app --model /models/instruct-{number} --port 80{number}",),
    in_container=0.9,
)  # fmt: skip
STARVED = Kind(
    "starved", 0.5, 0.3, (1, 2), (3, 12), (0.3, 0.6), (88, 96), (0.4, 0.6),
    ("python train.py --config configs/video.yaml --num-workers 2 --data /home/{login}/clips",),
)  # fmt: skip
SPIN = Kind(
    "spin", 0.06, 0.06, (2, 4), (4, 14), (0.6, 0.9), (100, 100), (0.13, 0.2),
    ("python -m torch.distributed.run --nproc_per_node {gpus} train.py --config configs/moe_{number}.yaml",),
    in_container=0.3,
)  # fmt: skip
KINDS = (TRAIN, SHORT, NOTEBOOK, SERVE, STARVED, SPIN)

_LOADS_S = 120.0
_CHECKPOINT_EVERY_S, _CHECKPOINT_S = 2 * HOUR_S, 75.0


class Job(NamedTuple):
    """A piece of work, as planned. Times in seconds after the start of its host's week."""

    kind: Kind
    number: int
    start_s: float
    end_s: float
    gpus: tuple[int, ...]
    person: int
    command: str
    memory: float
    util: float
    power: float
    works_s: float
    is_contained: bool

    @property
    def is_pinned(self) -> bool:
        """Whether it lasts from week to week."""
        return self.start_s == 0 and self.end_s == 7 * 24 * HOUR_S


class Load(NamedTuple):
    """What a job does to one of its GPUs: percent, and the share of memory and of power that it takes."""

    util: float
    memory: float
    power: float


def find_load(job: Job, elapsed_s: float, salt: int, number: int) -> Load:
    """The job's load after so many seconds; `salt` tells its GPUs apart, `number` the posts."""
    if elapsed_s > job.works_s:
        return Load(0.0, job.memory, 0.06)  # clocks stay up while a context is there
    if elapsed_s < _LOADS_S:
        return Load(3.0, job.memory * (0.1 + 0.9 * elapsed_s / _LOADS_S), 0.08)
    jitter = noise(salt, number)
    name = job.kind.name
    if name == "spin":
        return Load(100.0, job.memory, job.power + 0.01 * jitter)
    if name == "train" and elapsed_s % _CHECKPOINT_EVERY_S < _CHECKPOINT_S:
        return Load(6.0 + 3 * jitter, job.memory, 0.12)
    if name == "starved":
        share = max(0.0, noise(salt + 17, number))
        return Load(8 + share * job.util, job.memory, 0.1 + share * job.power)
    if name in ("notebook", "serve"):
        share = 0.6 + 0.4 * jitter
        return Load(max(8.0, share * job.util), job.memory, share * job.power)
    util = min(100.0, job.util + (1.0 if name == "train" else 8.0) * jitter)
    return Load(util, job.memory, min(1.0, job.power + 0.03 * noise(salt + 5, number)))


def wave_of_day(hour: float) -> float:
    """0 in the dead of night, 1 in the early afternoon."""
    return 0.5 - 0.5 * math.cos((hour - 3) / 24 * 2 * math.pi)
