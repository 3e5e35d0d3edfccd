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
    """A GPU of the stand-in. None = it doesn't support that value. `processes` are (kind, pid, bytes or None)."""

    name: str | bytes = "NVIDIA H100 80GB HBM3"
    uuid: str | None = None
    total: int | None = 80 * GIB
    used: int = 8 * GIB
    reserved: int = 512 * MIB
    util: int | None = 98
    memory_util: int | None = 40
    temperature: int | None = 61
    power: int | None = 412_000
    processes: list[tuple[str, int, int | None]] = field(default_factory=list)

    def lines(self, index: int) -> list[bytes]:
        """The scenario's lines; a GPU without a UUID gets one by its index."""
        name = self.name if isinstance(self.name, bytes) else self.name.encode()
        facts = {"total": self.total, "used": self.used, "reserved": self.reserved, "util": self.util}
        facts |= {"memory_util": self.memory_util, "temperature": self.temperature, "power": self.power}
        lines = [f"gpu {index} {key} {value}" for key, value in facts.items() if value is not None]
        lines.append(f"gpu {index} uuid {self.uuid or gpu_uuid(index)}")
        lines += [
            f"gpu {index} {kind} {pid} {'-' if memory is None else memory}" for kind, pid, memory in self.processes
        ]
        return [b"gpu %d name %s" % (index, name), *(line.encode() for line in lines)]


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
        lines = [line.encode() for line in faults]
        for index, gpu in enumerate(gpus):
            lines += gpu.lines(index)
        new = self.scenario.with_suffix(".new")
        new.write_bytes(b"\n".join(lines) + b"\n")
        new.replace(self.scenario)

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
