"""A host's events: the newest ones, bounded in number and in bytes."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_dash_server.live.events import MAX_BYTES, MAX_EVENTS, Events, Slept, sleep_of


def test_the_newest_come_first_whatever_the_order_of_their_coming() -> None:
    events = Events()
    for mono_s, kind in ((5, "a"), (9, "b"), (7, "c")):
        events.add(mono_s, {"kind": kind})
    assert events.newest_first() == [(9, {"kind": "b"}), (7, {"kind": "c"}), (5, {"kind": "a"})]


def test_of_many_the_first_leave() -> None:
    events = Events()
    for number in range(1000):
        events.add(number, {"time": number, "kind": "xid"})
    assert [mono_s for mono_s, _ in events.newest_first()] == list(range(999, 999 - MAX_EVENTS, -1))


def test_large_ones_leave_sooner() -> None:
    events = Events()
    for number in range(50):
        events.add(number, {"time": number, "kind": "xid", "data": {"dump": "x" * 8000}})
    assert [mono_s for mono_s, _ in events.newest_first()] == list(range(49, 49 - MAX_BYTES // 8050, -1))


def test_one_that_is_too_large_loses_its_data_and_drives_out_no_other() -> None:
    events = Events()
    events.add(1, {"time": 1, "kind": "a"})
    events.add(2, {"time": 2, "kind": "xid", "device": 3, "text": "fell", "data": {"dump": "x" * MAX_BYTES}})
    kept = [event for _, event in events.newest_first()]
    assert kept == [{"time": 2, "kind": "xid", "device": 3, "text": "fell"}, {"time": 1, "kind": "a"}]


def test_a_post_tells_of_its_hosts_sleep() -> None:
    events = [{"time": 1, "kind": "xid"}, {"time": 9, "kind": "sleep", "data": {"slept_s": 60}}]
    assert sleep_of({"events": events}) == Slept(9.0, 60.0)
    assert sleep_of({}) is None


@pytest.mark.parametrize("data", [None, {}, {"slept_s": "60"}, {"slept_s": True}, {"slept_s": -1}, {"slept_s": None}])
def test_a_sleep_of_no_length_is_none(data: Any) -> None:
    assert sleep_of({"events": [{"time": 9, "kind": "sleep", "data": data}]}) is None
