"""What the views ask for: hosts in a person's order, buckets of the fleet's history."""

from __future__ import annotations

import posts
import pytest

from cluster_dash_server.config import Live
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.points import points_of_post
from cluster_dash_server.query import bucket_s, fleet_history, mean, now


def hosts_with(*received: tuple[str, float], gpus: int = 2) -> Hosts:
    hosts = Hosts(Live(), monotonic=lambda: 0.0)
    for name, received_at in received:
        post = posts.host_post(name, gpus)
        hosts.record(post, points_of_post(post), received_at)
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


def test_what_is_older_than_asked_for_is_left_out() -> None:
    hosts = hosts_with(("a", 3000), ("a", 90_000))
    assert [bucket.started_at for bucket in fleet_history(hosts, hours=1, now_s=90_100)] == [90_000]


def test_a_host_without_gpus_is_in_no_bucket() -> None:
    assert fleet_history(hosts_with(("a", 3000), gpus=0), hours=24, now_s=3000) == []
