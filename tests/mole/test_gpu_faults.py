"""Every trouble of GPUs and their driver is told as itself, costs no more than it must and ends without a restart."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import psutil
import pytest
from nvml_standin import Gpu, NvmlStandin, gpu_uuid, without_library

from cluster_dash_mole import nvml_pipe
from cluster_dash_mole.nvml_process import NO_LIBRARY, format_time
from mole.gpu_host import H100_0, Host, nvml_processes
from mole.peers import LONG_S, PROMPT_S, wait_until
from mole.test_driver import CLOSED, install, load_driver


def test_a_lost_gpu_is_named_and_the_others_go_on(standin: NvmlStandin, host: Host) -> None:
    gpus = [Gpu() for _ in range(8)]
    standin.set(*gpus)
    before = host.gpus()
    standin.set(*gpus, faults=("gpu 3 fail * 15",))
    after = host.gpus()
    assert list(after) == list(before)
    lost = after["3_NVIDIA-H100-80GB-HBM3_66667f"]
    assert (lost["state"], lost["uuid"], lost["index"]) == ("lost", gpu_uuid(3), 3)
    assert lost["error"] == f"GPU is lost (since {format_time(lost['since'])})"
    assert (lost["used_mem"], lost["total_mem"], lost["gpu_util"], lost["users"]) == (None,) * 4
    assert [gpu["state"] for gpu in after.values()].count("ok") == 7
    assert 3 not in [device for samples in host.metrics.values() for device, _ in samples]
    assert host.errors == {}


def test_gpus_that_were_never_seen_well_have_ids_of_their_own(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu(), faults=("fail nvmlDeviceGetHandleByIndex_v2 15",))
    assert list(host.gpus()) == ["0_GPU_unknown", "1_GPU_unknown"]


def test_a_lost_gpu_at_anothers_index_is_the_one_that_is_gone(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(uuid="GPU-aaaaaa-1"), Gpu(uuid="GPU-bbbbbb-2"))
    host.gpus()
    standin.set(Gpu(uuid="GPU-bbbbbb-2"), Gpu(), faults=("gpu 1 fail * 15",))
    assert [gpu["uuid"] for gpu in host.gpus().values()] == ["GPU-bbbbbb-2", "GPU-aaaaaa-1"]


def test_a_gpu_that_may_not_be_used_is_no_lost_one(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu(), faults=("gpu 1 fail nvmlDeviceGetHandleByIndex_v2 4",))
    gpu = host.gpus()["1_GPU_unknown"]
    assert gpu["state"] == "error"
    assert "Insufficient Permissions" in gpu["error"]


def test_one_failing_call_costs_its_own_value(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("fail nvmlDeviceGetUtilizationRates 999",))
    gpu = host.gpus()[H100_0]
    assert (gpu["gpu_util"], gpu["used_mem"]) == (None, 8192)
    assert gpu["state"] == "error"
    assert gpu["error"].startswith("nvmlDeviceGetUtilizationRates: Unknown Error (since 20")


def test_a_host_without_the_library_says_so_in_the_seeds_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", without_library(tmp_path)["LD_LIBRARY_PATH"])
    assert host.trouble() == ("error", NO_LIBRARY)
    wait_until(lambda: not nvml_processes() or nvml_processes()[0].status() == psutil.STATUS_ZOMBIE)
    host.reader.expects_library = False
    host.clock.now += 5
    host.trouble()
    wait_until(lambda: not nvml_processes() or nvml_processes()[0].status() == psutil.STATUS_ZOMBIE)
    host.clock.now += 60
    host.trouble()
    assert host.reader.pid is None, "looked for again too soon on a host without a GPU"


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


def test_a_library_that_returns_to_a_host_with_gpus_is_found_within_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standin: NvmlStandin, host: Host
) -> None:
    standin.set(Gpu())
    found = standin.library.parent
    monkeypatch.setenv("LD_LIBRARY_PATH", without_library(tmp_path)["LD_LIBRARY_PATH"])
    for _ in range(8):
        host.trouble()
        wait_until(lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in nvml_processes()))
        host.clock.now += 61
    monkeypatch.setenv("LD_LIBRARY_PATH", str(found))
    assert H100_0 in host.gpus()


def test_a_driver_that_is_asked_again_has_its_trouble_until_it_answers(standin: NvmlStandin, host: Host) -> None:
    standin.set(faults=("fail nvmlInitWithFlags 9",))
    first = host.trouble()
    assert "not loaded" in first[1]
    wait_until(lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in nvml_processes()))
    standin.set(faults=("fail nvmlInitWithFlags 9", "delay nvmlInitWithFlags 60"))
    host.clock.now += 100
    assert host.trouble(patience_s=0) == first
    assert host.reader.pid is not None, "it is asked again"


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
    assert time.monotonic() - started < PROMPT_S
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
    assert "does not answer" in first[1]
    host.clock.now += 100
    started = time.monotonic()
    assert host.trouble() == first
    assert time.monotonic() - started < PROMPT_S, "waited for a driver that is known to hang"
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


def test_a_process_that_cannot_be_started_is_told_and_tried_again(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        told = [host.trouble() for _ in range(2)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert told[0][0] == "error"
    assert told[0][1].startswith("the process that reads NVML can't be started: Too many open files (since 20")
    assert told[1] == told[0]
    host.clock.now += 5
    assert H100_0 in host.gpus()
    assert host.errors == {}


def test_a_library_that_crashes_the_process_costs_the_gpus_only(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("crash nvmlDeviceGetName",))
    assert "SIGSEGV" in host.trouble()[1]


def test_what_the_library_prints_does_not_get_between_the_answers(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("print nvmlDeviceGetName",))
    assert H100_0 in host.gpus()


def test_closing_shuts_nvml_down(standin: NvmlStandin, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml_pipe, "_PATIENCE_S", (LONG_S,) * 3)
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
    assert time.monotonic() - started < PROMPT_S
    assert nvml_processes() == []


def test_a_gpu_that_vanished_from_nvml_stays_with_its_name_since_when(standin: NvmlStandin, host: Host) -> None:
    host.set_pci(0, 1, 2)
    standin.set(Gpu(), Gpu(), Gpu())
    before = host.gpus()
    standin.set(Gpu(), Gpu())
    first, second = host.gpus(), host.gpus()
    assert list(first) == list(before)
    lost = first["2_NVIDIA-H100-80GB-HBM3_66667e"]
    assert lost == second["2_NVIDIA-H100-80GB-HBM3_66667e"]
    assert (lost["state"], lost["uuid"], lost["index"], lost["used_mem"]) == ("lost", gpu_uuid(2), 2, None)
    assert lost["error"].startswith("NVML no longer lists this GPU, the PCI bus still does (since 20")
    host.set_pci(0, 1)
    assert "nor does the PCI bus" in host.gpus()["2_NVIDIA-H100-80GB-HBM3_66667e"]["error"]
    standin.set(Gpu(), Gpu(), Gpu())
    assert host.gpus()["2_NVIDIA-H100-80GB-HBM3_66667e"]["state"] == "ok"


def test_when_indices_shift_each_gpu_stays_itself(standin: NvmlStandin, host: Host) -> None:
    gpus = [Gpu(uuid=f"GPU-{letter * 6}-1", pci=f"00000000:0{n}:00.0", power=n) for n, letter in enumerate("abcd")]
    standin.set(*gpus)
    host.gpus()
    standin.set(gpus[0], gpus[2], gpus[3])
    after = host.gpus()
    name = "NVIDIA-H100-80GB-HBM3"
    assert {gpu_id: (gpu["index"], gpu["state"]) for gpu_id, gpu in after.items()} == {
        f"0_{name}_aaaaaa": (0, "ok"),
        f"1_{name}_cccccc": (1, "ok"),
        f"2_{name}_dddddd": (2, "ok"),
        f"1_{name}_bbbbbb": (None, "lost"),
    }
    assert host.metrics["sys.gpu.power_w"] == [(0, 0), (1, 0.002), (2, 0.003)]


def test_a_lost_gpu_is_the_one_that_was_last_at_its_index(standin: NvmlStandin, host: Host) -> None:
    gpus = [Gpu(uuid=f"GPU-{letter * 6}-1", pci=f"00000000:0{n}:00.0") for n, letter in enumerate("abcd")]
    standin.set(*gpus)
    host.gpus()
    standin.set(gpus[0], gpus[2], gpus[3])  # b vanishes
    host.gpus()
    standin.set(gpus[0], gpus[2], gpus[3], faults=("gpu 1 fail * 15", "gpu 2 fail * 15"))
    assert [(gpu["uuid"][4], gpu["index"], gpu["state"]) for gpu in host.gpus().values()] == [
        ("a", 0, "ok"),
        ("c", 1, "lost"),
        ("d", 2, "lost"),
        ("b", None, "lost"),
    ]


def test_a_gpu_that_nvml_never_listed_is_told_by_its_place_on_the_bus(standin: NvmlStandin, host: Host) -> None:
    host.set_pci(0, 1, 2)
    standin.set(Gpu(), Gpu(pci="00000000:02:00.0"))
    gpu = host.gpus()["0000:01:00.0_GPU_unknown"]
    assert (gpu["state"], gpu["uuid"], gpu["index"], gpu["pci_bus_id"]) == ("lost", None, None, "0000:01:00.0")
    assert "NVML doesn't list it" in gpu["error"]


def test_gpus_without_a_known_place_are_counted(standin: NvmlStandin, host: Host) -> None:
    host.set_pci(0, 1, 2)
    standin.set(Gpu(pci=None), Gpu(pci=None))
    assert [gpu["state"] for gpu in host.gpus().values()] == ["ok", "ok", "lost"]
    standin.set(Gpu(pci=None), Gpu(pci=None), Gpu(pci=None))
    assert [gpu["state"] for gpu in host.gpus().values()] == ["ok", "ok", "ok"]


def test_a_gpu_that_is_given_to_another_driver_is_not_missed(standin: NvmlStandin, host: Host) -> None:
    host.set_pci(0, 1, 2)
    (host.pci / "0000:01:00.0/driver").symlink_to("../drivers/vfio-pci")
    (host.pci / "0000:02:00.0/physfn").mkdir()
    (host.pci / "0000:00:00.0/driver").symlink_to("../drivers/nvidia")
    standin.set(Gpu())
    assert list(host.gpus()) == [H100_0]


def test_with_every_gpu_lost_nvml_is_opened_anew_until_they_return(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu())
    host.gpus()
    standin.set(Gpu(), Gpu(), faults=("fail nvmlDeviceGetHandleByIndex_v2 15",))
    opened: list[float] = []
    pid = host.reader.pid
    for _ in range(130):
        gpus = host.gpus()
        assert [gpu["state"] for gpu in gpus.values()] == ["lost", "lost"]
        assert "no GPU answers" in host.errors["nvml"]
        if host.reader._failures > len(opened):  # pyright: ignore[reportPrivateUsage]
            opened.append(host.clock.now - 1000)
            wait_until(lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in nvml_processes()))
        host.clock.now += 1
    assert opened == [0, 15, 45, 105]
    assert len({gpu["since"] for gpu in host.gpus().values()}) == 1
    standin.set(Gpu(), Gpu())
    host.clock.now += 60
    assert [gpu["state"] for gpu in host.gpus().values()] == ["ok", "ok"]
    assert host.errors == {}
    assert host.reader.pid != pid


def test_opening_anew_leaks_nothing(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("fail nvmlDeviceGetHandleByIndex_v2 15",))
    host.gpus()
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        wait_until(lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in nvml_processes()))
        host.clock.now += 61
        host.gpus()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
    assert len(nvml_processes()) <= 1


def test_a_trouble_is_told_with_since_when_for_as_long_as_it_lasts(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("fail nvmlInitWithFlags 18",))
    first = host.gpus()["gpu_error"]
    assert first["error"].endswith(f"(since {format_time(first['since'])})")
    for _ in range(3):
        wait_until(lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in nvml_processes()))
        host.clock.now += 100
        assert host.gpus()["gpu_error"] == first


def test_a_pending_reboot_is_told_while_all_is_still_well(standin: NvmlStandin, host: Host, tmp_path: Path) -> None:
    load_driver(tmp_path / "root", CLOSED)
    install(tmp_path / "root", "550.54.15")
    standin.set(Gpu())
    assert [gpu["state"] for gpu in host.gpus().values()] == ["ok"]
    assert host.errors["driver"].startswith("reboot pending")


@pytest.mark.slow
def test_an_answer_of_any_size_arrives_whole(standin: NvmlStandin, host: Host) -> None:
    crowd: list[tuple[str, int, int | None]] = [("compute", 2**22 + nth, 2**30) for nth in range(3000)]
    standin.set(*[Gpu(processes=crowd) for _ in range(64)])
    wait_until(lambda: len(host.gpus(patience_s=0.05)) == 64, timeout_s=60)
    assert {len(gpu["users"]["unknown"]) for gpu in host.gpus(patience_s=60).values()} == {3000}


def test_a_mole_that_does_not_listen_is_no_deadlock(standin: NvmlStandin, host: Host) -> None:
    crowd: list[tuple[str, int, int | None]] = [("compute", 2**22 + nth, 2**30) for nth in range(3000)]
    standin.set(*[Gpu(processes=crowd) for _ in range(4)])
    host.collector.prime()
    wait_until(host.has_answer)  # the pipe is full now and the process waits with the rest
    started = time.monotonic()
    host.collector.close()
    assert time.monotonic() - started < PROMPT_S
    assert nvml_processes() == []
