"""A host's clocks that nobody sets, and what they tell of its sleep."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_dash_mole.clocks import Sleep, read_uptime
from mole.peers import ManualClock

NOW = 1_795_308_000.0


class Host:
    """Awake or asleep when a test says so."""

    def __init__(self) -> None:
        self.awake = ManualClock()
        self.slept_s = 0.0
        self.sleep = Sleep(lambda: self.awake.now + self.slept_s, self.awake)
        self.look()

    def look(self) -> list[Any]:
        self.awake.now += 5
        return self.sleep.look(NOW)


def test_a_sleep_is_told_once_and_for_how_long() -> None:
    host = Host()
    assert host.look() == []
    host.slept_s += 3600.02
    told = {"time": NOW, "kind": "sleep", "text": "this host was asleep for 1:00:00", "data": {"slept_s": 3600.0}}
    assert host.look() == [told]
    assert host.look() == []
    host.slept_s += 90
    assert [event["data"] for event in host.look()] == [{"slept_s": 90.0}]


@pytest.mark.parametrize("slept_s", [0.0, 1.9])
def test_no_sleep_and_a_short_one_are_told_by_nobody(slept_s: float) -> None:
    host = Host()
    host.slept_s += slept_s
    assert host.look() == []


def test_a_process_that_is_held_up_between_two_clocks_takes_that_for_no_sleep() -> None:
    clock, held_up_s = ManualClock(), [0.0]

    def uptime() -> float:
        now = clock.now
        clock.now += held_up_s[0]
        return now

    sleep = Sleep(uptime, clock)
    for held_up_s[0] in (0.0, 30.0, 0.0):
        assert sleep.look(NOW) == []


def test_a_system_without_a_clock_since_boot_tells_none() -> None:
    assert Sleep(lambda: None).look(NOW) == []


def test_uptime_grows_and_cannot_be_set() -> None:
    uptime = read_uptime()
    assert uptime is not None
    assert uptime > 0
