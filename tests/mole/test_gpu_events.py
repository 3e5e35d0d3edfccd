"""XIDs and the like reach the post once each, in plain words; so do GPUs that go and come."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nvml_standin import Gpu, NvmlStandin, gpu_uuid

from mole.gpu_host import Host
from mole.peers import wait_until

XID, ECC, CLOCK = 0x8, 0x2, 0x10


def test_an_xid_is_told_once_with_its_gpu_and_meaning(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu())
    host.gpus()
    standin.set(Gpu(), Gpu(), faults=(f"event 1 1 {XID} 79",))
    host.gpus()
    [event] = host.events
    assert abs(event.pop("time") - time.time()) < 60
    assert event == {"kind": "xid", "device": 1, "text": "XID 79: the GPU has fallen off the bus", "data": {"code": 79}}
    host.gpus()
    assert len(host.events) == 1


def test_events_between_two_answers_are_kept_for_the_next(standin: NvmlStandin, tmp_path: Path) -> None:
    (tmp_path / "fast").mkdir()
    host = Host(tmp_path / "fast", sample_s=0.01)
    standin.set(Gpu())
    host.gpus()
    standin.set(Gpu(), faults=("trace", f"event 1 0 {XID} 31", f"event 2 0 {ECC} 0"))
    wait_until(lambda: standin.calls("nvmlEventSetWait_v2", -1) > 3)
    standin.set(Gpu())
    host.gpus()
    host.collector.close()
    assert [event["kind"] for event in host.events] == ["xid", "ecc_double_bit"]


def test_a_storm_of_one_event_is_one_with_a_count(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu())
    host.gpus()
    standin.set(Gpu(), faults=tuple(f"event {nth} 0 {XID} {13 if nth < 90 else 31}" for nth in range(1, 92)))
    host.gpus()
    assert [event["data"] for event in host.events] == [{"code": 13, "count": 89}, {"code": 31, "count": 2}]


def test_an_unknown_xid_is_told_by_its_number(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=(f"event 1 0 {XID} 9999",))
    host.gpus()
    host.gpus()
    assert [event["text"][:9] for event in host.events] == ["XID 9999:"]


def test_changes_of_clock_and_power_state_are_not_events(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=(f"event 1 0 {CLOCK} 1", f"event 2 0 {XID} 45"))
    host.gpus()
    host.gpus()
    assert [event["data"]["code"] for event in host.events] == [45]


def test_a_driver_or_gpu_without_events_is_read_all_the_same(
    make_standin: Callable[..., NvmlStandin], host: Host
) -> None:
    make_standin("nvmlEventSetCreate").set(Gpu(event_types=None), faults=(f"event 1 0 {XID} 45",))
    host.gpus()
    assert [gpu["state"] for gpu in host.gpus().values()] == ["ok"]
    assert (host.events, host.errors) == ([], {})


def test_events_go_on_after_the_wait_for_them_failed(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), faults=("fail nvmlEventSetWait_v2 999",))
    host.gpus()
    standin.set(Gpu(), faults=(f"event 1 0 {XID} 48",))
    host.gpus()
    assert [event["data"]["code"] for event in host.events] == [48]


def test_a_gpu_that_is_lost_and_returns_is_two_events(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu())
    host.gpus()
    assert host.events == []
    for faults in (("gpu 1 fail * 15",), ("gpu 1 fail * 15",), ()):
        standin.set(Gpu(), Gpu(), faults=faults)
        host.gpus()
    assert [(event["kind"], event["device"]) for event in host.events] == [("gpu_lost", 1), ("gpu_returned", 1)]
    assert host.events[0]["data"] == {"uuid": gpu_uuid(1)}
    assert "is back; it was lost since" in host.events[1]["text"]


def test_a_gpu_that_vanishes_is_an_event(standin: NvmlStandin, host: Host) -> None:
    standin.set(Gpu(), Gpu())
    host.gpus()
    standin.set(Gpu())
    host.gpus()
    host.gpus()
    assert [(event["kind"], event["device"]) for event in host.events] == [("gpu_vanished", 1)]
