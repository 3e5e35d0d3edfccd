"""CPU use from counters."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cluster_dash_mole.cpu_data import CpuCollector, CpuTimes, CpuUse, parse_cpu_use


def test_waiting_for_disks_is_idle_and_shown_apart() -> None:
    use = parse_cpu_use(CpuTimes(100, 1000, 10), CpuTimes(120, 1050, 40))
    assert use == pytest.approx((20, 30))


def test_the_first_reading_has_no_percentage() -> None:
    assert parse_cpu_use(None, CpuTimes(1, 1, 1)) == CpuUse(None, None)


def test_no_time_between_two_readings_gives_no_percentage() -> None:
    assert parse_cpu_use(CpuTimes(1, 1, 1), CpuTimes(1, 1, 1)) == CpuUse(None, None)


def test_a_counter_that_steps_back_gives_no_negative_percentage() -> None:
    assert parse_cpu_use(CpuTimes(10, 100, 50), CpuTimes(20, 90, 49)) == CpuUse(100, 0)


def test_a_system_that_does_not_count_iowait_has_none() -> None:
    assert parse_cpu_use(CpuTimes(0, 0, None), CpuTimes(1, 3, None)) == CpuUse(25, None)


def test_a_primed_collector_has_a_percentage_in_its_first_reading() -> None:
    collector = CpuCollector()
    collector.prime()
    time.sleep(0.1)
    cpu: Any = collector.collect().sections["cpu"]
    assert 0 <= cpu["cpu_percent"] <= 100
    assert len(cpu["load_avgs"]) == 3
    assert cpu["num_cpus"] >= 1
