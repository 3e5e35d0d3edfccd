"""Takes the configuration, reads this host at a fixed pace and gives each backend its posts."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from cluster_dash_mole import __version__
from cluster_dash_mole.clocks import since_boot
from cluster_dash_mole.cost import Cost
from cluster_dash_mole.cpu_data import CpuCollector
from cluster_dash_mole.disk_io import DiskIoCollector
from cluster_dash_mole.disks import DiskCollector
from cluster_dash_mole.general_machine_data import GeneralMachineCollector, read_hostname
from cluster_dash_mole.gpu_data import GpuCollector
from cluster_dash_mole.memory import MemoryCollector
from cluster_dash_mole.network import NetworkCollector
from cluster_dash_mole.network_mounts import DEADLINE_S, NetworkMounts
from cluster_dash_mole.nvml_process import NvmlReader
from cluster_dash_mole.pressure import PressureCollector
from cluster_dash_mole.reading import Metric, Reading, Sample, assemble_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cluster_dash_mole.backend import Backend
    from cluster_dash_mole.config import Config
    from cluster_dash_mole.identity import Identity
    from cluster_dash_mole.reading import Json

log = logging.getLogger(__name__)

COLLECT_DURATION = Metric("sys.collect.duration_s", "s", "how long the mole's collector of this name took")
COLLECT_OK = Metric(
    "sys.collect.ok", "1", "1 = the mole's collector of this name worked, 0 = it failed and gave nothing"
)
_HELP_EVERY_S = 600.0  # it never changes and would be half of a post
_FIRST_READING_S = 0.5  # after the first look at the counters: long enough for a percentage


class Collector(Protocol):
    """A source of readings. `name` tags its duration and its errors."""

    name: str

    def prime(self) -> None:
        """Prepare the first reading."""
        ...

    def collect(self) -> Reading:
        """Read now."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


