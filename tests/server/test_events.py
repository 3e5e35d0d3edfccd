"""A host's events: the newest ones, bounded in number and in bytes."""

from __future__ import annotations

from cluster_dash_server.live.events import MAX_BYTES, MAX_EVENTS, Events


def test_the_newest_come_first_by_the_hosts_time() -> None:
    events = Events()
    events.extend([{"time": 5, "kind": "a"}, {"time": 9, "kind": "b"}])
    events.extend([{"time": 7, "kind": "c"}])
    assert [event["kind"] for event in events.newest_first()] == ["b", "c", "a"]


def test_of_many_the_first_leave() -> None:
    events = Events()
    events.extend({"time": number, "kind": "xid"} for number in range(1000))
    assert [event["time"] for event in events.newest_first()] == list(range(999, 999 - MAX_EVENTS, -1))


def test_large_ones_leave_sooner() -> None:
    events = Events()
    for number in range(50):
        events.extend([{"time": number, "kind": "xid", "data": {"dump": "x" * 8000}}])
    assert [event["time"] for event in events.newest_first()] == list(range(49, 49 - MAX_BYTES // 8050, -1))


def test_one_that_is_too_large_loses_its_data_and_drives_out_no_other() -> None:
    events = Events()
    events.extend([{"time": 1, "kind": "a"}])
    events.extend([{"time": 2, "kind": "xid", "device": 3, "text": "fell", "data": {"dump": "x" * MAX_BYTES}}])
    assert events.newest_first() == [{"time": 2, "kind": "xid", "device": 3, "text": "fell"}, {"time": 1, "kind": "a"}]
