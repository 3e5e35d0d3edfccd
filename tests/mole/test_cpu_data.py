"""CPU use from counters."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole.cpu_data import CpuCollector, CpuUse, parse_cpu_use, parse_load_averages, parse_stat
from cluster_dash_mole.reading import Reading

STAT = """\
cpu  300 20 100 4000 50 5 15 10 200 0
cpu0 200 10 50 2000 25 5 10 5 200 0
cpu1 100 10 50 2000 25 0 5 5 0 0
intr 2053306 0 0 9
ctxt 4509599
btime 1795306277
procs_running 4
procs_blocked 2
softirq 1148762 0 149903
"""


def values(reading: Reading) -> dict[str, float]:
    """By name without `sys.cpu.`, with the core where there is one."""
    return {
        sample.metric.name[8:] + (sample.tags["core"] if sample.tags else ""): sample.value
        for sample in reading.samples
        if sample.value is not None
    }


def test_waiting_for_disks_is_idle_and_shown_apart() -> None:
    before, after = (0, 0, 100, 1000, 10, 0, 0, 0), (10, 0, 110, 1050, 40, 0, 0, 0)
    assert parse_cpu_use(before, after) == pytest.approx((20, 30, 0))


def test_time_stolen_by_the_hypervisor_is_busy_and_shown_apart() -> None:
    assert parse_cpu_use((0,) * 8, (10, 0, 0, 60, 0, 0, 0, 30)) == (40, 0, 30)


def test_the_first_reading_has_no_percentage() -> None:
    assert parse_cpu_use(None, (1, 1, 1, 1, 1)) == CpuUse(None, None, None)


def test_no_time_between_two_readings_gives_no_percentage() -> None:
    assert parse_cpu_use((1, 1, 1, 1, 1), (1, 1, 1, 1, 1)) == CpuUse(None, None, None)


def test_a_counter_that_steps_back_gives_no_negative_percentage() -> None:
    assert parse_cpu_use((10, 0, 0, 100, 50), (20, 0, 0, 90, 49)) == CpuUse(100, 0, None)


def test_a_kernel_that_does_not_count_iowait_has_none() -> None:
    assert parse_cpu_use((0, 0, 0, 0), (1, 0, 0, 3)) == CpuUse(25, None, None)


def test_guest_time_is_not_counted_twice() -> None:
    assert parse_stat(STAT).times["cpu"] == (300, 20, 100, 4000, 50, 5, 15, 10)


def test_lines_that_make_no_sense_are_left_out() -> None:
    stat = parse_stat("cpu  1 2 x 4\ncpu0 1 2\ncpu1 1 2 3 4\nprocs_running many\nprocs_blocked\n\ncpu")
    assert (dict(stat.times), stat.procs_running, stat.procs_blocked) == ({"cpu1": (1, 2, 3, 4)}, None, None)


@pytest.mark.parametrize("text", ["", "1 2", "a b c 1/2 3"])
def test_load_averages_are_all_there_or_none(text: str) -> None:
    assert parse_load_averages(text) is None
    assert parse_load_averages("0.5 1.25 2.00 3/567 8910\n") == [0.5, 1.25, 2.0]


def test_each_core_and_the_queues_are_metrics(tmp_path: Path) -> None:
    Path(tmp_path, "loadavg").write_text("0.50 1.25 2.00 3/567 8910\n")
    Path(tmp_path, "stat").write_text(STAT)
    collector = CpuCollector(tmp_path)
    collector.prime()
    later = STAT.replace("cpu0 200 10 50 2000", "cpu0 275 10 50 2025").replace("cpu1 100", "cpu1 200")
    Path(tmp_path, "stat").write_text(later.replace("cpu  300 20 100 4000", "cpu  475 20 100 4025"))
    reading = collector.collect()
    assert reading.sections == {"cpu": {"cpu_percent": 87.5, "load_avgs": [0.5, 1.25, 2.0], "num_cpus": 2}}
    assert values(reading) == {
        "iowait_percent": 0,
        "steal_percent": 0,
        "procs_running": 4,
        "procs_blocked": 2,
        "core_percent0": 75,
        "core_percent1": 100,
    }


def test_a_core_that_was_offline_has_no_percentage_at_first(tmp_path: Path) -> None:
    Path(tmp_path, "stat").write_text("".join(STAT.splitlines(keepends=True)[:2]))
    collector = CpuCollector(tmp_path)
    collector.prime()
    Path(tmp_path, "stat").write_text(STAT.replace("2000", "2100"))
    assert "core_percent1" not in values(collector.collect())


def test_a_host_that_shows_nothing_gives_nothing_and_says_so(tmp_path: Path) -> None:
    collector = CpuCollector(tmp_path)
    collector.prime()
    reading = collector.collect()
    cpu: Any = reading.sections["cpu"]
    assert (cpu["cpu_percent"], cpu["load_avgs"]) == (None, None)
    assert values(reading) == {}
    assert reading.errors == {"cpu": f"{tmp_path}/stat: No such file or directory"}


def test_a_primed_collector_has_a_percentage_in_its_first_reading() -> None:
    collector = CpuCollector()
    collector.prime()
    time.sleep(0.1)  # the kernel counts in steps of 10 ms
    cpu: Any = collector.collect().sections["cpu"]
    assert 0 <= cpu["cpu_percent"] <= 100
    assert len(cpu["load_avgs"]) == 3
    assert cpu["num_cpus"] >= 1
