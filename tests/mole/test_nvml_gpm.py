"""How busy the parts of a GPU were (GPM): between two answers, and never a made-up 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from nvml_standin import MIB, Gpu, NvmlStandin

from mole.gpu_host import H100_0, Host
from mole.peers import wait_until

ACTIVITY = {
    "sys.gpu.dram_active_percent": 24.875,
    "sys.gpu.nvlink_recv_bytes_per_s": 1024 * MIB,
    "sys.gpu.nvlink_sent_bytes_per_s": 512 * MIB,
    "sys.gpu.pcie_recv_bytes_per_s": 16 * MIB,
    "sys.gpu.pcie_sent_bytes_per_s": 5.5 * MIB,
    "sys.gpu.sm_active_percent": 95.5,
    "sys.gpu.sm_occupancy_percent": 14.125,
    "sys.gpu.tensor_active_percent": 92.75,
}


def activity(host: Host, device: int = 0) -> dict[str, float | None]:
    found = {name: dict(samples) for name, samples in host.metrics.items() if name in ACTIVITY}
    return {name: by_device[device] for name, by_device in found.items() if device in by_device}


def test_activity_is_told_from_the_second_answer_on(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu(gpm_5=0, gpm_10=89))
    host.gpus()
    assert activity(host) == {}
    for _ in range(3):
        host.gpus()
        assert activity(host) == ACTIVITY
        assert activity(host, 1) == {
            **ACTIVITY,
            "sys.gpu.tensor_active_percent": 0,
            "sys.gpu.dram_active_percent": 89,
        }


def test_a_gpu_without_the_counters_has_no_activity(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(gpm=0), Gpu(), faults=("trace",))
    host.gpus()
    assert host.gpus()[H100_0]["state"] == "ok"
    assert (activity(host), activity(host, 1)) == ({}, ACTIVITY)
    assert standin.calls("nvmlGpmQueryDeviceSupport", 0) == 1
    assert standin.calls("nvmlGpmSampleGet", 0) == 0


@pytest.mark.parametrize("missing", ["nvmlGpmQueryDeviceSupport", "nvmlGpmMetricsGet"])
def test_a_library_without_gpm_has_no_activity(
    make_standin: Callable[..., NvmlStandin], host: Host, missing: str
) -> None:
    make_standin(missing).set(Gpu())
    host.gpus()
    assert host.gpus()[H100_0]["state"] == "ok"
    assert activity(host) == {}


def test_links_that_are_not_there_carry_nothing_rather_than_0(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(nvlink=None, gpm_60=0, gpm_61=0))
    host.gpus()
    host.gpus()
    assert set(activity(host)) == {name for name in ACTIVITY if "nvlink" not in name}


def test_a_metric_that_this_gpu_lacks_or_that_cannot_be_is_absent_alone(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(gpm_3=None, gpm_5=100.5, gpm_20=-4611488425371337.0))
    host.gpus()
    host.gpus()
    left_out = ("sm_occupancy_percent", "tensor_active_percent", "pcie_sent_bytes_per_s")
    assert activity(host) == {n: value for n, value in ACTIVITY.items() if n[len("sys.gpu.") :] not in left_out}


def test_nothing_is_told_while_the_counters_stand_still(standin: NvmlStandin, host: Host) -> None:
    """As between two samples within a tenth of a second: all 0, and one of them no number."""
    standin.set(Gpu())
    host.gpus()
    standin.set(Gpu(gpm_2=0, gpm_3=0, gpm_5=0, gpm_10=math.nan))
    host.gpus()
    assert activity(host) == {}
    standin.set(Gpu())
    host.gpus()
    assert activity(host) == ACTIVITY


def test_after_a_failure_it_begins_anew(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu())
    host.gpus()
    standin.set(Gpu(), faults=("fail nvmlGpmSampleGet 999",))
    assert host.gpus()[H100_0]["state"] == "ok"
    assert activity(host) == {}
    standin.set(Gpu())
    host.gpus()
    assert activity(host) == {}
    host.gpus()
    assert activity(host) == ACTIVITY


def test_a_gpu_that_is_lost_just_then_is_told_as_lost(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu())
    host.gpus()
    standin.set(Gpu(), Gpu(), faults=("gpu 0 fail nvmlGpmSampleGet 15",))
    assert [gpu["state"] for gpu in host.gpus().values()] == ["lost", "ok"]


def test_a_split_gpu_has_no_activity(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(mig_mode=1))
    host.gpus()
    host.gpus()
    assert activity(host) == {}


def test_samples_are_freed_when_a_gpu_is_lost_and_at_the_end(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu())
    host.gpus()
    host.gpus()
    standin.set(Gpu(), Gpu(), faults=("gpu 0 fail * 15",))
    host.gpus()
    standin.set(Gpu(), Gpu())
    host.gpus()
    host.gpus()
    assert activity(host) == ACTIVITY
    host.collector.close()
    wait_until(lambda: standin.was_shut_down)
    assert standin.samples_left == 0


def test_it_can_be_turned_off(standin: NvmlStandin, tmp_path: Path) -> None:
    (tmp_path / "off").mkdir()
    host = Host(tmp_path / "off", activity=False)
    standin.set(Gpu(), faults=("trace",))
    host.gpus()
    host.gpus()
    host.collector.close()
    assert (activity(host), standin.calls("nvmlGpmSampleGet", 0)) == ({}, 0)
