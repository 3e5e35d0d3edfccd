"""Takes a job and a moment, gives a GPU's numbers then, its entry in the post, and what is true of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_dash_mole.gpu_data import gpu_id
from cluster_dash_mole.nvml_process import format_time
from cluster_dash_mole.simulate import truth
from cluster_dash_mole.simulate.chance import salt_of, uuid_of
from cluster_dash_mole.simulate.jobs import Job, Load, find_load
from cluster_dash_mole.simulate.noise import noise
from cluster_dash_mole.simulate.template import Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_dash_mole.simulate.gpu_model import GpuModel
    from cluster_dash_mole.simulate.people import Person

# Where a GPU's numbers are among its own.
USED, UTIL, MEM_UTIL, THROTTLE, PROCESS_MEM, PROCESS_S, FREE_BYTES, TEMPERATURE, ENERGY, SM_CLOCK, MEM_CLOCK = range(11)
POWER, POWER_MAX, UTIL_MAX, MEM_UTIL_MAX, FAN, PCIE = range(11, 17)
SM, OCCUPANCY, TENSOR, DRAM, PCIE_IN, PCIE_OUT, NVLINK, MEM_TEMPERATURE, CAPPED_S = range(17, 26)
PLACES = 26

DRIVER_VERSION, CUDA_VERSION = "550.54.15", "12.4"
LOST_ERROR = "GPU is lost"
IDLE_CLOCKS, POWER_CAP, TOO_HOT = 0x1, 0x4, 0x20  # nvmlClocksEventReasons
_MIB = 2**20
_LITTLE_MIB = 3.0  # what a driver keeps on a GPU that nobody uses
_DESKTOP_MIB = 41.0
_DESKTOP_UID = 120
_SYSTEM_SHARE = 0.04  # of a process's time is the kernel's
_REST = Load(0.0, 0.0, 0.0)
_WAITING = 0.2  # the share of power that a GPU takes on which a kernel runs and does nothing
# Name, share of the GPU's memory, share of that which is held; the last two are free.
_INSTANCES = (("3g.40gb", 0.49, 0.7), ("2g.20gb", 0.245, 0.4), ("1g.10gb", 0.12, 0.0), ("1g.10gb", 0.12, 0.0))


class Work(NamedTuple):
    """A job on a GPU in one of its host's weeks, since `started_at` (Unix seconds) in a lab of that speed."""

    job: Job
    person: Person
    turn: int
    started_at: float
    speed: float

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from any other on its host."""
        return (0 if self.job.is_pinned else self.turn, self.job.number)

    def elapsed_s(self, at: float) -> float:
        """How long it runs by the lab's time."""
        return (at - self.started_at) * self.speed

    def is_idle(self, at: float) -> bool:
        """Whether it only holds its memory."""
        return self.elapsed_s(at) > self.job.works_s

    @property
    def idle_since(self) -> float:
        """When it began to; for one that does all its time, when it came."""
        return self.started_at + max(0.0, self.job.works_s) / self.speed


