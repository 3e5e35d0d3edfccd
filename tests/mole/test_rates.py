"""Rates from counters."""

from __future__ import annotations

from cluster_dash_mole.rates import Rates
from mole.peers import ManualClock


def test_a_rate_is_growth_per_second_by_the_clock_that_never_jumps() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    assert rates.update({"eth0": [100, 7]}) == {}
    clock.now += 4
    assert rates.update({"eth0": [300, 7]}) == {"eth0": [50, 0]}


def test_a_reset_of_one_counter_gives_nothing_for_the_device_and_the_next_round_goes_on() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    rates.update({"eth0": [100, 100], "eth1": [1, 1]})
    clock.now += 1
    assert rates.update({"eth0": [900, 5], "eth1": [2, 3]}) == {"eth1": [1, 2]}
    clock.now += 1
    assert rates.update({"eth0": [910, 6], "eth1": [2, 3]}) == {"eth0": [10, 1], "eth1": [0, 0]}


def test_a_device_that_was_away_for_a_round_starts_anew() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    for counters in ({"eth0": [100]}, {}, {"eth0": [5000]}):
        clock.now += 1
        assert rates.update(counters) == {}


def test_no_time_between_two_readings_gives_nothing() -> None:
    rates = Rates(ManualClock())
    rates.update({"eth0": [1]})
    assert rates.update({"eth0": [2]}) == {}
