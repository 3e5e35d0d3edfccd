"""All that is read of a GPU beyond the seed's fields, as its library, driver and model allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nvml_standin import GIB, MIB, Gpu, NvmlStandin

from cluster_dash_mole.nvml_values import NUMBERS
from mole.gpu_host import H100_0, Host
from mole.peers import wait_until
from mole.test_nvml_gpm import ACTIVITY

H100 = {
    "sys.gpu.decoder_percent": 0,
    "sys.gpu.ecc_corrected": 0,
    "sys.gpu.ecc_corrected_lifetime": 2,
    "sys.gpu.ecc_uncorrected": 0,
    "sys.gpu.ecc_uncorrected_lifetime": 0,
    "sys.gpu.encoder_percent": 0,
    "sys.gpu.energy_j": 5_000_123.456,
    "sys.gpu.mem_clock_mhz": 2619,
    "sys.gpu.heat_braked_s": 0,
    "sys.gpu.heat_slowed_s": 0,
    "sys.gpu.mem_free_bytes": 72 * GIB - 512 * MIB,
    "sys.gpu.mem_reserved_bytes": 512 * MIB,
    "sys.gpu.mem_temperature_c": 64,
    "sys.gpu.mem_temperature_max_c": 95,
    "sys.gpu.mem_util_max_percent": 40,
    "sys.gpu.mig_mode": 0,
    "sys.gpu.nvlink_active": 18,
    "sys.gpu.nvlink_crc_errors": 3,
    "sys.gpu.nvlink_recovery_errors": 0,
    "sys.gpu.nvlink_replay_errors": 0,
    "sys.gpu.pcie_generation": 5,
    "sys.gpu.pcie_max_generation": 5,
    "sys.gpu.pcie_max_width": 16,
    "sys.gpu.pcie_width": 16,
    "sys.gpu.persistence_mode": 1,
    "sys.gpu.power_braked_s": 0,
    "sys.gpu.power_capped_s": 27.682640288,
    "sys.gpu.power_limit_w": 700,
    "sys.gpu.power_max_w": 412,
    "sys.gpu.power_w": 412,
    "sys.gpu.recovery_action": 0,
    "sys.gpu.remapped_rows_correctable": 1,
    "sys.gpu.remapped_rows_failed": 0,
    "sys.gpu.remapped_rows_pending": 0,
    "sys.gpu.remapped_rows_uncorrectable": 0,
    "sys.gpu.sm_clock_mhz": 1980,
    "sys.gpu.temperature_c": 61,
    "sys.gpu.temperature_max_c": 87,
    "sys.gpu.temperature_shutdown_c": 95,
    "sys.gpu.temperature_slowdown_c": 89,
    "sys.gpu.util_max_percent": 98,
}
SILENT = Gpu(
    total=None, util=None, memory_util=None, temperature=None, power=None, power_limit=None, energy=None, clocks=None,
    throttle=None, ecc=None, remapped=None, pcie_gen=None, pcie_width=None, pcie_max_gen=None, pcie_max_width=None,
    nvlink=None, encoder=None, decoder=None, persistence=None, mig_mode=None, event_types=None, vbios=None, pci=None,
    thresholds=None, field_82=None, field_74=None, field_269=None, field_270=None, field_271=None, field_230=None,
    gpm=None,
)  # fmt: skip


def values(host: Host, device: int = 0) -> dict[str, float | None]:
    """The metrics of one GPU."""
    found = {name: dict(samples) for name, samples in host.metrics.items()}
    return {name: by_device[device] for name, by_device in found.items() if device in by_device}


@pytest.fixture
def fast_host(tmp_path: Path) -> Iterator[Host]:
    """Samples every 10 ms."""
    (tmp_path / "fast").mkdir()
    host = Host(tmp_path / "fast", sample_s=0.01)
    yield host
    host.collector.close()


def test_every_number_of_a_gpu_is_a_metric_in_its_unit(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu(fan=31))
    host.gpus()
    assert values(host) == pytest.approx(H100)
    assert values(host, 1) == pytest.approx({**H100, "sys.gpu.fan_percent": 31})


def test_every_metric_says_what_it_is() -> None:
    metrics = [number for number in NUMBERS if number.name.startswith("sys.")]
    assert {number.name for number in metrics} == {*H100, *ACTIVITY, "sys.gpu.fan_percent"}
    assert all(number.help for number in metrics)
    assert len({number.name for number in NUMBERS}) == len(NUMBERS)


def test_what_a_gpu_does_not_support_is_absent_and_no_fault(standin: NvmlStandin, host: Host) -> None:
    standin.set(SILENT)
    gpu = host.gpus()[H100_0]
    assert (gpu["state"], values(host)) == ("ok", {})
    assert not {"error", "since", "throttle_reasons", "vbios_version", "pci_bus_id", "mig"} & set(gpu)


def test_zeros_are_values(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(temperature=0, power=0, energy=0, clocks="0 0", throttle=0, ecc="0 0 0 0", nvlink="4 0", util=0))
    gpu = host.gpus()[H100_0]
    zeros = ("temperature_c", "power_w", "energy_j", "sm_clock_mhz", "nvlink_active", "util_max_percent")
    assert [values(host)[f"sys.gpu.{name}"] for name in zeros] == [0] * 6
    assert (gpu["throttle_reasons"], gpu["gpu_util"]) == (0, 0)


def test_what_cannot_be_is_left_out(standin: NvmlStandin, host: Host) -> None:
    blank = 2**63 - 14
    standin.set(Gpu(util=2147483632, memory_util=101, encoder=255, energy=blank, ecc=f"{blank} 0 0 0", used=2**64 - 1))
    gpu = host.gpus()[H100_0]
    assert (gpu["gpu_util"], gpu["memory_util"], gpu["used_mem"]) == (None, None, None)
    blanks = {"util_max_percent", "mem_util_max_percent", "encoder_percent", "energy_j", "ecc_corrected"}
    assert not {f"sys.gpu.{name}" for name in blanks} & set(values(host))
    assert values(host)["sys.gpu.ecc_uncorrected"] == 0


def test_what_names_a_gpu_and_its_software_stands_in_its_entry(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(throttle=0x24, pci="00000001:3B:00.0"))
    gpu = host.gpus()[H100_0]
    assert {key: gpu[key] for key in ("driver_version", "cuda_version", "vbios_version", "pci_bus_id")} == {
        "driver_version": "550.54.15",
        "cuda_version": "12.4",
        "vbios_version": "96.00.89.00.01",
        "pci_bus_id": "0001:3b:00.0",
    }
    assert gpu["throttle_reasons"] == 0x24


@pytest.mark.parametrize(
    "missing", ["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"]
)
def test_throttle_reasons_are_read_in_either_spelling(
    make_standin: Callable[..., NvmlStandin], host: Host, missing: str
) -> None:
    make_standin(missing).set(Gpu(throttle=4))
    assert host.gpus()[H100_0]["throttle_reasons"] == 4


def test_what_is_not_supported_is_not_asked_again(standin: NvmlStandin, host: Host) -> None:
    standin.set(SILENT, Gpu(), faults=("trace",))
    for _ in range(3):
        host.gpus()
    assert standin.calls("nvmlDeviceGetTemperature", 0) == 1
    assert standin.calls("nvmlDeviceGetTemperature", 1) == 3
    assert standin.calls("nvmlDeviceGetUtilizationRates", 0) == 1


def test_what_changes_rarely_is_asked_once_a_minute_and_told_each_time(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(ecc="0 0 0 0"))
    host.gpus()
    standin.set(Gpu(ecc="5 0 5 0"))
    host.clock.now += 59
    host.gpus()
    assert values(host)["sys.gpu.ecc_corrected"] == 0
    host.clock.now += 2
    host.gpus()
    assert values(host)["sys.gpu.ecc_corrected"] == 5


def test_an_nvlink_that_is_down_shows(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(nvlink="18 17"), Gpu(field_45=None))
    host.gpus()
    assert values(host)["sys.gpu.nvlink_active"] == 17
    assert "sys.gpu.nvlink_crc_errors" not in values(host, 1)
    assert values(host, 1)["sys.gpu.nvlink_replay_errors"] == 0


def test_mig_instances_stand_within_their_gpu_and_their_processes_count_there(standin: NvmlStandin, host: Host) -> None:
    processes: list[list[tuple[str, int, int | None]]] = [[("compute", 2**22 + n, GIB)] for n in (1, 2)]
    mig = [
        Gpu(name="NVIDIA H100 MIG 1g.10gb", uuid=f"MIG-{n}", total=10 * GIB, used=n * GIB, processes=processes[n])
        for n in (0, 1)
    ]
    standin.set(Gpu(mig_mode=1, util=None, memory_util=None, mig=mig, processes=[("compute", 2**22 + 1, None)]), Gpu())
    gpu, other = host.gpus().values()
    assert gpu["mig"] == [
        {
            "name": "NVIDIA H100 MIG 1g.10gb",
            "uuid": f"MIG-{n}",
            "total_mem": 10240,
            "used_mem": n * 1024,
            "pids": [2**22 + n + 1],
        }
        for n in (0, 1)
    ]
    assert (gpu["state"], gpu["gpu_util"]) == ("ok", None)
    assert {pid: entry["mem"] for pid, entry in gpu["users"]["unknown"].items()} == {
        str(2**22 + 1): 1024,
        str(2**22 + 2): 1024,
    }
    assert "mig" not in other


def test_what_the_split_changed_is_asked_again_when_mig_ends(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(mig_mode=1, util=None))
    assert host.gpus()[H100_0]["gpu_util"] is None
    standin.set(Gpu(mig_mode=0, util=7))
    host.clock.now += 61
    assert host.gpus()[H100_0]["gpu_util"] == 7


def test_utilisation_is_mean_and_maximum_of_the_samples_between_two_answers(
    standin: NvmlStandin, fast_host: Host
) -> None:
    standin.set(Gpu(util="0 100", memory_util="10 20"), faults=("trace",))
    fast_host.gpus()
    wait_until(lambda: standin.calls("nvmlDeviceGetUtilizationRates", 0) >= 22)
    gpu = fast_host.gpus()[H100_0]
    assert 40 < gpu["gpu_util"] < 60
    assert 14 < gpu["memory_util"] < 16
    assert values(fast_host)["sys.gpu.util_max_percent"] == 100
    assert values(fast_host)["sys.gpu.mem_util_max_percent"] == 20


def test_an_answer_after_another_at_once_begins_anew(standin: NvmlStandin, fast_host: Host) -> None:
    standin.set(Gpu(util=100), faults=("trace",))
    fast_host.gpus()
    wait_until(lambda: standin.calls("nvmlDeviceGetUtilizationRates", 0) >= 5)
    standin.set(Gpu(util=0))
    fast_host.gpus()
    wait_until(lambda: fast_host.gpus()[H100_0]["gpu_util"] == 0)
    assert values(fast_host)["sys.gpu.util_max_percent"] == 0


def test_samples_that_fail_are_left_out_of_the_mean_and_told_while_they_fail(
    standin: NvmlStandin, fast_host: Host
) -> None:
    standin.set(Gpu(util=50), faults=("trace",))
    fast_host.gpus()
    standin.set(Gpu(util=50), faults=("trace", "fail nvmlDeviceGetUtilizationRates 999"))
    before = standin.calls("nvmlDeviceGetPowerUsage", 0)
    wait_until(lambda: standin.calls("nvmlDeviceGetPowerUsage", 0) > before + 5)
    gpu = fast_host.gpus()[H100_0]
    assert (gpu["state"], gpu["gpu_util"] in (50, None)) == ("error", True)
    standin.set(Gpu(util=50))
    wait_until(lambda: fast_host.gpus()[H100_0]["state"] == "ok")
    assert fast_host.gpus()[H100_0]["gpu_util"] == 50


def test_a_gpu_that_may_not_be_used_is_not_sampled(standin: NvmlStandin, fast_host: Host) -> None:
    standin.set(Gpu(), Gpu(), faults=("trace", "gpu 1 fail nvmlDeviceGetHandleByIndex_v2 4"))
    fast_host.gpus()
    wait_until(lambda: standin.calls("nvmlDeviceGetUtilizationRates", 0) > 3)
    assert [gpu["state"] for gpu in fast_host.gpus().values()] == ["ok", "error"]


def test_another_gpu_at_an_index_is_asked_all_that_the_one_before_it_did_not_support(
    standin: NvmlStandin, host: Host
) -> None:
    standin.set(SILENT, Gpu(uuid="GPU-aaaaaa-1", vbios="1.2.3"))
    host.gpus()
    standin.set(Gpu(uuid="GPU-aaaaaa-1", vbios="1.2.3"))
    assert next(iter(host.gpus().values()))["vbios_version"] == "1.2.3"
    assert set(values(host)) == set(H100)


def test_a_lost_gpu_is_not_sampled_until_an_answer_finds_it_again(standin: NvmlStandin, fast_host: Host) -> None:
    lost = ("trace", "gpu 0 fail * 15")
    standin.set(Gpu(), Gpu(), faults=("trace",))
    fast_host.gpus()
    standin.set(Gpu(), Gpu(), faults=lost)
    others = standin.calls("nvmlDeviceGetUtilizationRates", 1)
    wait_until(lambda: standin.calls("nvmlDeviceGetUtilizationRates", 1) > others + 2)
    sampled, others = [standin.calls("nvmlDeviceGetUtilizationRates", index) for index in (0, 1)]
    wait_until(lambda: standin.calls("nvmlDeviceGetUtilizationRates", 1) > others + 10)
    assert standin.calls("nvmlDeviceGetUtilizationRates", 0) == sampled
    assert [gpu["state"] for gpu in fast_host.gpus().values()] == ["lost", "ok"]
    standin.set(Gpu(), Gpu())
    assert [gpu["state"] for gpu in fast_host.gpus().values()] == ["ok", "ok"]
