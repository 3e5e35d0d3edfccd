"""The live hosts: how old, how fresh, how far their clock is off."""

from __future__ import annotations

import threading
from typing import Any

import posts
import pytest

from cluster_dash_server.config import Live
from cluster_dash_server.live.clock import Clock
from cluster_dash_server.live.history import MAX_SERIES
from cluster_dash_server.live.host import Host
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.live.rows import SeriesColumns
from cluster_dash_server.points import points_of_post
from cluster_dash_server.query import host_now


class Seconds:
    """Both clocks of a server; `off_s` apart."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.off_s = 1e9

    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, lambda: self.now_s + self.off_s)


def recorded(clock: Seconds, **sections: Any) -> tuple[Hosts, Host]:
    hosts = Hosts(Live(), clock.clock())
    record(hosts, posts.host_post("gpu01", **sections))
    (host,) = hosts.all()
    return hosts, host


def record(hosts: Hosts, post: dict[str, Any]) -> None:
    hosts.record(post, points_of_post(post))


@pytest.mark.parametrize(
    ("interval_s", "age_s", "status"),
    [(5, 15, "up"), (5, 15.1, "stale"), (60, 180, "up"), (60, 181, "stale"), (5, 600, "stale"), (5, 601, "offline")],
)
def test_a_host_is_stale_after_three_of_its_own_intervals_and_offline_after_ten_minutes(
    interval_s: float, age_s: float, status: str
) -> None:
    clock = Seconds()
    hosts, host = recorded(clock, mole={"interval_s": interval_s})
    clock.now_s += age_s
    assert host.latest.status(hosts.age_s(host.latest)) == status


def test_a_host_without_the_mole_section_posts_every_five_minutes_as_the_original() -> None:
    clock = Seconds()
    hosts, host = recorded(clock, mole={})
    clock.now_s += 590
    assert host.latest.status(hosts.age_s(host.latest)) == "up"
    clock.now_s += 11
    assert host.latest.status(hosts.age_s(host.latest)) == "offline"


def test_a_mole_that_posts_seldom_is_not_offline_between_two_posts() -> None:
    clock = Seconds()
    hosts, host = recorded(clock, mole={"interval_s": 900})
    clock.now_s += 1000
    assert host.latest.status(hosts.age_s(host.latest)) == "up"
    clock.now_s += 2000
    assert host.latest.status(hosts.age_s(host.latest)) == "offline"


def test_an_interval_beyond_a_day_is_taken_as_a_day() -> None:
    clock = Seconds()
    hosts, host = recorded(clock, mole={"interval_s": 1e15})
    clock.now_s += 3 * 86_400 + 1
    assert host.latest.status(hosts.age_s(host.latest)) == "offline"


def test_the_gpus_of_a_driver_that_hangs_are_still_known_and_tell_nothing() -> None:
    hosts, host = recorded(Seconds(), gpu={"0_X": posts.gpu(0, util=50), "1_X": posts.gpu(1)})
    for _ in range(2):
        record(hosts, posts.host_post("gpu01", gpu={"gpu_error": {**posts.GPU_ERROR, "state": "hung"}}))
        row = host_now(hosts, host)
        assert row.posted_gpus == []
        assert [(gpu.index, gpu.state, gpu.util_percent, gpu.is_free, gpu.users) for gpu in row.gpus] == [
            (0, "hung", None, False, {}),
            (1, "hung", None, False, {}),
        ]
    record(hosts, posts.host_post("gpu01", gpu={"0_X": posts.gpu(0)}))
    assert [gpu.state for gpu in host_now(hosts, host).gpus] == ["ok"]


@pytest.mark.parametrize(("ahead_s", "skew_s"), [(42, 42), (-3600, -3600), (1, None), (-4, None)])
def test_a_clock_that_is_off_is_told_and_a_slow_way_is_not(ahead_s: float, skew_s: float | None) -> None:
    seconds = Seconds()
    hosts = Hosts(Live(), seconds.clock())
    record(hosts, posts.host_post(timestamp=seconds.now_s + seconds.off_s + ahead_s))
    (host,) = hosts.all()
    assert host_now(hosts, host).skew_s == pytest.approx(skew_s)


def test_the_history_is_at_the_servers_time_and_its_series_have_one_length() -> None:
    clock = Seconds()
    hosts = Hosts(Live(), clock.clock())
    for second in range(5):
        clock.now_s = second
        record(hosts, posts.host_post("gpu01", timestamp=5.0))
    (host,) = hosts.all()
    columns = hosts.series(host, "sys.gpu.util_percent", "sys.cpu_percent")
    assert len(columns) == 9
    assert all(list(column.time) == [1e9 + second for second in range(5)] for column in columns)
    assert all(len(column.value) == 5 for column in columns)


def test_the_last_posts_of_a_silent_host_are_kept_for_a_day() -> None:
    clock = Seconds()
    hosts = Hosts(Live(), clock.clock())
    for second in range(0, 1200, 5):
        clock.now_s = second
        record(hosts, posts.host_post("gpu01"))
    (host,) = hosts.all()
    clock.now_s += 3600
    hosts.keep_within_memory()
    (cpu,) = hosts.series(host, "sys.cpu_percent")
    assert 60 <= len(cpu.time) < 80
    assert len(hosts.headline(host, "sys.cpu_percent")[0].time) == 20
    clock.now_s += 24 * 3600
    hosts.keep_within_memory()
    assert hosts.series(host, "sys.cpu_percent") == []
    assert hosts.headline(host, "sys.cpu_percent") == []
    assert hosts.get("gpu01") is host


def test_names_that_change_with_every_post_fill_no_memory() -> None:
    """An hour of new mounts and users each time: what is held stays what it was after the first half."""
    clock = Seconds()
    hosts, host = recorded(clock)
    held: list[int] = []
    for number in range(720):
        clock.now_s += 5
        disk = {f"/mnt/{number}-{each}": {"percent_used": 5, "used_gb": 1, "total_gb": 20} for each in range(6)}
        gpus = {f"{index}_X": posts.busy_gpu(index, f"user{number}") for index in range(8)}
        record(hosts, posts.host_post("gpu01", disk=disk, gpu=gpus))
        held.append(host.history.bytes)
        if number % 2 == 0:
            hosts.keep_within_memory()
    assert max(held[360:]) < 1.05 * max(held[:360])
    assert len({segment.layout for segment in host.history.recent_segments()}) <= 200
    assert len(hosts.series(host, "sys.disk.percent", "sys.gpu.user_mem_bytes")) < MAX_SERIES
    assert len(hosts.series(host, "sys.cpu_percent")[0].time) >= 180
    assert host.history.left_out > 0


def is_whole(column: SeriesColumns) -> bool:
    """As long as its time, the values of one host's posts in their order."""
    known = [value for value in column.value if value == value]
    return len(column.time) == len(column.value) and known == sorted(known)