class MainRunner:
    """One round is one `step`: read, assemble, hand to the backends. `clock` counts seconds and never jumps, `wall` is
    the host's clock, which may: it only dates the posts. `uptime` is that since boot, the host's sleep included.
    """

    def __init__(
        self,
        identity: Identity,
        interval_s: float,
        collectors: Sequence[Collector],
        backends: Sequence[Backend],
        clock: Callable[[], float] = time.monotonic,
        read_cost: Callable[[], dict[str, Any]] | None = None,
        wall: Callable[[], float] = time.time,
        uptime: Callable[[], float] = since_boot,
    ) -> None:
        self._identity = identity
        self._interval_s = interval_s
        self._collectors = collectors
        self._backends = backends
        self._clock = clock
        self._read_cost = read_cost or Cost(lambda: ()).read
        self._wall = wall
        self._uptime = uptime
        self._next_at: float | None = None
        self._help_at = -math.inf
        self._failed: dict[str, int] = {}

    def step(self) -> float:
        """One round; the seconds until the next. The very first only prepares the collectors."""
        if self._next_at is None:
            for collector in self._collectors:
                self._guard(collector.name, collector.prime)
            self._next_at = self._clock() + min(_FIRST_READING_S, self._interval_s)
            return max(0.0, self._next_at - self._clock())
        self._send(self._clock())
        # A fixed pace: a late round doesn't move the later ones, and rounds that were missed are not made up for.
        missed = math.floor((self._clock() - self._next_at) / self._interval_s)
        self._next_at += self._interval_s * (1 + max(0, missed))
        return max(0.0, self._next_at - self._clock())

    def _send(self, now: float) -> None:
        due = [backend for backend in self._backends if backend.due(now)]
        if not due:
            return
        post = self.collect()
        for backend in due:
            backend.send(post, now)

    def collect(self) -> dict[str, Any]:
        """The post, without number and auth_code, which each backend adds. What can't be read is left out."""
        post: dict[str, Any] = {"hostname": read_hostname(), "timestamp": self._wall(), "cpu": {}, "gpu": {}}
        samples: list[Sample] = []
        errors: dict[str, str] = {}
        events: list[dict[str, Any]] = []
        columns: dict[str, dict[str, Json]] = {}
        for collector in self._collectors:
            reading = self._collect(collector)
            post.update(reading.sections)
            samples += reading.samples
            errors.update(reading.errors)
            events += reading.events
            columns.update(reading.columns)
        if events:
            post["events"] = events
        metrics = self._limit_help({**assemble_metrics(samples), **columns})
        return {**post, "mole": self._describe_mole(errors), "metrics": metrics}

    def _limit_help(self, metrics: dict[str, dict[str, Json]]) -> dict[str, dict[str, Json]]:
        """With help in the first post and every few minutes, without it in the others."""
        now = self._clock()
        if now >= self._help_at:
            self._help_at = now + _HELP_EVERY_S
            return metrics
        for metric in metrics.values():
            metric.pop("help", None)
        return metrics

    def _collect(self, collector: Collector) -> Reading:
        """One collector's reading, its duration and outcome. A failure costs what this one would have read, no more."""
        started = self._clock()
        reading = self._guard(collector.name, collector.collect) or Reading()
        if collector.name in self._failed:
            reading.errors[collector.name] = f"reading failed, {self._failed[collector.name]} times in a row"
        tags = {"collector": collector.name}
        reading.samples.append(Sample(COLLECT_DURATION, self._clock() - started, tags=tags))
        reading.samples.append(Sample(COLLECT_OK, int(collector.name not in self._failed), tags=tags))
        return reading

    def _guard(self, name: str, call: Callable[[], Reading | None]) -> Reading | None:
        """The call's result, None when it fails; the first failure in a row is logged with its traceback."""
        try:
            result = call()
        except Exception:
            if name not in self._failed:
                log.exception("reading %s failed; the rest goes on, this is logged once", name)
            self._failed[name] = self._failed.get(name, 0) + 1
            return None
        if self._failed.pop(name, 0):
            log.info("reading %s works again", name)
        return result

    def _describe_mole(self, errors: dict[str, str]) -> dict[str, Any]:
        about = {"id": self._identity.mole_id, "version": __version__, "epoch": self._identity.epoch}
        bounded = {source: text[:4096] for source, text in errors.items()}
        return {**about, "mono_s": self._uptime(), **self._read_cost(), "errors": bounded}

    def close(self) -> None:
        """End what was started, within a second."""
        for part in (*self._backends, *self._collectors):
            part.close()


def build_runner(config: Config, identity: Identity, backends: Sequence[Backend]) -> MainRunner:
    """The mole that the configuration describes."""
    interval_s = config.poll.poll_interval_in_secs
    nvml = NvmlReader(activity=config.gpu.activity)
    network_mounts = NetworkMounts(budget_s=min(DEADLINE_S, max(0.25, interval_s / 20)))
    skews = [backend.read_skew for backend in backends]
    collectors = [
        *build_host_collectors(
            network_mounts, lambda: next((skew for read in skews if (skew := read()) is not None), None)
        ),
        GpuCollector(interval_s, nvml, commands=config.gpu.commands),
    ]
    cost = Cost(lambda: (nvml.pid, network_mounts.pid))
    return MainRunner(identity, interval_s, collectors, backends, read_cost=cost.read)


def build_host_collectors(
    network_mounts: NetworkMounts, read_skew: Callable[[], float | None] = lambda: None
) -> list[Collector]:
    """All but the GPUs, in the order in which they are read."""
    return [
        CpuCollector(),
        PressureCollector(),
        MemoryCollector(),
        DiskIoCollector(),
        NetworkCollector(),
        GeneralMachineCollector(read_skew=read_skew),
        DiskCollector(network_mounts),
    ]


def run(runner: MainRunner, after_each: Callable[[], None] = lambda: None) -> None:
    """Step after step until a signal raises SystemExit."""
    try:
        while True:
            wait_s = runner.step()
            after_each()
            time.sleep(wait_s)
    finally:
        runner.close()
