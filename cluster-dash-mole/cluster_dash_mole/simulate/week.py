"""Takes a seed and a number of GPUs, gives a lab's week on one host: who works on which of them, and when.

A week comes again and again. Each host's begins at another hour, as all its GPUs are free then.
"""

from __future__ import annotations

import bisect
import math
import random
from typing import TYPE_CHECKING, NamedTuple

from cluster_dash_mole.simulate.jobs import HOUR_S, KINDS, Job, Kind, wave_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
_SATURDAY = 5
_COMES_PER_GPU_S = 2.6 * HOUR_S  # at the busiest hour something new comes so often for each GPU
_ENDLESS = 1e12


class Span(NamedTuple):
    """What is on a GPU between two times of its host's week; None = nothing."""

    start_s: float
    end_s: float
    job: Job | None


class Week:
    """The plan of a host. `begins_s` is where its week begins in the lab's, which begins on Monday at 0:00."""

    def __init__(self, begins_s: float, gpus: int, jobs: Iterable[Job]) -> None:
        self.begins_s = begins_s
        self.jobs = sorted(jobs, key=lambda job: job.start_s)
        self._spans = [_spans([job for job in self.jobs if gpu in job.gpus]) for gpu in range(gpus)]
        self._starts = [[span.start_s for span in spans] for spans in self._spans]

    def find_place(self, lab_s: float) -> tuple[int, float]:
        """Which of this host's weeks it is, and how far in it; `lab_s` counts from a Monday."""
        turn, place = divmod(lab_s - self.begins_s, WEEK_S)
        return int(turn), place

    def find_span(self, gpu: int, place_s: float) -> Span:
        """What is on the GPU at that place of the week."""
        return self._spans[gpu][bisect.bisect_right(self._starts[gpu], place_s) - 1]


def _spans(jobs: Sequence[Job]) -> list[Span]:
    spans: list[Span] = []
    at = 0.0
    for job in jobs:
        if job.start_s > at:
            spans.append(Span(at, job.start_s, None))
        spans.append(Span(job.start_s, job.end_s, job))
        at = job.end_s
    if at < WEEK_S:
        spans.append(Span(at, WEEK_S, None))
    return spans


def plan_week(seed: str, gpus: int, pinned: Sequence[Job] = (), kept_free: Sequence[int] = ()) -> Week:
    """The same for the same seed. The pinned jobs last all week on GPUs that nobody else gets."""
    chance = random.Random(seed)  # noqa: S311  no secret
    begins_s = chance.uniform(0, WEEK_S)
    taken = {gpu for job in pinned for gpu in job.gpus} | set(kept_free)
    free_at = [_ENDLESS if gpu in taken else 0.0 for gpu in range(gpus)]
    jobs = list(pinned)
    at = 0.0
    while gpus > len(taken):
        at += chance.expovariate(_how_often(begins_s + at, gpus - len(taken)))
        if at >= WEEK_S:
            break
        job = _plan_job(chance, begins_s + at, at, free_at, len(jobs))
        if job:
            jobs.append(job)
            for gpu in job.gpus:
                free_at[gpu] = job.end_s + 60
    return Week(begins_s, gpus, jobs)


def _how_often(lab_s: float, gpus: int) -> float:
    """Jobs a second: few at night and at the weekend."""
    wave = wave_of_day(lab_s % DAY_S / HOUR_S)
    is_weekend = lab_s % WEEK_S >= _SATURDAY * DAY_S
    return gpus / _COMES_PER_GPU_S * (0.15 + 0.85 * wave) * (0.4 if is_weekend else 1.0)


def _plan_job(chance: random.Random, lab_s: float, at: float, free_at: Sequence[float], number: int) -> Job | None:
    """A job on GPUs that are free; None where they don't suffice."""
    wave = wave_of_day(lab_s % DAY_S / HOUR_S)
    weights = [wave * kind.day + (1 - wave) * kind.night for kind in KINDS]
    kind = chance.choices(KINDS, weights)[0]
    wanted = chance.choice(kind.gpus)
    free = [gpu for gpu, free_s in enumerate(free_at) if free_s <= at]
    lasts_s = HOUR_S * kind.hours[0] * (kind.hours[1] / kind.hours[0]) ** chance.random()
    end_s = min(at + lasts_s, WEEK_S)
    return make_job(chance, kind, number, at, end_s, tuple(free[:wanted])) if len(free) >= wanted else None


def make_job(
    chance: random.Random, kind: Kind, number: int, start_s: float, end_s: float, gpus: tuple[int, ...]
) -> Job:
    """A job of that kind."""
    return Job(
        kind,
        number,
        start_s,
        end_s,
        gpus,
        chance.randrange(10**6),
        chance.choice(kind.commands),
        chance.uniform(*kind.memory),
        chance.uniform(*kind.util),
        chance.uniform(*kind.power),
        (end_s - start_s) * chance.uniform(*kind.works) if kind.works[0] < 1 else math.inf,
        chance.random() < kind.in_container,
    )
