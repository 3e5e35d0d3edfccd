"""A post becomes points: base units, a row per number, nothing for what is missing."""

from __future__ import annotations

import json
from typing import Any

import posts
import pytest

from cluster_dash_server.gpus import gpus_of
from cluster_dash_server.points import COUNTS, GIB, MIB, NO_DEVICE, Points, points_of_post, tags_json

Rows = dict[tuple[str, int, str], tuple[float, str]]


def rows_of(points: Points) -> Rows:
    columns = points.columns()
    keys = zip(columns["metric"], columns["device"], columns["tags_json"], strict=True)
    return dict(zip(keys, zip(columns["value"], columns["unit"], strict=True), strict=True))


def rows_of_post(**sections: Any) -> Rows:
    return rows_of(points_of_post(posts.host_post(gpus=2, **sections)))


def test_every_column_has_a_row_for_each_point() -> None:
    post = posts.host_post(gpus=8, cpu={"cpu_percent": None})
    columns = points_of_post(post).columns()
    assert list(columns) == [
        "event_time", "run_id", "host", "rank", "device", "step", "metric", "value", "unit", "tags_json",
    ]  # fmt: skip
    assert len({len(column) for column in columns.values()}) == 1
    assert set(columns["host"]) == {"gpu01"}
    assert set(columns["event_time"]) == {post["timestamp"]}


def test_posts_that_report_alike_share_a_layout_and_others_do_not() -> None:
    first = points_of_post(posts.host_post("a", cpu={"cpu_percent": 5}))
    assert points_of_post(posts.host_post("b", cpu={"cpu_percent": None})).layout is first.layout
    metrics = posts.host_post()["metrics"]
    changed: list[posts.Post] = [
        {"gpus": 7},
        {"disk": {"/other": {"percent_used": 5}}},
        {"gpu": {"0_X": posts.busy_gpu(0, "someone else")}},
        {"metrics": {"m": {"value": [1]}}},
        {"metrics": {**metrics, "sys.gpu.power_w": {**metrics["sys.gpu.power_w"], "unit": "kW"}}},
    ]
    layouts = [points_of_post(posts.host_post("c", **each)).layout for each in changed]
    assert len({id(layout) for layout in [*layouts, first.layout]}) == 6


@pytest.mark.parametrize("name", ["mole_gpus", "mole_no_driver", "mole_no_gpu"])
def test_the_points_of_a_real_post_are_those_of_its_sections(name: str) -> None:
    post = json.loads((posts.ROOT / "tests" / "contract" / f"{name}.json").read_text("utf-8"))
    rows = rows_of(points_of_post(post))
    for metric, columns in post["metrics"].items():
        devices = columns.get("device", [NO_DEVICE] * len(columns["value"]))
        tags = columns.get("tags", [{}] * len(columns["value"]))
        for value, device, row_tags in zip(columns["value"], devices, tags, strict=True):
            assert rows[metric, device, tags_json(row_tags)] == (value, columns.get("unit", ""))
    for gpu in gpus_of(post):
        assert rows.get(("sys.gpu.util_percent", gpu.index, ""), (None, "%")) == (gpu.util_percent, "%")
        for user, mib in gpu.user_mib().items():
            expected = None if mib is None else (mib * MIB, "B")
            assert rows.get(("sys.gpu.user_mem_bytes", gpu.index, tags_json({"user": user}))) == expected


def test_the_fullest_disk_is_a_point_of_its_own() -> None:
    assert rows_of_post()["sys.disk.fullest_percent", NO_DEVICE, ""] == (93, "%")
    unknown = rows_of_post(disk={"/": {"percent_used": None}})
    assert ("sys.disk.fullest_percent", NO_DEVICE, "") not in unknown


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


def test_what_the_fleets_history_adds_up_is_counted_here_and_never_sent() -> None:
    sent = {metric: {"value": [1e308]} for metric in (*COUNTS, "sys.gpu.count.mine")}
    rows = rows_of_post(metrics=sent)
    assert rows["sys.gpu.count", NO_DEVICE, ""] == (2, "")
    assert rows["sys.gpu.mean_util_percent", NO_DEVICE, ""] == (10, "%")
    assert rows["sys.gpu.count.mine", NO_DEVICE, ""] == (1e308, "")
    without_gpus = points_of_post(posts.host_post(gpus=0, metrics=sent))
    assert not set(COUNTS) & {metric for metric, _, _ in rows_of(without_gpus)}


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