class Gpu:
    """A GPU of a host. What befalls it is set from outside: `is_hot`, `has_desktop`, `tenants` (of a split one)."""

    def __init__(self, seed: str, host: str, model: GpuModel, index: int) -> None:
        self.host, self.model, self.index = host, model, index
        self.salt = salt_of(seed, host, index)
        self.uuid = "GPU-" + uuid_of(seed, host, "gpu", index)
        self.id = gpu_id({"id_index": index, "name": model.name, "uuid": self.uuid})
        self.pci_bus_id = f"0000:{0x17 + 0x1A * index % 0xE0:02x}:00.0"
        self.is_hot = self.has_desktop = False
        self.tenants: Sequence[Person] = ()
        self.tenants_since = 0.0

    def read(self, work: Work | None, number: int, now: float, up_s: float) -> list[float]:
        """Its numbers in the post of that number, each at its place. `up_s`: since the driver was loaded."""
        model = self.model
        load = find_load(work.job, work.elapsed_s(now), self.salt, number) if work else _REST
        held_mib = float(int(load.memory * (model.total_mib - model.reserved_mib - 600)))
        if self.tenants:
            load = Load(0.0, 0.0, 0.3 + 0.02 * noise(self.salt, number))
            held_mib = sum(self._held_mib(place) for place in range(len(_INSTANCES)))
        used_mib = held_mib + _LITTLE_MIB + (_DESKTOP_MIB if self.has_desktop else 0)
        power = min(1.0, load.power) * (0.62 if self.is_hot else 1.0)
        watts = model.idle_w + (model.limit_w - model.idle_w) * power + 1.5 * noise(self.salt + 3, number)
        util = load.util
        is_used = work is not None or bool(self.tenants)
        throttle = 0 if is_used else IDLE_CLOCKS
        if power > 0.9:
            throttle |= POWER_CAP
        if self.is_hot and util > 20:
            throttle |= TOO_HOT
        clock = model.sm_mhz if is_used else 210 + model.sm_mhz % 90
        if throttle & (POWER_CAP | TOO_HOT):
            clock = int(clock * (0.9 if throttle & POWER_CAP else 0.58))
        temperature = int(27 + self.salt % 7 + 45 * power + (34 if self.is_hot and is_used else 0))
        return [
            used_mib,
            util,
            util * 0.55 * min(1.0, power * 1.2),
            throttle,
            held_mib,
            (now - work.started_at) * _SYSTEM_SHARE if work else 0.0,
            int((model.total_mib - model.reserved_mib - used_mib) * _MIB),
            temperature,
            up_s * model.limit_w * (0.3 + 0.3 * (self.salt % 97) / 97),
            clock,
            model.mem_mhz if is_used else 405,
            watts,
            watts + 6 + 4 * noise(self.salt + 7, number),
            int(min(100.0, util + (8 if 0 < util < 100 else 0))),
            int(min(100.0, util * 0.6)),
            int(30 + 45 * power) if is_used else 0,
            model.pcie_generation if is_used else 1,
            *_activity(load, len(work.job.gpus) if work else 0),
            temperature + 5,
            up_s * (self.salt % 11) / 200,
        ]

    def entry(self, work: Work | None, base: int, clock_ahead_s: float) -> dict[str, Any]:
        """With slots for the numbers, which begin at `base`; times by its host's clock."""
        split = bool(self.tenants)
        return {
            **self._named(),
            "total_mem": self.model.total_mib,
            "used_mem": Slot(base + USED),
            "gpu_util": None if split else Slot(base + UTIL),
            "memory_util": None if split else Slot(base + MEM_UTIL),
            "state": "ok",
            "pci_bus_id": self.pci_bus_id,
            "vbios_version": self.model.vbios,
            "driver_version": DRIVER_VERSION,
            "cuda_version": CUDA_VERSION,
            "throttle_reasons": Slot(base + THROTTLE, "int"),
            **({"mig": self._instances()} if split else {}),
            "users": self._users(work, base, clock_ahead_s),
        }

    def seed_entry(self, work: Work | None, base: int) -> dict[str, Any]:
        """As the original's mole sent it."""
        users: dict[str, Any] = {}
        if work:
            process = {"mem": Slot(base + PROCESS_MEM), "time": Slot(base + PROCESS_S), "name": "python"}
            users[work.person.login] = {str(self._pid(work)): process}
        numbers = {"used_mem": Slot(base + USED), "gpu_util": Slot(base + UTIL), "memory_util": Slot(base + MEM_UTIL)}
        return {**self._named(), "total_mem": self.model.total_mib, **numbers, "users": users}

    def lost_entry(self, since: float) -> dict[str, Any]:
        """As the mole tells of one that has fallen off the bus."""
        values = dict.fromkeys(("total_mem", "used_mem", "gpu_util", "memory_util"))
        error = f"{LOST_ERROR} (since {format_time(since)})"
        told = {"state": "lost", "pci_bus_id": self.pci_bus_id, "since": since, "error": error}
        return {**self._named(), **values, **told, "users": None}

    def _named(self) -> dict[str, Any]:
        return {"name": self.model.name, "uuid": self.uuid, "index": self.index}

    def _users(self, work: Work | None, base: int, clock_ahead_s: float) -> dict[str, Any]:
        users: dict[str, Any] = {}
        if self.has_desktop:
            told = {
                "mem": _DESKTOP_MIB,
                "time": 812.4,
                "name": "Xorg",
                "type": "G",
                "uid": _DESKTOP_UID,
                "command": "/usr/lib/Xorg :0",
            }
            users["gdm"] = {"1873": told}
        if work:
            users[work.person.login] = {str(self._pid(work)): self._process(work, base, clock_ahead_s)}
        for place, person in enumerate(self.tenants):
            users[person.login] = {str(self._tenant_pid(place)): self._tenant_process(place, person)}
        return users

    def _pid(self, work: Work) -> int:
        return 10_000 + salt_of(self.host, work.key, self.index) % 4_000_000

    def _process(self, work: Work, base: int, clock_ahead_s: float) -> dict[str, Any]:
        job, person = work.job, work.person
        words = {"login": person.login, "uid": person.uid, "gpus": len(job.gpus), "number": 10 + job.person % 90}
        process: dict[str, Any] = {
            "mem": Slot(base + PROCESS_MEM),
            "time": Slot(base + PROCESS_S),
            "name": "python" if "python" in job.command else "bench_kernels",
            "type": "C",
            "uid": person.uid,
            "command": job.command.format(**words),
            "started_at": round(work.started_at + clock_ahead_s, 2),
        }
        if job.is_contained:
            process["container"] = uuid_of(self.host, work.key).replace("-", "")[:12]
        return process

    def _tenant_pid(self, place: int) -> int:
        return 20_000 + (self.salt + 977 * place) % 1_000_000

    def _tenant_process(self, place: int, person: Person) -> dict[str, Any]:
        command = f"python finetune.py --run runs/{person.login}/small-{self.index}{place} --bf16"
        process = {"mem": self._held_mib(place), "time": 1204.5, "name": "python", "type": "C"}
        return {**process, "uid": person.uid, "command": command, "started_at": self.tenants_since}

    def _held_mib(self, place: int) -> float:
        _, share, held = _INSTANCES[place]
        return float(int(share * held * self.model.total_mib))

    def _instances(self) -> list[dict[str, Any]]:
        instances: list[dict[str, Any]] = []
        for place, (name, share, _) in enumerate(_INSTANCES):
            instances.append({
                "name": f"{self.model.name} MIG {name}",
                "uuid": "MIG-" + uuid_of(self.uuid, place),
                "total_mem": float(int(share * self.model.total_mib)),
                "used_mem": self._held_mib(place) + 13,
                "pids": [self._tenant_pid(place)] if place < len(self.tenants) else [],
            })  # fmt: skip
        return instances

    def tell(self, work: Work | None, numbers: Sequence[float], at: float) -> truth.GpuTruth:
        """What is true of it while nothing is wrong with it."""
        users = [work.person.login] if work else [person.login for person in self.tenants]
        since = work.started_at if work else None
        state = truth.FREE
        if self.tenants:
            state, since = truth.MIG, self.tenants_since
        elif work:
            state = truth.SPINNING if work.job.kind.name == "spin" else truth.IN_USE
            if work.is_idle(at):
                state, since = truth.HELD_IDLE, work.idle_since
        return truth.GpuTruth(
            self.id,
            self.index,
            self.model.name,
            state,
            tuple(sorted(users)),
            ("gdm",) if self.has_desktop else (),
            since,
            round(numbers[USED], 1),
            self.model.total_mib,
            None if self.tenants else round(numbers[UTIL], 1),
            round(numbers[POWER], 1),
            int(numbers[TEMPERATURE]),
            int(numbers[THROTTLE]),
        )

    def tell_gone(self, state: str, since: float) -> truth.GpuTruth:
        """What is true of it when it is lost, or its driver hangs: no values."""
        nothing = (None,) * 6
        return truth.GpuTruth(self.id, self.index, self.model.name, state, (), (), since, *nothing)


def _activity(load: Load, gpus: int) -> tuple[float, ...]:
    """From SM to NVLINK: what utilisation and power together say of the work. `gpus`: those of the job, which talk."""
    work = load.util * max(0.0, load.power - _WAITING) / (1 - _WAITING)
    traffic = 40e6 * work
    return (
        min(load.util, 0.8 + 1.1 * work) if load.util else 0.0,
        0.16 * work,
        0.62 * work,
        0.3 * work,
        traffic,
        0.3 * traffic,
        900e6 * work if gpus > 1 else 0.0,
    )
