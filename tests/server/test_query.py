"""What the views ask for: hosts in a person's order, buckets of the fleet's history."""

from __future__ import annotations

import posts
import pytest

from cluster_dash_server.config import Live
from cluster_dash_server.live.clock import Clock
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.points import points_of_post
from cluster_dash_server.query import bucket_s, fleet_history, mean, now


def hosts_with(*received: tuple[str, float], gpus: int = 2) -> Hosts:
    clock = [0.0]
    hosts = Hosts(Live(), Clock(lambda: clock[0], lambda: clock[0]))
    for name, received_at in received:
        clock[0] = received_at
        post = posts.host_post(name, gpus)
        hosts.record(post, points_of_post(post))
    return hosts


def test_hosts_are_ordered_as_a_person_counts() -> None:
    hosts = hosts_with(*[(name, 0.0) for name in ("gpu10", "gpu2", "a", "10", "9", "Gpu3")])
    assert [row.name for row in now(hosts)] == ["9", "10", "a", "gpu2", "Gpu3", "gpu10"]


def test_the_mean_is_of_what_is_known() -> None:
    assert mean([None, 0.0, 10.0]) == 5
    assert mean([None]) is None
    assert mean([]) is None


@pytest.mark.parametrize(
    ("hours", "seconds"), [(1, 300), (24, 300), (25, 900), (168, 900), (169, 3600), (720, 3600), (721, 14400)]
)
def test_buckets_widen_with_the_range(hours: float, seconds: int) -> None:
    assert bucket_s(hours) == seconds


def test_posts_fall_into_their_buckets_and_a_silent_span_has_none() -> None:
    hosts = hosts_with(("a", 3000), ("a", 3005), ("b", 3010), ("a", 4000))
    buckets = fleet_history(hosts, hours=24, now_s=5000)
    assert [(bucket.started_at, sorted(bucket.servers)) for bucket in buckets] == [(3000, ["a", "b"]), (3900, ["a"])]
    assert buckets[0].total("total_gpus") == 4
    assert buckets[0].total("free_gpus") == 2


def test_the_fleets_history_goes_back_a_day() -> None:
    hosts = hosts_with(*[("a", 3000.0 + 300 * number) for number in range(280)])
    buckets = fleet_history(hosts, hours=24, now_s=3000 + 300 * 280)
    assert len(buckets) == 280
    assert {bucket.total("total_gpus") for bucket in buckets} == {2}


def test_what_is_older_than_asked_for_is_left_out() -> None:
    hosts = hosts_with(("a", 3000), ("a", 90_000))
    assert [bucket.started_at for bucket in fleet_history(hosts, hours=1, now_s=90_100)] == [90_000]


def test_a_gpu_whose_memory_is_not_known_spoils_no_mean() -> None:
    hosts = Hosts(Live(), Clock(lambda: 3000.0, lambda: 3000.0))
    known, unknown = posts.gpu(0, used_mib=8192, util=50), posts.gpu(1, used_mem=None)
    for _ in range(2):
        post = posts.host_post("a", gpu={"0": known, "1": unknown})
        hosts.record(post, points_of_post(post))
        unknown = posts.gpu(1, used_mem=8192)
    post = posts.host_post("a", gpu={"0": known, "1": posts.gpu(1, used_mem=None)})
    hosts.record(post, points_of_post(post))
    (bucket,) = fleet_history(hosts, hours=1, now_s=3001)
    assert bucket.mean("avg_gpu_memory_percent") == pytest.approx(10)


def test_the_gpus_of_an_offline_host_are_not_free() -> None:
    seconds = [0.0]
    hosts = Hosts(Live(), Clock(lambda: seconds[0]))
    post = posts.host_post("a", gpus=4)
    hosts.record(post, points_of_post(post))
    assert [row.free_gpus for row in now(hosts)] == [2]
    seconds[0] = 601
    assert [row.free_gpus for row in now(hosts)] == [0]


def test_a_host_without_gpus_is_in_no_bucket() -> None:
    assert fleet_history(hosts_with(("a", 3000), gpus=0), hours=24, now_s=3000) == []
