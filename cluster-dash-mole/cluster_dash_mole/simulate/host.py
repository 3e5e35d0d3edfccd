"""Takes the number of a post, gives a simulated host's post of that number, and what is true of the host then."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from typing import TYPE_CHECKING, Any

from cluster_dash_mole import __version__
from cluster_dash_mole.disks import GIB
from cluster_dash_mole.driver import Library, describe_mismatch
from cluster_dash_mole.gpu_data import error_entry, parse_event
from cluster_dash_mole.gpu_roster import describe_change
from cluster_dash_mole.nvml_process import HUNG as HUNG_ERROR
from cluster_dash_mole.nvml_process import Report, format_time
from cluster_dash_mole.simulate import metrics as place
from cluster_dash_mole.simulate import scenario, truth
from cluster_dash_mole.simulate.chance import salt_of, uuid_of
from cluster_dash_mole.simulate.gpu import DRIVER_VERSION, LOST_ERROR, Gpu, Work
from cluster_dash_mole.simulate.gpu import UTIL as GPU_UTIL
from cluster_dash_mole.simulate.metrics import Shape, gpu_base
from cluster_dash_mole.simulate.noise import noise
from cluster_dash_mole.simulate.scenario import HostPlan
from cluster_dash_mole.simulate.template import Slot, Template
from cluster_dash_mole.simulate.week import WEEK_S, Week

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_dash_mole.simulate.gpu_model import GpuModel
    from cluster_dash_mole.simulate.people import Person
    from cluster_dash_mole.simulate.timing import Timing

FAULTS_FROM = 1
"""The number of the first post after the GPUs' faults. In the one before all GPUs are still there, as a mole knows only
those that it has seen."""
SILENT_FROM = 2
"""The number of the first post that a host that is down does not send."""
CLOCK_AHEAD_S = 5431.0
_HELP_EVERY_S = 600.0
_NFS_SERVER = "nas-2:/export/home"
_XID_LOST, _XID_REMAPPED = 79, 63
_DAY_S = 86400.0
_LIBRARY = "550.90.07"


@functools.lru_cache(maxsize=4096)
def render_cores(cpus: int, percent: int) -> str:
    """The column of all cores when the host is that busy: some are at full load, the others do little."""
    busy = round(cpus * percent / 100)
    values = [round(min(100.0, max(0.0, (96 if core < busy else 2) + 4 * noise(cpus + percent, core))), 1)
              for core in range(cpus)]  # fmt: skip
    return json.dumps(values, separators=(",", ":"))


class Host:
    """A simulated host. What it posts depends on nothing but seed, plan, timing and the post's number."""

    def __init__(
        self,
        plan: HostPlan,
        seed: str,
        timing: Timing,
        phase_s: float,
        week: Week,
        people: Sequence[Person],
        shared: dict[Shape, Template],
    ) -> None:
        self.plan, self.timing, self.week = plan, timing, week
        self._phase_s, self._people, self._shared = phase_s, people, shared
        self._salt = salt_of(seed, plan.name)
        self._mole_id, self._boot_id = uuid_of(seed, plan.name, "mole"), uuid_of(seed, plan.name, "boot")
        # Starts of one simulated mole are told apart as a real mole's are: by a counter that only grows.
        self._epoch = f"{self._boot_id}.{int(timing.began_at)}"
        self._booted_at = timing.began_at - _DAY_S * (3 + self._salt % 8700 / 100)
        self._clock_ahead_s = CLOCK_AHEAD_S if scenario.CLOCK_WRONG in plan.conditions else 0.0
        self._gpus = [self._make_gpu(seed, plan.model, index) for index in range(plan.gpus) if plan.model]
        self._mounts = ("/", "/data", "/home") if plan.network_home else ("/", "/data")
        self._entries: dict[int, tuple[Any, Template]] = {}
        self._parts: tuple[Any, Template, Template] | None = None

    def _make_gpu(self, seed: str, model: GpuModel, index: int) -> Gpu:
        plan = self.plan
        gpu = Gpu(seed, plan.name, model, index)
        gpu.is_hot = index in plan.hot
        gpu.has_desktop = plan.has_desktop and index == 0
        if index in plan.mig:
            gpu.tenants = [self._person(index), self._person(index + 5)]
            gpu.tenants_since = self._booted_at + 7200
        return gpu

    def _person(self, number: int) -> Person:
        return self._people[(self._salt + number) % len(self._people)]

    # What is true

    def sent_at(self, number: int) -> float:
        """When the post of that number is made, in Unix seconds by a clock that is right."""
        return self.timing.began_at + self._phase_s + number * self.timing.interval_s

    def number_at(self, at: float) -> int:
        """Of the newest post at that time; below 0 before the first. A host that is down posts no more, and keeps the
        number that it would have.
        """
        # The tiny part keeps the very moment of a post from falling before it by rounding.
        return int((at - self.timing.began_at - self._phase_s) / self.timing.interval_s + 1e-4 + 1) - 1

    def is_sending(self, number: int) -> bool:
        """Whether the post of that number is sent."""
        return number < SILENT_FROM or scenario.DOWN not in self.plan.conditions

    def tell(self, at: float) -> truth.HostTruth:
        """What is true of it at that time."""
        number = self.number_at(at)
        sent = number if self.is_sending(number) else SILENT_FROM - 1
        conditions = set(self.plan.conditions) - {scenario.DOWN}
        conditions.add(scenario.UP if sent == number else scenario.DOWN)
        if number < FAULTS_FROM:
            conditions.discard(scenario.DRIVER_HUNG)
        posted_at = self.sent_at(sent) if sent >= 0 else None
        gpus = tuple(self._tell_gpu(gpu, max(0, sent)) for gpu in self._gpus)
        return truth.HostTruth(self.plan.name, frozenset(conditions), posted_at, self._clock_ahead_s, gpus)

    def _tell_gpu(self, gpu: Gpu, number: int) -> truth.GpuTruth:
        faulty_since = self.sent_at(FAULTS_FROM)
        if self._is_hung(number):
            return gpu.tell_gone(truth.HUNG, faulty_since)
        if self._is_lost(gpu, number):
            return gpu.tell_gone(truth.LOST, faulty_since)
        at = self.sent_at(number)
        work = self._work_on(gpu, at)
        told = gpu.tell(work, gpu.read(work, number, at, at - self._booted_at))
        if scenario.SEED_FORMAT in self.plan.conditions:
            told = dataclasses.replace(told, power_w=None, temperature_c=None, throttle=None)
        return told

    def _is_hung(self, number: int) -> bool:
        return number >= FAULTS_FROM and scenario.DRIVER_HUNG in self.plan.conditions

    def _is_lost(self, gpu: Gpu, number: int) -> bool:
        return number >= FAULTS_FROM and gpu.index in self.plan.lost

    def _work_on(self, gpu: Gpu, at: float) -> Work | None:
        timing = self.timing
        turn, place_s = self.week.find_place(timing.lab_s(at))
        span = self.week.find_span(gpu.index, place_s)
        job = span.job
        if job is None:
            return None
        if job.is_pinned:
            started_at = timing.began_at - 2 * _DAY_S
            elapsed_s = (at - started_at) * timing.speed
            return Work(job, self._person(job.person), turn, started_at, started_at, elapsed_s)
        started_at = timing.real(self.week.begins_s + turn * WEEK_S + job.start_s)
        elapsed_s = place_s - job.start_s
        idle_since = started_at + job.works_s / timing.speed
        return Work(job, self._person(job.person), turn, started_at, idle_since, elapsed_s)

    # Its posts

    def render(self, number: int) -> str:
        """The post of that number as JSON, without auth_code."""
        at = self.sent_at(number)
        works = [self._work_on(gpu, at) for gpu in self._gpus]
        numbers = self._read(works, number, at)
        gpus = ",".join([self._render_gpu(gpu, work, number, numbers) for gpu, work in zip(self._gpus, works)])
        if self._is_hung(number):
            gpus = self._hung_entry
        head, rest = self._find_parts(number)
        if scenario.SEED_FORMAT in self.plan.conditions:
            return f'{head.fill(numbers)[:-1]},"gpu":{{{gpus}}}}}'
        metrics = self._find_metrics(number).fill(numbers)
        return f'{head.fill(numbers)[:-1]},"gpu":{{{gpus}}},{rest.fill(numbers)[1:-1]},"metrics":{metrics}}}'

    def _read(self, works: Sequence[Work | None], number: int, at: float) -> list[Any]:
        """Every number that changes, at its place."""
        up_s = at - self._booted_at
        of_gpus: list[float] = []
        busy = 0.0
        for gpu, work in zip(self._gpus, works):
            read = gpu.read(work, number, at, up_s)
            busy += read[GPU_UTIL]
            of_gpus += read
        return self._read_host(busy / 100, number, at, up_s) + of_gpus

    def _read_host(self, busy: float, number: int, at: float, up_s: float) -> list[Any]:
        """`busy`: GPUs at work. In the order of the places."""
        salt, plan = self._salt, self.plan
        jitter, other = noise(salt, number), noise(salt + 1, number)
        cpu = min(99.0, 3 + 100 * busy * 5 / plan.cpus + 2 * jitter)
        load = cpu * plan.cpus / 100
        io = max(0.0, 1 + busy / 2 + 1.5 * other)
        used_gib = min(0.93, 0.04 + 0.07 * busy) * plan.memory_gib + other
        wall = at + self._clock_ahead_s
        traffic = 2e6 * (1 + jitter) + 9e7 * busy * (1.2 + other)
        shared = int(2**28 + busy * 2**31)
        root, data, home = self._disks_used(at)
        return [
            wall, cpu, load * (1 + 0.1 * jitter), load, load * 0.97, plan.memory_gib - used_gib, used_gib,
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall)), number + 1, up_s,
            0.002 * (at - self.timing.began_at) + 0.4, 31457280 + salt % 4096 * 4096,
            io / 2, 1 + load, 2 if io > 3 else 0, render_cores(plan.cpus, int(cpu)), io, io, io / 2,
            shared, int(plan.memory_gib * GIB * 0.2), traffic, traffic / 3, min(100.0, 4 + 6 * busy),
            traffic / 2, traffic / 5, traffic * 9, traffic * 8, up_s, self._clock_ahead_s + 0.002 * jitter,
            shared, shared / (plan.memory_gib * GIB / 2) * 100,
            root * 892, root * 100, data * 14308, data * 100, home * 80000, home * 100,
        ]  # fmt: skip

    def _disks_used(self, at: float) -> tuple[float, float, float]:
        """Shares of /, /data and /home. The last is one for all hosts."""
        grown = at / _DAY_S % 30 / 1000
        data = 0.3 + self._salt % 50 / 100 + grown
        if scenario.DISK_FULL in self.plan.conditions:
            data = 0.977 + grown / 10
        return 0.2 + self._salt % 31 / 100, data, 0.71 + grown

    def _render_gpu(self, gpu: Gpu, work: Work | None, number: int, numbers: Sequence[Any]) -> str:
        """Its entry with its id, from the template of the time since its job came."""
        is_lost = self._is_lost(gpu, number)
        key = "lost" if is_lost else work and work.key
        known = self._entries.get(gpu.index)
        if known is None or known[0] != key:
            base = gpu_base(gpu.index)
            if is_lost:
                entry = gpu.lost_entry(self._told_at(FAULTS_FROM))
            elif scenario.SEED_FORMAT in self.plan.conditions:
                entry = gpu.seed_entry(work, base)
            else:
                entry = gpu.entry(self._by_its_clock(work), base)
            known = self._entries[gpu.index] = (key, Template({gpu.id: entry}))
        return known[1].fill(numbers)[1:-1]

    def _told_at(self, number: int) -> float:
        """When the post of that number is made, by the host's clock."""
        return round(self.sent_at(number) + self._clock_ahead_s, 3)

    def _by_its_clock(self, work: Work | None) -> Work | None:
        return work and work._replace(started_at=work.started_at + self._clock_ahead_s)

    @functools.cached_property
    def _hung_entry(self) -> str:
        report = Report("hung", None, *self._hung_told())
        return json.dumps({"gpu_error": error_entry(report)}, separators=(",", ":"))[1:-1]

    def _hung_told(self) -> tuple[str, float]:
        since = self._told_at(FAULTS_FROM)
        return f"{HUNG_ERROR} (since {format_time(since)})", since

    def _find_parts(self, number: int) -> tuple[Template, Template]:
        """What stands before the GPUs and after them, until the metrics."""
        key = min(number, FAULTS_FROM + 1)  # later posts are as that one
        if self._parts is None or self._parts[0] != key:
            head = {"hostname": self.plan.name, "timestamp": Slot(place.TIMESTAMP, ".3"), "cpu": self._cpu()}
            rest: dict[str, Any] = {}
            if scenario.SEED_FORMAT in self.plan.conditions:
                head.update({"memory": self._memory(), "general": self._general(), "disk": self._disk()})
            else:
                events = self._events(number)
                rest = {"memory": self._memory(), "general": self._general(), "disk": self._disk()}
                rest.update({**({"events": events} if events else {}), "mole": self._mole(number)})
            self._parts = (key, Template(head), Template(rest))
        return self._parts[1], self._parts[2]

    def _find_metrics(self, number: int) -> Template:
        plan = self.plan
        every = max(1, round(_HELP_EVERY_S / self.timing.interval_s))
        told = () if self._is_hung(number) else tuple(g.index for g in self._gpus if not self._is_lost(g, number))
        is_stale = scenario.NFS_DEAD in plan.conditions
        shape = Shape(
            plan.cpus,
            plan.model,
            told,
            plan.mig,
            plan.failing,
            self._mounts[:2] if is_stale else self._mounts,
            bool(plan.model and plan.model.links),
            number % every == 0,
            number > 0,
        )
        template = self._shared.get(shape)
        if template is None:
            template = self._shared[shape] = Template(place.assemble(shape))
        return template

    def _cpu(self) -> dict[str, Any]:
        loads = [Slot(place.LOAD_1), Slot(place.LOAD_5), Slot(place.LOAD_15)]
        return {"cpu_percent": Slot(place.CPU), "load_avgs": loads, "num_cpus": self.plan.cpus}

    def _memory(self) -> dict[str, Any]:
        total = self.plan.memory_gib
        return {"total_gb": total, "available_gb": Slot(place.AVAILABLE, ".3"), "used_gb": Slot(place.USED, ".3")}

    def _general(self) -> dict[str, Any]:
        booted_at = self._booted_at + self._clock_ahead_s
        general: dict[str, Any] = {
            "hostname": self.plan.name,
            "system_time": Slot(place.SYSTEM_TIME, "text"),
            "boottime": format_time(booted_at),
        }
        if scenario.SEED_FORMAT in self.plan.conditions:
            return general
        system = {
            "kernel": "6.8.0-45-generic",
            "os": "Ubuntu 24.04.1 LTS",
            "cpu_model": "AMD EPYC 9654 96-Core Processor",
        }
        return {**general, "boot_id": self._boot_id, **system}

    def _disk(self) -> dict[str, Any]:
        is_seed = scenario.SEED_FORMAT in self.plan.conditions
        disks: dict[str, Any] = {}
        for mount, device, total, used in (
            ("/", "/dev/nvme0n1p2", 892.0, place.ROOT_USED),
            ("/data", "/dev/md0", 14308.0, place.DATA_USED),
            ("/home", _NFS_SERVER, 80000.0, place.HOME_USED),
        ):
            if mount not in self._mounts:
                continue
            entry: dict[str, Any] = {"mount_point": mount, "device": device}
            if mount == "/home" and scenario.NFS_DEAD in self.plan.conditions:
                entry.update(dict.fromkeys(("total_gb", "used_gb", "percent_used")))
                entry["stale_since"] = self._stale_since
            else:
                entry.update({"total_gb": total, "used_gb": Slot(used, ".3"), "percent_used": Slot(used + 1)})
            disks[device if is_seed else mount] = entry
        return disks

    @property
    def _stale_since(self) -> float:
        return round(self.timing.began_at + self._clock_ahead_s - 5040, 3)

    def _mole(self, number: int) -> dict[str, Any]:
        return {
            "id": self._mole_id,
            "version": __version__,
            "epoch": self._epoch,
            "mono_s": Slot(place.MONO, ".3"),
            "cpu_s": Slot(place.MOLE_CPU, ".3"),
            "rss_bytes": Slot(place.MOLE_RSS, "int"),
            "errors": self._errors(number),
            "seq": Slot(place.SEQ, "int"),
            "interval_s": self.timing.interval_s,
        }

    def _errors(self, number: int) -> dict[str, str]:
        errors: dict[str, str] = {}
        if self._is_hung(number):
            errors["nvml"] = self._hung_told()[0]
        if scenario.REBOOT_PENDING in self.plan.conditions:
            library = Library(_LIBRARY, self.timing.began_at - 3 * _DAY_S)
            errors["driver"] = describe_mismatch(DRIVER_VERSION, library) or ""
        if scenario.NFS_DEAD in self.plan.conditions:
            since = format_time(self._stale_since)
            errors["disk /home"] = f"no answer since {since}: see whether the server of {_NFS_SERVER} is up"
        return errors

    def _events(self, number: int) -> list[dict[str, Any]]:
        """What its mole noticed since the post before."""
        if number != FAULTS_FROM:
            return []
        at = self._told_at(number)
        events: list[dict[str, Any]] = []
        for gpu in self._gpus:
            known = {"name": gpu.model.name, "uuid": gpu.uuid, "index": gpu.index, "state": "lost", "error": LOST_ERROR}
            xid = {"time": at, "kind": "xid", "code": 0, "count": 1, "index": gpu.index}
            if gpu.index in self.plan.lost:
                events.append(parse_event({**xid, "code": _XID_LOST}))
                events.append(describe_change(known, at, at))
            if gpu.index in self.plan.failing:
                events.append(parse_event({**xid, "code": _XID_REMAPPED}))
        return events
