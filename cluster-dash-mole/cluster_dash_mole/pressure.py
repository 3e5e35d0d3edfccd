"""Takes the kernel's pressure stall information, gives how much work waits for CPU, memory or disks."""

from __future__ import annotations

from pathlib import Path

from cluster_dash_mole.reading import KeptFile, Metric, Reading, Sample

SOME = Metric("sys.pressure.some_percent", "%", "time in which some work waited for this resource, over 10 s")
FULL = Metric("sys.pressure.full_percent", "%", "time in which all work waited for this resource, over 10 s")

# The kernel gives "full" for the whole host's CPUs as a 0 that means nothing.
_TOLD = [("cpu", [SOME]), ("memory", [SOME, FULL]), ("io", [SOME, FULL])]


def parse_pressure(text: str) -> dict[str, float]:
    """`some avg10=0.22 avg60=...` and `full ...`: their averages over 10 s. A line that is otherwise is left out."""
    averages: dict[str, float] = {}
    for line in text.split("\n"):
        kind, _, rest = line.partition(" avg10=")
        try:
            averages[kind] = float(rest.partition(" ")[0])
        except ValueError:
            continue
    return averages


class PressureCollector:
    """Nothing on a kernel before 4.20, or one where it is switched off (psi=0)."""

    name = "pressure"

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._sources = [(resource, KeptFile(proc / "pressure" / resource), metrics) for resource, metrics in _TOLD]

    def prime(self) -> None:
        """Nothing to prepare: the kernel keeps the averages."""

    def collect(self) -> Reading:
        """Samples only."""
        reading = Reading()
        for resource, file, metrics in self._sources:
            averages = parse_pressure(file.read_optional())
            values = zip(metrics, (averages.get("some"), averages.get("full")))
            reading.samples += [Sample(metric, value, tags={"resource": resource}) for metric, value in values]
        return reading

    def close(self) -> None:
        """Nothing is held."""
