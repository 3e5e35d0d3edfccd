"""Takes what the NVML process reads and whose its processes are, gives the post's `gpu` section."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster_dash_mole.nvml_process import NO_LIBRARY
from cluster_dash_mole.pci import PCI_DEVICES, count_nvidia_gpus
from cluster_dash_mole.processes import UserNames, read_process
from cluster_dash_mole.reading import Metric, Reading, Sample

if TYPE_CHECKING:
    from cluster_dash_mole.nvml_process import NvmlReader, Report
    from cluster_dash_mole.reading import Json

TEMPERATURE = Metric("sys.gpu.temperature_c", "°C", "temperature of the GPU's core")
POWER = Metric("sys.gpu.power_w", "W", "power of the board; from Ampere on an average over 1 s")
MEMORY_RESERVED = Metric("sys.gpu.mem_reserved_bytes", "B", "GPU memory that driver and firmware keep for themselves")

UNKNOWN_USER = "unknown"
_MIB = 2**20
_LONGEST_BUDGET_S = 10.0


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
    ) -> None:
        self.reader = reader
        self._budget_s = min(_LONGEST_BUDGET_S, interval_s / 5)
        self._proc = proc
        self._pci = pci
        self._names = names or UserNames()

    def prime(self) -> None:
        """Start the NVML process, so that it is ready for the first reading."""
        self.reader.start()

    def collect(self) -> Reading:
        """`gpu`: an entry for each GPU, or the one that says why none is read; empty on a host without a GPU."""
        report = self.reader.read(self._budget_s)
        if report.error == NO_LIBRARY and count_nvidia_gpus(self._pci) == 0:
            return Reading(sections={"gpu": {}})
        reading = Reading(errors={} if report.error is None else {"nvml": report.error})
        if report.state in ("hung", "error"):
            reading.sections["gpu"] = {"gpu_error": error_entry(report)}
            return reading
        gpus = report.gpus or []
        reading.sections["gpu"] = {gpu_id(gpu): self._entry(gpu) for gpu in gpus}
        if report.state == "ok":
            reading.samples = [sample for gpu in gpus for sample in parse_samples(gpu)]
        return reading

    def _entry(self, gpu: dict[str, Any]) -> dict[str, Json]:
        processes = gpu.get("processes")
        return {**parse_gpu(gpu), "users": None if processes is None else self._users(processes)}

    def _users(self, processes: list[tuple[int, int | None]]) -> dict[str, dict[str, Json]]:
        """Per user per pid. A process that /proc doesn't show is "unknown"'s: its memory is in use all the same."""
        users: dict[str, dict[str, Json]] = {}
        for pid, memory in processes:
            process = read_process(pid, self._proc)
            entry: dict[str, Json] = {"mem": _mib(memory), "time": None, "name": None}
            if process:
                entry = {**entry, "time": process.system_s, "name": process.name, "uid": process.uid}
            user = self._names.name_of(process.uid) if process else UNKNOWN_USER
            users.setdefault(user, {})[str(pid)] = entry
        return users

    def close(self) -> None:
        """End the NVML process."""
        self.reader.close()


def gpu_id(gpu: dict[str, Any]) -> str:
    """`0_NVIDIA-GeForce-RTX-3090_66667c`. The index alone makes it unique where the UUID can't be read."""
    name = re.sub(r"\s+", "-", gpu["name"] or "GPU")[:200]
    return f"{gpu['index']}_{name}_{gpu['uuid'][4:10] if gpu['uuid'] else 'unknown'}"


def parse_gpu(gpu: dict[str, Any]) -> dict[str, Json]:
    """The seed's fields, memory in MiB; what can't be read is None. `error` only where there is one."""
    entry: dict[str, Json] = {
        "name": (gpu["name"] or "unknown")[:256],
        "uuid": gpu["uuid"],
        "index": gpu["index"],
        "total_mem": _mib(gpu.get("total")),
        "used_mem": _mib(gpu.get("used")),
        "gpu_util": gpu.get("gpu_util"),
        "memory_util": gpu.get("memory_util"),
        "state": gpu["state"],
    }
    return entry if gpu["error"] is None else {**entry, "error": gpu["error"][:1024]}


def parse_samples(gpu: dict[str, Any]) -> list[Sample]:
    """The numbers beyond the seed's fields, with the GPU's index as device."""
    power = gpu.get("power_mw")
    values = {
        TEMPERATURE: gpu.get("temperature"),
        POWER: None if power is None else power / 1000,
        MEMORY_RESERVED: gpu.get("reserved"),
    }
    return [Sample(metric, value, gpu["index"]) for metric, value in values.items()]


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
    }


def _mib(size: int | None) -> float | None:
    return None if size is None else size / _MIB
