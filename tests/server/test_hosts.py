"""The live hosts: how old, how fresh, how far their clock is off."""

from __future__ import annotations

from typing import Any

import posts
import pytest

from cluster_dash_server.config import Live
from cluster_dash_server.live.hosts import Host, Hosts
from cluster_dash_server.points import points_of_post


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def recorded(clock: Clock, **sections: Any) -> tuple[Hosts, Host]:
    hosts = Hosts(Live(), clock)
    record(hosts, posts.host_post("gpu01", **sections))
    (host,) = hosts.all()
    return hosts, host


def record(hosts: Hosts, post: dict[str, Any], received_at: float | None = None) -> None:
    hosts.record(post, points_of_post(post), post["timestamp"] if received_at is None else received_at)


@pytest.mark.parametrize(
    ("interval_s", "age_s", "status"),
    [(5, 15, "up"), (5, 15.1, "stale"), (60, 180, "up"), (60, 181, "stale"), (5, 600, "stale"), (5, 601, "offline")],
)
def test_a_host_is_stale_after_three_of_its_own_intervals_and_offline_after_ten_minutes(
    interval_s: float, age_s: float, status: str
) -> None:
    clock = Clock()
    hosts, host = recorded(clock, mole={"interval_s": interval_s})
    clock.now_s += age_s
    assert host.latest.status(hosts.age_s(host.latest)) == status


def test_a_host_without_the_mole_section_posts_every_five_minutes_as_the_original() -> None:
    clock = Clock()
    hosts, host = recorded(clock)
    del host.latest.post["mole"]
    clock.now_s += 590
    assert host.latest.status(hosts.age_s(host.latest)) == "up"
    clock.now_s += 11
    assert host.latest.status(hosts.age_s(host.latest)) == "offline"


def test_a_mole_that_posts_seldom_is_not_offline_between_two_posts() -> None:
    clock = Clock()
    hosts, host = recorded(clock, mole={"interval_s": 900})
    clock.now_s += 1000
    assert host.latest.status(hosts.age_s(host.latest)) == "up"
    clock.now_s += 2000
    assert host.latest.status(hosts.age_s(host.latest)) == "offline"


def test_the_gpus_of_a_driver_that_hangs_are_still_known_and_tell_nothing() -> None:
    hosts, host = recorded(Clock(), gpu={"0_X": posts.gpu(0, util=50), "1_X": posts.gpu(1)})
    record(hosts, posts.host_post("gpu01", gpu={"gpu_error": {**posts.GPU_ERROR, "state": "hung"}}))
    assert host.latest.gpus == []
    assert [(gpu.index, gpu.state, gpu.util_percent, gpu.is_free) for gpu in host.latest.known_gpus] == [
        (0, "hung", None, False),
        (1, "hung", None, False),
    ]
    record(hosts, posts.host_post("gpu01", gpu={"0_X": posts.gpu(0)}))
    assert [gpu.state for gpu in host.latest.known_gpus] == ["ok"]


@pytest.mark.parametrize(("ahead_s", "skew_s"), [(42, 42), (-3600, -3600), (1, None), (-4, None)])
def test_a_clock_that_is_off_is_told_and_a_slow_way_is_not(ahead_s: float, skew_s: float | None) -> None:
    hosts = Hosts(Live(), Clock())
    post = posts.host_post()
    record(hosts, post, received_at=post["timestamp"] - ahead_s)
    (host,) = hosts.all()
    assert host.latest.skew_s == pytest.approx(skew_s)


def test_the_history_is_at_the_servers_time_and_its_series_have_one_length() -> None:
    clock = Clock()
    hosts = Hosts(Live(), clock)
    for second in range(5):
        clock.now_s = second
        record(hosts, posts.host_post("gpu01", timestamp=5.0), received_at=1000.0 + second)
    (host,) = hosts.all()
    columns = hosts.series(host, "sys.gpu.util_percent", "sys.cpu_percent")
    assert len(columns) == 9
    assert all(list(column.time) == [1000, 1001, 1002, 1003, 1004] for column in columns)
    assert all(len(column.value) == 5 for column in columns)


def test_what_a_silent_host_left_behind_is_forgotten() -> None:
    hosts, host = recorded(Clock())
    hosts.forget_old_history(now=host.latest.received_at + Live().history_max_age_s + 1)
    assert hosts.series(host, "sys.cpu_percent") == []
    assert hosts.get("gpu01") is host


def test_a_host_that_has_been_silent_for_a_month_is_forgotten() -> None:
    clock = Clock()
    hosts, host = recorded(clock)
    clock.now_s += 720 * 3600
    hosts.forget_old_history(now=0)
    assert hosts.get("gpu01") is host
    clock.now_s += 1
    hosts.forget_old_history(now=0)
    assert len(hosts) == 0
