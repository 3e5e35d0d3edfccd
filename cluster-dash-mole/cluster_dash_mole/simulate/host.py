"""Takes the number of a post, gives a simulated host's post of that number, and what is true of the host then."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from typing import TYPE_CHECKING, Any

from cluster_dash_mole.disks import GIB
from cluster_dash_mole.simulate import scenario, truth
from cluster_dash_mole.simulate.document import assemble_head, assemble_rest, hung_entry, shape_of
from cluster_dash_mole.simulate.facts import DAY_S, FAULTS_FROM, SILENT_FROM, Facts
from cluster_dash_mole.simulate.gpu import UTIL, Gpu, Work
from cluster_dash_mole.simulate.metrics import Shape, assemble, gpu_base
from cluster_dash_mole.simulate.noise import noise
from cluster_dash_mole.simulate.template import Template
from cluster_dash_mole.simulate.week import WEEK_S, Week

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_dash_mole.simulate.scenario import HostPlan


class _OnGpu:
    """What is on a GPU between two places of the week, and the template of its entry then."""

    __slots__ = ("end_s", "entry", "is_lost", "start_s", "turn", "work")

    def __init__(self, turn: int, start_s: float, end_s: float, work: Work | None) -> None:
        self.turn, self.start_s, self.end_s, self.work = turn, start_s, end_s, work
        self.entry: Template | None = None
        self.is_lost = False


_NEVER = _OnGpu(0, 0.0, 0.0, None)


class Host:
    """A simulated host. What it posts depends on nothing but its facts, its week and the post's number; what it keeps
    from post to post only saves time. `shared` are the templates of metrics, which hosts that are alike share.
    """

    def __init__(self, facts: Facts, week: Week, shared: dict[Shape, Template]) -> None:
        self.facts, self.week = facts, week
        self._shared = shared
        self._is_seed = facts.has(scenario.SEED_FORMAT)
        self._on = [_NEVER] * len(facts.gpus)
        self._parts: tuple[int, Template, Template] | None = None

    @property
    def plan(self) -> HostPlan:
        """As it is set up."""
        return self.facts.plan

    # What is true

    def tell(self, at: float) -> truth.HostTruth:
        """What is true of it at that time."""
        facts = self.facts
        number = facts.number_at(at)
        sent = number if facts.is_sending(number) else SILENT_FROM - 1
        conditions = set(facts.plan.conditions) - {scenario.DOWN}
        conditions.add(scenario.UP if sent == number else scenario.DOWN)
        if number < FAULTS_FROM:
            conditions.discard(scenario.DRIVER_HUNG)
        posted_at = facts.sent_at(sent) if sent >= 0 else None
        gpus = tuple(self._tell_gpus(max(0, sent)))
        return truth.HostTruth(facts.plan.name, frozenset(conditions), posted_at, facts.clock_ahead_s, gpus)

    def _tell_gpus(self, number: int) -> list[truth.GpuTruth]:
        facts, at = self.facts, self.facts.sent_at(number)
        told: list[truth.GpuTruth] = []
        for gpu, on in zip(facts.gpus, self._find_works(at)):
            if facts.is_hung(number):
                told.append(gpu.tell_gone(truth.HUNG, facts.faulty_since))
            elif facts.is_lost(gpu, number):
                told.append(gpu.tell_gone(truth.LOST, facts.faulty_since))
            else:
                told.append(gpu.tell(on.work, gpu.read(on.work, number, at, at - facts.booted_at), at))
        if self._is_seed:
            told = [dataclasses.replace(gpu, power_w=None, temperature_c=None, throttle=None) for gpu in told]
        return told

    # Its posts

    def render(self, number: int) -> str:
        """The post of that number as JSON, without auth_code."""
        facts, at = self.facts, self.facts.sent_at(number)
        works = self._find_works(at)
        numbers = self._read(works, number, at)
        gpus = self._hung_entry if facts.is_hung(number) else self._render_gpus(works, number, numbers)
        head, rest = self._find_parts(number)
        post = f'{head.fill(numbers)[:-1]},"gpu":{{{gpus}}},{rest.fill(numbers)[1:-1]}'
        return f"{post}}}" if self._is_seed else f'{post},"metrics":{self._find_metrics(number).fill(numbers)}}}'

    def _find_works(self, at: float) -> list[_OnGpu]:
        """What is on each GPU."""
        turn, place_s = self.week.find_place(self.facts.timing.lab_s(at))
        known = self._on
        for index, on in enumerate(known):
            if on.turn != turn or not on.start_s <= place_s < on.end_s:
                known[index] = self._find_work(index, turn, place_s)
        return known

    def _find_work(self, index: int, turn: int, place_s: float) -> _OnGpu:
        facts, timing = self.facts, self.facts.timing
        span = self.week.find_span(index, place_s)
        work = None
        if span.job:
            started_at = timing.real(self.week.begins_s + turn * WEEK_S + span.job.start_s)
            if span.job.is_pinned:
                started_at = timing.began_at - 2 * DAY_S
            work = Work(span.job, facts.person(span.job.person), turn, started_at, timing.speed)
        return _OnGpu(turn, span.start_s, span.end_s, work)

    def _read(self, works: Sequence[_OnGpu], number: int, at: float) -> list[Any]:
        """Every number that changes, at its place."""
        up_s = at - self.facts.booted_at
        of_gpus: list[float] = []
        busy = 0.0
        for gpu, on in zip(self.facts.gpus, works):
            read = gpu.read(on.work, number, at, up_s)
            busy += read[UTIL]
            of_gpus += read
        return read_host(self.facts, busy / 100, number, at) + of_gpus

    def _render_gpus(self, works: Sequence[_OnGpu], number: int, numbers: Sequence[Any]) -> str:
        """Their entries with their ids, each from the template of the time since its job came."""
        texts: list[str] = []
        for gpu, on in zip(self.facts.gpus, works):
            is_lost = self.facts.is_lost(gpu, number)
            if on.entry is None or on.is_lost != is_lost:
                on.entry, on.is_lost = Template({gpu.id: self._entry(gpu, on.work, is_lost)}), is_lost
            texts.append(on.entry.fill(numbers)[1:-1])
        return ",".join(texts)

    def _entry(self, gpu: Gpu, work: Work | None, is_lost: bool) -> dict[str, Any]:
        if is_lost:
            return gpu.lost_entry(self.facts.faulty_since_told)
        if self._is_seed:
            return gpu.seed_entry(work, gpu_base(gpu.index))
        return gpu.entry(work, gpu_base(gpu.index), self.facts.clock_ahead_s)

    @functools.cached_property
    def _hung_entry(self) -> str:
        return json.dumps(hung_entry(self.facts), separators=(",", ":"))[1:-1]

    def _find_parts(self, number: int) -> tuple[Template, Template]:
        """What stands before the GPUs and after them, until the metrics."""
        kind = min(number, FAULTS_FROM + 1)  # later posts are as that one
        if self._parts is None or self._parts[0] != kind:
            self._parts = (kind, Template(assemble_head(self.facts)), Template(assemble_rest(self.facts, number)))
        return self._parts[1:]

    def _find_metrics(self, number: int) -> Template:
        shape = shape_of(self.facts, number)
        template = self._shared.get(shape)
        if template is None:
            template = self._shared[shape] = Template(assemble(shape))
        return template


def read_host(facts: Facts, busy: float, number: int, at: float) -> list[Any]:
    """The numbers of a host of which so many GPUs are at work, in the order of the places in `metrics`."""
    salt, plan, up_s = facts.salt, facts.plan, at - facts.booted_at
    jitter, other = noise(salt, number), noise(salt + 1, number)
    cpu = min(99.0, 3 + 100 * busy * 5 / plan.cpus + 2 * jitter)
    load = cpu * plan.cpus / 100
    io = max(0.0, 1 + busy / 2 + 1.5 * other)
    used_gib = min(0.93, 0.04 + 0.07 * busy) * plan.memory_gib + other
    wall = at + facts.clock_ahead_s
    traffic = 2e6 * (1 + jitter) + 9e7 * busy * (1.2 + other)
    shared = int(2**28 + busy * 2**31)
    root, data, home = read_disks(facts, at)
    return [
        wall, cpu, load * (1 + 0.1 * jitter), load, load * 0.97, plan.memory_gib - used_gib, used_gib,
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall)), number + 1, up_s,
        0.002 * (at - facts.timing.began_at) + 0.4, 31457280 + salt % 4096 * 4096,
        io / 2, 1 + load, 2 if io > 3 else 0, render_cores(plan.cpus, int(cpu)), io, io, io / 2,
        shared, int(plan.memory_gib * GIB * 0.2), traffic, traffic / 3, min(100.0, 4 + 6 * busy),
        traffic / 2, traffic / 5, traffic * 9, traffic * 8, up_s, facts.clock_ahead_s + 0.002 * jitter,
        shared, shared / (plan.memory_gib * GIB / 2) * 100,
        root * 892, root * 100, data * 14308, data * 100, home * 80000, home * 100,
    ]  # fmt: skip


def read_disks(facts: Facts, at: float) -> tuple[float, float, float]:
    """Shares of /, /data and /home that are used. The last is one for all hosts."""
    grown = at / DAY_S % 30 / 1000
    data = 0.3 + facts.salt % 50 / 100 + grown
    if facts.has(scenario.DISK_FULL):
        data = 0.977 + grown / 10
    return 0.2 + facts.salt % 31 / 100, data, 0.71 + grown


@functools.lru_cache(maxsize=4096)
def render_cores(cpus: int, percent: int) -> str:
    """The column of all cores when the host is that busy: some are at full load, the others do little."""
    busy = round(cpus * percent / 100)
    levels = [(96 if core < busy else 2) + 4 * noise(cpus + percent, core) for core in range(cpus)]
    return json.dumps([round(min(100.0, max(0.0, level)), 1) for level in levels], separators=(",", ":"))
