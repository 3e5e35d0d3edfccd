"""A collector of GPUs whose clock a test moves, and what it reads."""

from __future__ import annotations

import select
import shutil
from pathlib import Path
from typing import Any

import psutil

from cluster_dash_mole.driver import DriverCheck
from cluster_dash_mole.gpu_data import GpuCollector
from cluster_dash_mole.nvml_process import Deadlines, NvmlReader
from mole.peers import LONG_S, ManualClock
from mole.test_pci import add_device

H100_0 = "0_NVIDIA-H100-80GB-HBM3_66667c"


class Host:
    """A collector whose deadlines pass when the test moves the clock, and that waits long enough for a slow machine."""

    def __init__(self, folder: Path, sample_s: float = 1.0, *, activity: bool = True) -> None:
        self.clock = ManualClock()
        self.pci = folder / "pci"
        self.set_pci(0)
        self.reader = NvmlReader(self.clock, Deadlines(first_s=30, reading_s=10), sample_s, activity=activity)
        driver = DriverCheck(folder / "root", self.clock)
        self.collector = GpuCollector(25, self.reader, pci=self.pci, driver=driver)
        self.errors: dict[str, str] = {}
        self.events: list[Any] = []
        self.metrics: dict[str, list[tuple[int | None, float | None]]] = {}

    def set_pci(self, *places: int) -> None:
        """What the PCI bus shows: an NVIDIA GPU at each of the places, or none at all."""
        shutil.rmtree(self.pci, ignore_errors=True)
        self.pci.mkdir()
        for place in places:
            add_device(self.pci, place, "0x10de", "0x030200")

    def gpus(self, patience_s: float = LONG_S) -> dict[str, Any]:
        """The `gpu` section of a reading that waits at most this long."""
        self.collector._budget_s = patience_s  # pyright: ignore[reportPrivateUsage]
        reading = self.collector.collect()
        self.errors = reading.errors
        self.events += reading.events
        self.metrics = {}
        for name, metric in reading.columns.items():
            columns: Any = metric
            self.metrics[name] = list(zip(columns["device"], columns["value"]))
        return dict(reading.sections["gpu"])  # type: ignore[arg-type]

    def has_answer(self) -> bool:
        """Whether an answer waits in the pipe."""
        pipe = self.reader._child._stdout  # pyright: ignore
        return bool(select.select([pipe], [], [], 0)[0])

    def trouble(self, patience_s: float = LONG_S) -> tuple[str, str]:
        """(state, error) of the entry that stands in place of the GPUs."""
        gpus = self.gpus(patience_s)
        assert list(gpus) == ["gpu_error"]
        assert self.errors == {"nvml": gpus["gpu_error"]["error"]}
        return gpus["gpu_error"]["state"], gpus["gpu_error"]["error"]


def nvml_processes() -> list[psutil.Process]:
    return psutil.Process().children()
