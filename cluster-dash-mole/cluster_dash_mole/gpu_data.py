"""Takes what the NVML process reads and whose its processes are, gives the post's `gpu` section."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster_dash_mole.driver import DriverCheck
from cluster_dash_mole.gpu_roster import GpuRoster, may_return
from cluster_dash_mole.nvml_process import NO_LIBRARY
from cluster_dash_mole.nvml_values import NUMBERS, PLACES
from cluster_dash_mole.pci import PCI_DEVICES, count_nvidia_gpus, read_gpus_for_nvml
from cluster_dash_mole.processes import ProcessTable
from cluster_dash_mole.reading import Reading
from cluster_dash_mole.user_names import UserNames
from cluster_dash_mole.xids import describe

if TYPE_CHECKING:
    from cluster_dash_mole.nvml_process import NvmlReader, Report
    from cluster_dash_mole.processes import About, Process
    from cluster_dash_mole.reading import Json

_METRICS = [number for number in NUMBERS if number.name.startswith("sys.")]

_NO_NUMBERS: list[Any] = [None] * len(NUMBERS)

UNKNOWN_USER = "unknown"
_MIB = 2**20
_LONGEST_BUDGET_S = 10.0
_MOST_ENTRIES = 64  # that servers take
_TEXTS = ("pci_bus_id", "vbios_version", "driver_version", "cuda_version")


class GpuCollector:
    """GPUs of this host. A reading waits at most a fifth of the poll interval for NVML, so the rest keeps its pace."""

    name = "gpu"

    def __init__(
        self,
        interval_s: float,
        reader: NvmlReader,
        names: UserNames | None = None,
        proc: Path = Path("/proc"),
        pci: Path = PCI_DEVICES,
        *,
        commands: bool = True,
        driver: DriverCheck | None = None,
    ) -> None:
        self.reader = reader
        reader.expects_library = count_nvidia_gpus(pci) != 0
        self._budget_s = min(_LONGEST_BUDGET_S, interval_s / 5)
        self._pci = pci
        self._names = names or UserNames()
        self._processes = ProcessTable(proc, commands)
        self._driver = driver or DriverCheck()
        self._roster = GpuRoster()

    def prime(self) -> None:
        """Start the NVML process, so that it is ready for the first reading."""
        self.reader.start()

    def collect(self) -> Reading:
        """`gpu`: an entry for each GPU, or the one that says why none is read; empty on a host without a GPU."""
        report = self.reader.read(self._budget_s)
        reading = Reading(events=[parse_event(event) for event in self.reader.take_events()])
        if report.error == NO_LIBRARY and count_nvidia_gpus(self._pci) == 0:
            reading.sections["gpu"] = {}
            return reading
        told = {"nvml": report.error, "driver": self._driver.read()}
        reading.errors = {source: text for source, text in told.items() if text is not None}
        if report.state in ("hung", "error"):
            reading.sections["gpu"] = {"gpu_error": error_entry(report)}
            return reading
        if report.gpus is None:
            reading.sections["gpu"] = {}
            return reading
        on_pci = read_gpus_for_nvml(self._pci)
        gpus = self._roster.complete(report.gpus, on_pci)
        reading.events += self._roster.take_events()
        reading.sections["gpu"] = self._entries(gpus)
        if report.state == "ok":
            reading.columns = assemble_columns(gpus)
            self.reader.look_for_missing(any(may_return(gpu, on_pci) for gpu in gpus))
        return reading

    def _entries(self, gpus: list[dict[str, Any]]) -> dict[str, dict[str, Json]]:
        self._processes.forget_all_but(pid for gpu in gpus for pid, *_ in gpu.get("processes") or ())
        return {gpu_id(gpu): self._entry(gpu) for gpu in gpus[:_MOST_ENTRIES]}

    def _entry(self, gpu: dict[str, Any]) -> dict[str, Json]:
        processes = gpu.get("processes")
        return {**parse_gpu(gpu), "users": None if processes is None else self._users(processes)}

    def _users(self, processes: list[tuple[int, int | None, str]]) -> dict[str, dict[str, Json]]:
        """Per user per pid. A process that /proc doesn't show is "unknown"'s: its memory is in use all the same."""
        users: dict[str, dict[str, Json]] = {}
        for pid, memory, letter in processes:
            process = self._processes.read(pid)
            user = self._names.name_of(process.about.uid) if process else UNKNOWN_USER
            users.setdefault(user, {})[str(pid)] = parse_process(memory, letter, process)
        return users

    def close(self) -> None:
        """End the NVML process, and let go of files."""
        self.reader.close()
        self._processes.close()


def gpu_id(gpu: dict[str, Any]) -> str:
    """`0_NVIDIA-GeForce-RTX-3090_66667c`. The index alone makes it unique where the UUID can't be read."""
    name = re.sub(r"\s+", "-", gpu["name"] or "GPU")[:200]
    return f"{gpu['id_index']}_{name}_{gpu['uuid'][4:10] if gpu['uuid'] else 'unknown'}"


