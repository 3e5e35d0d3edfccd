"""GPUs through the real binding and a stand-in library: what is read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from nvml_standin import GIB, MIB, Gpu, NvmlStandin, gpu_uuid

from cluster_dash_mole.user_names import UserNames
from mole.gpu_host import H100_0, Host

SEED = ("name", "uuid", "index", "total_mem", "used_mem", "gpu_util", "memory_util")


def test_a_gpu_has_the_seeds_fields_in_its_units(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(processes=[("compute", os.getpid(), 2 * GIB)]))
    gpu = host.gpus()[H100_0]
    [(user, processes)] = gpu.pop("users").items()
    assert {key: gpu[key] for key in SEED} == {
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": gpu_uuid(0),
        "index": 0,
        "total_mem": 81920,
        "used_mem": 8192,
        "gpu_util": 98,
        "memory_util": 40,
    }
    assert gpu["state"] == "ok"
    assert user == UserNames().name_of(os.getuid())
    process = processes[str(os.getpid())]
    assert (process["mem"], process["uid"]) == (2048, os.getuid())
    assert abs(process["started_at"] - psutil.Process().create_time()) < 1
    assert process["command"].startswith(sys.executable)
    assert process["time"] >= 0
    assert process["name"] == Path("/proc/self/comm").read_text().strip()


def test_numbers_beyond_the_seeds_are_metrics_by_device(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu(temperature=None, power=0))
    host.gpus()
    assert host.metrics["sys.gpu.temperature_c"] == [(0, 61)]
    assert host.metrics["sys.gpu.power_w"] == [(0, 412.0), (1, 0.0)]
    assert host.metrics["sys.gpu.mem_reserved_bytes"] == [(0, 512 * MIB), (1, 512 * MIB)]


def test_an_idle_gpu_is_at_0_and_one_that_cannot_tell_is_at_none(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(util=0, memory_util=0, used=0), Gpu(util=None, total=None))
    idle, silent = host.gpus().values()
    assert (idle["gpu_util"], idle["memory_util"], idle["used_mem"]) == (0, 0, 0)
    assert (silent["gpu_util"], silent["memory_util"], silent["used_mem"], silent["total_mem"]) == (None,) * 4
    assert silent["state"] == "ok"


def test_a_host_with_a_driver_and_no_gpu_has_none(standin: NvmlStandin, host: Host) -> None:
    host.set_pci()
    assert host.gpus() == {}
    assert host.errors == {}


def test_a_driver_without_the_newer_memory_call_is_asked_the_older_one(
    make_standin: Callable[..., NvmlStandin], host: Host
) -> None:
    make_standin("nvmlDeviceGetMemoryInfo_v2").set(Gpu())
    assert host.gpus()[H100_0]["used_mem"] == 8192 + 512
    assert "sys.gpu.mem_reserved_bytes" not in host.metrics


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
    assert {pid: (entry["mem"], entry["type"]) for pid, entry in processes.items()} == {str(pid): (3, "C+G")}


@pytest.mark.parametrize(("kind", "letter"), [("compute", "C"), ("graphics", "G"), ("mps", "C")])
def test_a_process_tells_what_it_does_with_the_gpu(standin: NvmlStandin, host: Host, kind: str, letter: str) -> None:
    standin.set(Gpu(processes=[(kind, os.getpid(), MIB)]))
    [processes] = host.gpus()[H100_0]["users"].values()
    assert processes[str(os.getpid())]["type"] == letter


def test_memory_that_is_not_known_is_none(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(processes=[("compute", os.getpid(), None)], used=2 * 10**18))
    gpu = host.gpus()[H100_0]
    assert gpu["used_mem"] is None
    [processes] = gpu["users"].values()
    assert processes[str(os.getpid())]["mem"] is None


def test_a_process_that_has_gone_keeps_its_memory_as_unknown(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(processes=[("compute", 2**22 + 1, GIB)]))
    gone = {"mem": 1024, "time": None, "name": None, "type": "C"}
    assert host.gpus()[H100_0]["users"] == {"unknown": {str(2**22 + 1): gone}}


def test_names_with_damaged_bytes_survive(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(name=b"NVIDIA \xff A100"))
    assert host.gpus()["0_NVIDIA-\\xff-A100_66667c"]["name"] == "NVIDIA \\xff A100"
