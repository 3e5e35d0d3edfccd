"""Takes the GPUs and faults of a test, gives a library that the real nvidia-ml-py loads in place of NVIDIA's own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml_standin.c")
GIB = 2**30
MIB = 2**20


@dataclass
class Gpu:
    """A GPU of the stand-in, an H100 by default. None = it doesn't support that value.

    The numbers are as NVML gives them (milliwatts, millijoules); what a row of them means stands in nvml_standin.c at
    the function that asks for it. `processes` are (kind, pid, bytes or None).
    """

    name: str | bytes = "NVIDIA H100 80GB HBM3"
    uuid: str | None = None
    pci: str | None = "by index"
    vbios: str | None = "96.00.89.00.01"
    total: int | None = 80 * GIB
    used: int = 8 * GIB
    reserved: int = 512 * MIB
    util: int | str | None = 98
    memory_util: int | str | None = 40
    temperature: int | None = 61
    power: int | None = 412_000
    power_limit: int | None = 700_000
    energy: int | None = 5_000_123_456
    clocks: str | None = "1980 2619"
    throttle: int | None = 4
    ecc: str | None = "0 0 2 0"
    remapped: str | None = "1 0 0 0"
    pcie_gen: int | None = 5
    pcie_width: int | None = 16
    pcie_max_gen: int | None = 5
    pcie_max_width: int | None = 16
    nvlink: str | None = "18 18"
    thresholds: str | None = "95 89 95 87"
    field_82: int | None = 64
    field_74: int | None = 27_682_640_288
    field_269: int | None = 0
    field_270: int | None = 0
    field_271: int | None = 0
    field_230: int | None = 0
    field_45: int | None = 3
    field_52: int | None = 0
    field_59: int | None = 0
    fan: int | None = None
    encoder: int | None = 0
    decoder: int | None = 0
    gpm: int | None = 1
    gpm_2: float | None = 95.5
    gpm_3: float | None = 14.125
    gpm_5: float | None = 92.75
    gpm_10: float | None = 24.875
    gpm_20: float | None = 5.5
    gpm_21: float | None = 16.0
    gpm_60: float | None = 1024.0
    gpm_61: float | None = 512.0
    persistence: int | None = 1
    event_types: int | None = 0x3F1F
    mig_mode: int | None = 0
    processes: list[tuple[str, int, int | None]] = field(default_factory=list)
    mig: list[Gpu] = field(default_factory=list)

    def lines(self, index: int) -> list[bytes]:
        """The scenario's lines; a GPU gets UUID and place on the PCI bus by its index where it has none of its own."""
        facts = {key: value for key, value in vars(self).items() if key not in ("name", "processes", "mig")}
        facts["uuid"] = self.uuid or gpu_uuid(index)
        facts["pci"] = f"00000000:{index:02X}:00.0" if self.pci == "by index" else self.pci
        lines = [f"gpu {index} {key} {value}" for key, value in facts.items() if value is not None]
        lines += [
            f"gpu {index} {kind} {pid} {'-' if memory is None else memory}" for kind, pid, memory in self.processes
        ]
        name = self.name if isinstance(self.name, bytes) else self.name.encode()
        own = [b"gpu %d name %s" % (index, name), *(line.encode() for line in lines)]
        instances = [instance.lines(64 + 8 * index + place) for place, instance in enumerate(self.mig)]
        return [line for part in (own, *instances) for line in part]


def gpu_uuid(index: int) -> str:
    """The UUID of a GPU that a test gave none."""
    return f"GPU-{0x66667C + index:06x}2e-4d1b-7a55-91f0-0c2f4a8be0{index:02d}"


class NvmlStandin:
    """A compiled stand-in with its scenario, which may be set anew while a mole runs."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.library = library
        self.scenario = Path(folder, "scenario")
        self.set()

    @property
    def env(self) -> dict[str, str]:
        """For a mole's environment."""
        return {"LD_LIBRARY_PATH": str(self.library.parent), "NVML_STANDIN": str(self.scenario)}

    def set(self, *gpus: Gpu, faults: tuple[str, ...] = ()) -> None:
        """Put a new scenario in place of the old one, as a whole; faults are lines as nvml_standin.c explains them."""
        lines = [b"driver 550.54.15", b"cuda 12040", *(line.encode() for line in faults)]
        for index, gpu in enumerate(gpus):
            lines += gpu.lines(index)
        new = self.scenario.with_suffix(".new")
        new.write_bytes(b"\n".join(lines) + b"\n")
        new.replace(self.scenario)

    def calls(self, function: str, index: int) -> int:
        """How often the function was called for the GPU while the scenario had the line "trace"."""
        path = Path(f"{self.scenario}.calls")
        lines = path.read_text().split("\n") if path.exists() else []
        return lines.count(f"{function} {index}")

    @property
    def samples_left(self) -> int:
        """How many samples of GPM weren't freed when nvmlShutdown was called."""
        return int(Path(f"{self.scenario}.shutdown").read_text())

    @property
    def was_shut_down(self) -> bool:
        """Whether nvmlShutdown was called."""
        return Path(f"{self.scenario}.shutdown").exists()


def without_library(folder: Path) -> dict[str, str]:
    """An environment in which NVIDIA's library isn't found, not even on a host that has it."""
    Path(folder, "libnvidia-ml.so.1").write_bytes(b"")
    return {"LD_LIBRARY_PATH": str(folder)}


def compile_standin(folder: Path, missing: tuple[str, ...] = ()) -> Path:
    """The library in `folder`, without the functions in `missing`."""
    library = Path(folder, "libnvidia-ml.so.1")
    without = [f"-D{name}=absent_{place}" for place, name in enumerate(missing)]
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *without]
    subprocess.run([*command, "-o", str(library), str(SOURCE)], check=True)
    return library
