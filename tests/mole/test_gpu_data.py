"""GPUs through the real binding and a stand-in library: what is read, and every trouble as itself."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from nvml_standin import GIB, MIB, Gpu, NvmlStandin, gpu_uuid, without_library

from cluster_dash_mole.gpu_data import GpuCollector
from cluster_dash_mole.nvml_process import NO_LIBRARY, Deadlines, NvmlReader
from cluster_dash_mole.processes import UserNames
from mole.peers import ManualClock, wait_until
from mole.test_pci import write_devices

H100_0 = "0_NVIDIA-H100-80GB-HBM3_66667c"


class Host:
    """A collector whose deadlines pass when the test moves the clock, and that waits long enough for a slow machine."""

    def __init__(self, pci: Path) -> None:
        self.clock = ManualClock()
        self.reader = NvmlReader(self.clock, Deadlines(first_s=30, reading_s=10))
        self.collector = GpuCollector(25, self.reader, pci=pci)
        self.errors: dict[str, str] = {}
        self.metrics: dict[str, list[tuple[int | None, float | None]]] = {}

    def gpus(self, patience_s: float = 5.0) -> dict[str, Any]:
        """The `gpu` section of a reading that waits at most this long."""
        self.collector._budget_s = patience_s  # pyright: ignore[reportPrivateUsage]
        reading = self.collector.collect()
        self.errors = reading.errors
        self.metrics = {}
        for sample in reading.samples:
            self.metrics.setdefault(sample.metric.name, []).append((sample.device, sample.value))
        return dict(reading.sections["gpu"])  # type: ignore[arg-type]

    def has_answer(self) -> bool:
        """Whether an answer waits in the pipe."""
        pipe = self.reader._child._stdout  # pyright: ignore
        return bool(select.select([pipe], [], [], 0)[0])

    def trouble(self, patience_s: float = 5.0) -> tuple[str, str]:
        """(state, error) of the entry that stands in place of the GPUs."""
        gpus = self.gpus(patience_s)
        assert list(gpus) == ["gpu_error"]
        assert self.errors == {"nvml": gpus["gpu_error"]["error"]}
        return gpus["gpu_error"]["state"], gpus["gpu_error"]["error"]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(write_devices(tmp_path / "pci", ("0x10de", "0x030200")))
    yield host
    host.collector.close()


def nvml_processes() -> list[psutil.Process]:
    return psutil.Process().children()


def test_a_gpu_has_the_seeds_fields_in_its_units(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(processes=[("compute", os.getpid(), 2 * GIB)]))
    gpu = host.gpus()[H100_0]
    [(user, processes)] = gpu.pop("users").items()
    assert gpu == {
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": gpu_uuid(0),
        "index": 0,
        "total_mem": 81920,
        "used_mem": 8192,
        "gpu_util": 98,
        "memory_util": 40,
        "state": "ok",
    }
    assert user == UserNames().name_of(os.getuid())
    process = processes[str(os.getpid())]
    assert (process["mem"], process["uid"]) == (2048, os.getuid())
    assert process["time"] >= 0
    assert process["name"] == Path("/proc/self/comm").read_text().strip()


def test_numbers_beyond_the_seeds_are_metrics_by_device(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu(temperature=None, power=0))
    host.gpus()
    assert host.metrics["sys.gpu.temperature_c"] == [(0, 61), (1, None)]
    assert host.metrics["sys.gpu.power_w"] == [(0, 412.0), (1, 0.0)]
    assert host.metrics["sys.gpu.mem_reserved_bytes"] == [(0, 512 * MIB), (1, 512 * MIB)]


def test_an_idle_gpu_is_at_0_and_one_that_cannot_tell_is_at_none(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(util=0, memory_util=0, used=0), Gpu(util=None, total=None))
    idle, silent = host.gpus().values()
    assert (idle["gpu_util"], idle["memory_util"], idle["used_mem"]) == (0, 0, 0)
    assert (silent["gpu_util"], silent["memory_util"], silent["used_mem"], silent["total_mem"]) == (None,) * 4
    assert silent["state"] == "ok"


def test_a_host_with_a_driver_and_no_gpu_has_none(standin: NvmlStandin, host: Host) -> None:
    assert host.gpus() == {}
    assert host.errors == {}


def test_a_driver_without_the_newer_memory_call_is_asked_the_older_one(
    make_standin: Callable[..., NvmlStandin], host: Host
) -> None:
    make_standin("nvmlDeviceGetMemoryInfo_v2").set(Gpu())
    assert host.gpus()[H100_0]["used_mem"] == 8192 + 512
    assert host.metrics["sys.gpu.mem_reserved_bytes"] == [(0, None)]


def test_a_driver_without_the_newer_process_call_is_asked_the_older_one(
    make_standin: Callable[..., NvmlStandin], host: Host
) -> None:
    missing = [f"nvmlDeviceGet{kind}RunningProcesses_v3" for kind in ("Compute", "Graphics", "MPSCompute")]
    make_standin(*missing).set(Gpu(processes=[("compute", os.getpid(), MIB)]))
    [processes] = host.gpus()[H100_0]["users"].values()
    assert processes[str(os.getpid())]["mem"] == 1


def test_who_uses_a_gpu_is_none_when_the_driver_cannot_tell(
    make_standin: Callable[..., NvmlStandin], host: Host
) -> None:
    kinds = [f"{kind}RunningProcesses_v{n}" for kind in ("Compute", "Graphics") for n in (2, 3)]
    make_standin(*(f"nvmlDeviceGet{kind}" for kind in kinds), "nvmlDeviceGetMPSComputeRunningProcesses_v3").set(Gpu())
    assert host.gpus()[H100_0]["users"] is None


def test_a_process_in_two_lists_counts_once(standin: NvmlStandin, host: Host) -> None:
    pid = os.getpid()
    standin.set(Gpu(processes=[("compute", pid, MIB), ("graphics", pid, None), ("mps", pid, 3 * MIB)]))
    [processes] = host.gpus()[H100_0]["users"].values()
    assert {pid: entry["mem"] for pid, entry in processes.items()} == {str(pid): 3}


def test_memory_that_is_not_known_is_none(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(processes=[("compute", os.getpid(), None)], used=2 * 10**18))
    gpu = host.gpus()[H100_0]
    assert gpu["used_mem"] is None
    [processes] = gpu["users"].values()
    assert processes[str(os.getpid())]["mem"] is None


def test_a_process_that_has_gone_keeps_its_memory_as_unknown(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(processes=[("compute", 2**22 + 1, GIB)]))
    assert host.gpus()[H100_0]["users"] == {"unknown": {str(2**22 + 1): {"mem": 1024, "time": None, "name": None}}}


def test_names_with_damaged_bytes_survive(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(name=b"NVIDIA \xff A100"))
    assert host.gpus()["0_NVIDIA-\\xff-A100_66667c"]["name"] == "NVIDIA \\xff A100"


def test_a_lost_gpu_is_named_and_the_others_go_on(standin: NvmlStandin, host: Host) -> None:
    gpus = [Gpu() for _ in range(8)]
    standin.set(*gpus)
    before = host.gpus()
    standin.set(*gpus, faults=("gpu 3 fail * 15",))
    after = host.gpus()
    assert list(after) == list(before)
    lost = after["3_NVIDIA-H100-80GB-HBM3_66667f"]
    assert (lost["state"], lost["error"], lost["uuid"]) == ("lost", "GPU is lost", gpu_uuid(3))
    assert (lost["used_mem"], lost["total_mem"], lost["gpu_util"], lost["users"]) == (None,) * 4
    assert [gpu["state"] for gpu in after.values()].count("ok") == 7
    assert [device for device, _ in host.metrics["sys.gpu.power_w"] if device == 3] == [3]
    assert host.errors == {}


def test_gpus_that_were_never_seen_well_have_ids_of_their_own(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu(), faults=("fail nvmlDeviceGetHandleByIndex_v2 15",))
    assert list(host.gpus()) == ["0_GPU_unknown", "1_GPU_unknown"]


def test_a_lost_gpu_does_not_take_the_uuid_of_one_that_moved(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(uuid="GPU-aaaaaa-1"), Gpu(uuid="GPU-bbbbbb-2"))
    host.gpus()
    standin.set(Gpu(uuid="GPU-bbbbbb-2"), Gpu(), faults=("gpu 1 fail * 15",))
    assert [gpu["uuid"] for gpu in host.gpus().values()] == ["GPU-bbbbbb-2", None]


def test_one_failing_call_costs_its_own_value(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("fail nvmlDeviceGetUtilizationRates 999",))
    gpu = host.gpus()[H100_0]
    assert (gpu["gpu_util"], gpu["used_mem"]) == (None, 8192)
    assert (gpu["state"], gpu["error"]) == ("error", "nvmlDeviceGetUtilizationRates: Unknown Error")


def test_a_host_without_the_library_says_so_in_the_seeds_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", without_library(tmp_path)["LD_LIBRARY_PATH"])
    assert host.trouble() == ("error", NO_LIBRARY)
    wait_until(lambda: not nvml_processes() or nvml_processes()[0].status() == psutil.STATUS_ZOMBIE)
    host.clock.now += 60
    host.trouble()
    assert host.reader.pid is None, "looked for again too soon"


@pytest.mark.parametrize(
    ("code", "words"),
    [(9, "driver is not loaded"), (18, "reboot this host"), (4, "no permission"), (999, "dmesg"), (17, "operating sy")],
)
def test_why_nvml_cannot_start_is_told_with_what_to_do(standin: NvmlStandin, host: Host, code: int, words: str) -> None:
    standin.set(Gpu(), faults=(f"fail nvmlInitWithFlags {code}",))
    state, error = host.trouble()
    assert state == "error"
    assert words in error


def test_a_driver_that_comes_back_is_seen(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("fail nvmlInitWithFlags 9",))
    host.trouble()
    standin.set(Gpu())
    wait_until(lambda: H100_0 in host.gpus())
    assert host.errors == {}


def test_a_driver_that_stays_away_is_asked_ever_more_rarely(standin: NvmlStandin, host: Host) -> None:
    standin.set(faults=("fail nvmlInitWithFlags 9",))
    started: list[float] = []
    for _ in range(120):
        before = host.reader._failures  # pyright: ignore[reportPrivateUsage]
        host.trouble()
        if host.reader._failures > before:  # pyright: ignore[reportPrivateUsage]
            started.append(host.clock.now - 1000)
            wait_until(lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in nvml_processes()))
        host.clock.now += 1
    assert started == [0, 1, 3, 7, 15, 31, 63]


def test_a_slow_driver_delays_nothing_and_its_last_values_stand_meanwhile(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu())
    known = host.gpus()
    standin.set(Gpu(), faults=("delay nvmlDeviceGetCount_v2 60",))
    started = time.monotonic()
    assert host.gpus(patience_s=0.1) == known
    assert time.monotonic() - started < 1
    assert "slow" in host.errors["nvml"]
    assert host.metrics == {}, "old values must not become points of now"


def test_a_hung_driver_is_told_without_a_second_process_and_recovers(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu())
    host.gpus()
    [child] = nvml_processes()
    standin.set(Gpu(util=1), faults=("delay nvmlDeviceGetMemoryInfo_v2 60",))
    host.gpus(patience_s=0)
    host.clock.now += 11
    first = host.trouble(patience_s=0.1)
    assert first[0] == "hung"
    assert "has not answered since" in first[1]
    host.clock.now += 100
    started = time.monotonic()
    assert host.trouble() == first
    assert time.monotonic() - started < 1, "waited for a driver that is known to hang"
    assert nvml_processes() == [child]
    standin.set(Gpu(util=2))
    wait_until(host.has_answer)
    child.suspend()  # so that the next question has no answer yet
    host.gpus(patience_s=0)
    assert host.metrics == {}, "an answer that hung halfway is of no moment"
    child.resume()
    wait_until(lambda: H100_0 in host.gpus())
    assert host.gpus()[H100_0]["gpu_util"] == 2
    assert nvml_processes() == [child]


def test_a_driver_may_take_longer_to_load_than_to_read(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("delay nvmlInitWithFlags 60",))
    assert host.gpus(patience_s=0) == {}
    host.clock.now += 29
    assert host.gpus(patience_s=0) == {}
    assert "starting" in host.errors["nvml"]
    host.clock.now += 2
    assert host.trouble(patience_s=0)[0] == "hung"


def test_a_killed_process_is_told_and_started_again(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu())
    host.gpus()
    nvml_processes()[0].send_signal(signal.SIGKILL)
    state, error = host.trouble()
    assert state == "error"
    assert "crashed (SIGKILL)" in error
    assert H100_0 in host.gpus()


def test_a_library_that_crashes_the_process_costs_the_gpus_only(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("crash nvmlDeviceGetName",))
    assert "SIGSEGV" in host.trouble()[1]


def test_what_the_library_prints_does_not_get_between_the_answers(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("print nvmlDeviceGetName",))
    assert H100_0 in host.gpus()


def test_closing_shuts_nvml_down(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu())
    host.gpus()
    host.collector.close()
    assert standin.was_shut_down
    assert nvml_processes() == []


def test_closing_ends_a_process_that_hangs(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("delay nvmlDeviceGetCount_v2 60",))
    host.gpus(patience_s=0.2)
    started = time.monotonic()
    host.collector.close()
    assert time.monotonic() - started < 0.9
    assert nvml_processes() == []
