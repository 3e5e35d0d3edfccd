"""A post becomes points: base units, a row per number, nothing for what is missing."""

from __future__ import annotations

from typing import Any

import posts

from cluster_dash_server.points import GIB, MIB, NO_DEVICE, Points, points_of_post

Rows = dict[tuple[str, int, str], tuple[float, str]]


def rows_of(points: Points) -> Rows:
    keys = zip(points.metric, points.device, points.tags_json, strict=True)
    return dict(zip(keys, zip(points.value, points.unit, strict=True), strict=True))


def rows_of_post(**sections: Any) -> Rows:
    return rows_of(points_of_post(posts.host_post(gpus=2, **sections)))


def test_every_column_has_a_row_for_each_point() -> None:
    post = posts.host_post(gpus=8)
    points = points_of_post(post)
    lengths = {len(getattr(points, name)) for name in Points.__slots__}
    assert lengths == {len(points)}
    assert set(points.host) == {"gpu01"}
    assert set(points.event_time) == {post["timestamp"]}


def test_values_are_in_base_units() -> None:
    rows = rows_of_post()
    assert rows["sys.mem_used_bytes", NO_DEVICE, ""] == (96.4 * GIB, "B")
    assert rows["sys.gpu.mem_used_bytes", 0, ""] == (40960 * MIB, "B")
    assert rows["sys.gpu.user_mem_bytes", 0, '{"user":"alice"}'] == (40960 * MIB, "B")
    assert rows["sys.disk.percent", NO_DEVICE, '{"mount":"/data"}'] == (93, "%")
    assert rows["sys.load_5m", NO_DEVICE, ""] == (3.9, "")


def test_metrics_bring_their_own_unit_and_device() -> None:
    rows = rows_of_post()
    assert rows["sys.gpu.power_w", 1, ""] == (120, "W")
    assert rows["sys.cpu.iowait_percent", NO_DEVICE, ""] == (1.5, "%")


def test_tags_of_metrics_are_sorted_so_that_one_series_is_one() -> None:
    tags = [{"b": "2", "a": "1"}, {}]
    rows = rows_of_post(metrics={"m": {"value": [1, 2], "tags": tags}})
    assert rows["m", NO_DEVICE, '{"a":"1","b":"2"}'] == (1, "")
    assert rows["m", NO_DEVICE, ""] == (2, "")


def test_a_zero_is_a_point_and_a_missing_value_is_none() -> None:
    rows = rows_of_post(cpu={"cpu_percent": 0, "load_avgs": [None, 0, 1], "num_cpus": None}, memory={})
    assert rows["sys.cpu_percent", NO_DEVICE, ""] == (0, "%")
    assert rows["sys.load_5m", NO_DEVICE, ""] == (0, "")
    absent = {"sys.load_1m", "sys.cpu_count", "sys.mem_used_bytes", "sys.mem_total_bytes"}
    assert not absent & {metric for metric, _, _ in rows}


def test_a_host_without_a_readable_gpu_has_no_gpu_points() -> None:
    error = {"name": "error", "total_mem": 0, "used_mem": 0, "gpu_util": 0, "memory_util": 0, "error": "no driver"}
    rows = rows_of_post(gpu={"gpu_error": error}, metrics={})
    assert not [metric for metric, _, _ in rows if metric.startswith("sys.gpu")]


def test_the_seeds_example_becomes_points_under_its_mount_point() -> None:
    rows = rows_of(points_of_post(posts.example()))
    assert rows["sys.disk.percent", NO_DEVICE, '{"mount":"/"}'] == (46.4, "%")
    assert rows["sys.gpu.mem_total_bytes", 1, ""] == (24268.3125 * MIB, "B")