def parse_gpu(gpu: dict[str, Any]) -> dict[str, Json]:
    """The seed's fields, memory in MiB; what can't be read is None. What the seed didn't have is there if known."""
    numbers = gpu.get("numbers") or _NO_NUMBERS
    entry: dict[str, Json] = {
        "name": (gpu["name"] or "unknown")[:256],
        "uuid": gpu["uuid"],
        "index": gpu["index"],
        "total_mem": _mib(numbers[PLACES["total"]]),
        "used_mem": _mib(numbers[PLACES["used"]]),
        "gpu_util": numbers[PLACES["gpu_util"]],
        "memory_util": numbers[PLACES["memory_util"]],
        "state": gpu["state"],
    }
    more: dict[str, Json] = {text: gpu.get(text) for text in _TEXTS}
    more["throttle_reasons"] = numbers[PLACES["throttle_reasons"]]
    more["mig"] = [parse_instance(instance) for instance in gpu["mig"]] if gpu.get("mig") is not None else None
    more["since"] = gpu.get("since")
    more["error"] = gpu["error"][:1024] if gpu["error"] is not None else None
    return {**entry, **{key: value for key, value in more.items() if value is not None}}


def parse_instance(instance: dict[str, Any]) -> dict[str, Json]:
    """A MIG instance; its processes stand among the GPU's."""
    return {
        "name": (instance["name"] or "unknown")[:256],
        "uuid": instance["uuid"],
        "total_mem": _mib(instance["total"]),
        "used_mem": _mib(instance["used"]),
        "pids": instance["pids"],
    }


def parse_process(memory: int | None, letter: str, process: Process | None) -> dict[str, Json]:
    """The seed's fields, its type (C, G or C+G: compute, graphics); then what /proc tells, where it does."""
    if process is None:
        return {"mem": _mib(memory), "time": None, "name": None, "type": letter}
    about = _parse_about(process.about)
    return {"mem": _mib(memory), "time": process.system_s, "name": process.name, "type": letter, **about}


@functools.lru_cache(maxsize=1024)
def _parse_about(about: About) -> dict[str, Json]:
    return {key: value for key, value in about._asdict().items() if value is not None}


def assemble_columns(gpus: list[dict[str, Any]]) -> dict[str, dict[str, Json]]:
    """The numbers beyond the seed's fields as a post's metrics, with the GPU's index as device."""
    told = [gpu for gpu in gpus if "numbers" in gpu]
    devices = [gpu["index"] for gpu in told]
    by_place = list(zip(*(gpu["numbers"] for gpu in told)))
    columns: dict[str, dict[str, Json]] = {}
    for number in _METRICS if told else ():
        values = by_place[number.place]
        of = devices
        if None in values:
            of = [device for value, device in zip(values, devices) if value is not None]
            values = [value for value in values if value is not None]
        if values:
            columns[number.name] = {"unit": number.unit, "help": number.help, "value": values, "device": of}
    return columns


def parse_event(event: dict[str, Any]) -> dict[str, Json]:
    """The post's form of what the NVML process noticed."""
    data: dict[str, Json] = {"code": event["code"]}
    if event["count"] > 1:
        data["count"] = event["count"]
    text = describe(event["kind"], event["code"])
    parsed: dict[str, Json] = {"time": event["time"], "kind": event["kind"], "text": text, "data": data}
    return parsed if event["index"] is None else {**parsed, "device": event["index"]}


def error_entry(report: Report) -> dict[str, Json]:
    """The entry that the first moles sent in place of GPUs, zeros included: old servers read all of its fields."""
    return {
        "name": "error",
        "uuid": "none",
        "index": 0,
        "total_mem": 0,
        "used_mem": 0,
        "users": {},
        "gpu_util": 0,
        "memory_util": 0,
        "state": report.state,
        "error": (report.error or "")[:1024],
        "since": report.since,
    }


def _mib(size: int | None) -> float | None:
    return None if size is None else size / _MIB