def test_what_a_page_reads_while_eight_threads_record_is_whole() -> None:
    hosts = Hosts(Live(recent_minutes=1))
    broken: list[SeriesColumns] = []
    written = threading.Event()

    def write(name: str) -> None:
        for number in range(400):
            gpus = {"0_X": posts.busy_gpu(0, f"user{number // 50}")}
            post = posts.host_post(name, gpu=gpus, cpu={"cpu_percent": number})
            hosts.record(post, points_of_post(post))

    def read() -> None:
        while not written.is_set():
            hosts.keep_within_memory()
            for host in hosts.all():
                columns = [*hosts.series(host, "sys.cpu_percent"), *hosts.headline(host, "sys.cpu_percent")]
                broken.extend(column for column in columns if not is_whole(column))

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(f"gpu{number}",)) for number in range(8)]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    written.set()
    for thread in readers:
        thread.join()
    assert broken == []
    assert [hosts.series(host, "sys.cpu_percent")[0].value[-1] for host in hosts.all()] == [399] * 8


def test_a_host_that_has_been_silent_for_a_month_is_forgotten() -> None:
    clock = Seconds()
    hosts, host = recorded(clock)
    clock.now_s += 720 * 3600
    hosts.forget_silent_hosts()
    assert hosts.get("gpu01") is host
    clock.now_s += 1
    hosts.forget_silent_hosts()
    assert len(hosts) == 0
