"""Figures are plain dicts that plotly's own validators accept."""

from __future__ import annotations

import json
from typing import Any

import posts
import pytest
from flask.testing import FlaskClient

from cluster_dash_server.query import FleetBucket
from cluster_dash_server.views.figures import embed, fleet_history, label

PAGES = ["/cpu-data", "/memory", "/root_drive", "/load-data-1", "/history", "/host/gpu0", "/host/gpu0?hours=24"]


def figures_of(client: FlaskClient, path: str) -> list[dict[str, Any]]:
    answer = client.get(path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    return json.loads(answer.data)


def filled(client: FlaskClient, hosts: int = 3, rounds: int = 3) -> FlaskClient:
    for _ in range(rounds):
        for index in range(hosts):
            assert client.post("/", json=posts.host_post(f"gpu{index}", gpus=2)).status_code == 200
    return client


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:plotly")
def test_plotly_accepts_each_figure(client: FlaskClient, path: str) -> None:
    from plotly.graph_objects import Figure  # pyright: ignore  half a second that no other test needs

    figures = figures_of(filled(client), path)
    assert figures
    for figure in figures:
        Figure(figure)  # pyright: ignore  raises ValueError on any property that Plotly doesn't know
        assert figure["layout"]["meta"]["title"]
        for trace in figure["data"]:
            assert len(trace["x"]) == len(trace["y"])


def test_a_host_page_has_a_chart_for_each_kind_that_it_reported(client: FlaskClient) -> None:
    titles = [figure["layout"]["meta"]["title"] for figure in figures_of(filled(client), "/host/gpu0")]
    assert titles == [
        "GPU utilisation",
        "GPU memory used",
        "GPU power",
        "CPU",
        "Memory used",
        "Load, 1 minute",
        "Disks",
    ]


def test_the_last_day_of_a_host_is_its_headline_by_the_minute(client: FlaskClient) -> None:
    figures = {
        figure["layout"]["meta"]["title"]: figure for figure in figures_of(filled(client), "/host/gpu0?hours=24")
    }
    assert list(figures) == ["GPU utilisation", "GPU memory used", "CPU", "Memory used", "Fullest disk"]
    assert [trace["name"] for trace in figures["GPU utilisation"]["data"]] == ["GPU 0", "GPU 1"]
    assert figures["Fullest disk"]["data"][0]["y"][-1] == 93
    assert figures["CPU"]["data"][0]["y"][-1] == 37.5


def test_where_no_host_posted_the_fleets_line_breaks() -> None:
    bucket = {"a": {"total_gpus": 4.0, "free_gpus": 1.0}}
    buckets = [FleetBucket(start, bucket) for start in (300, 600, 1800, 2100)]
    gpus, use = fleet_history(buckets, 24, 2200)
    assert [trace["y"] for trace in gpus["data"]] == [[4, 4, None, 4, 4], [1, 1, None, 1, 1]]
    assert use["data"][0]["y"] == [None] * 5


def test_what_is_missing_of_the_fleet_is_shaded_and_wide_gaps_say_so() -> None:
    bucket = {"a": {"total_gpus": 4.0, "free_gpus": 1.0}}
    now_s = 86_400.0
    starts = (0.6 * 86_400, 0.6 * 86_400 + 300, 0.9 * 86_400, *range(int(0.9 * 86_400) + 300, 86_400 - 300, 300))
    gpus, _ = fleet_history([FleetBucket(start, bucket) for start in starts], 24, now_s)
    shaded = [(shape["x0"] / 1000, shape["x1"] / 1000) for shape in gpus["layout"]["shapes"]]
    assert shaded == [(0, 0.6 * 86_400), (0.6 * 86_400 + 600, 0.9 * 86_400)]
    assert [(words["x"] / 1000, words["text"]) for words in gpus["layout"]["annotations"]] == [
        (0.3 * 86_400, "no data"),
        (0.75 * 86_400 + 300, "no data"),
    ]


def test_a_fleet_without_gpus_says_so_in_place_of_empty_charts(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("cpu0", gpus=0))
    assert "No host has reported a GPU in this range of time" in client.get("/history").text
    assert figures_of(client, "/history") == []
    client.post("/", json=posts.host_post("gpu0", gpus=1))
    assert "No host has reported a GPU" not in client.get("/history").text


def test_lines_are_named_by_their_device_and_tags(client: FlaskClient) -> None:
    metrics = {
        "sys.net.recv_bytes_per_s": {"unit": "B/s", "tags": [{"iface": "eth0"}, {"iface": "<b>"}], "value": [2**20, 1]},
        "sys.pressure.some_percent": {"unit": "%", "tags": [{"resource": "io"}], "value": [12]},
        "sys.disk.percent": {"value": [5], "tags": [{"other": "x"}]},
    }
    client.post("/", json=posts.host_post("gpu0", gpus=1, metrics=metrics))
    names = {f["layout"]["meta"]["title"]: [t["name"] for t in f["data"]] for f in figures_of(client, "/host/gpu0")}
    assert names["Network"] == ["in &lt;b&gt;", "in eth0"]
    assert names["Work that waited"] == ["for disks or network"]
    assert names["GPU utilisation"] == ["GPU 0"]
    assert set(names["Disks"]) == {"/", "/data", "x"}


def test_bars_and_lines_carry_the_posted_values(client: FlaskClient) -> None:
    bars, lines = figures_of(filled(client), "/cpu-data")
    assert bars["data"][0]["x"] == [37.5] * 3
    assert bars["layout"]["yaxis"]["ticktext"] == ["gpu0", "gpu1", "gpu2"]
    assert [trace["y"] for trace in lines["data"]] == [[37.5] * 3] * 3


def test_memory_is_in_gib(client: FlaskClient) -> None:
    bars, lines = figures_of(filled(client), "/memory")
    assert bars["data"][0]["x"][0] == 96.4
    assert lines["data"][0]["y"][0] == pytest.approx(96.4)


def test_a_missing_value_is_a_gap_and_not_zero(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("gpu0", cpu={"cpu_percent": 10}))
    client.post("/", json=posts.host_post("gpu0", cpu={}, memory={}, disk={}))
    bars, lines = figures_of(client, "/cpu-data")
    assert bars["data"][0]["x"] == [None]
    assert lines["data"][0]["y"] == [10, None]
    assert figures_of(client, "/memory")[0]["data"][0]["x"] == [None]
    assert figures_of(client, "/root_drive")[0]["data"][0]["x"] == [None]


def test_a_value_that_cannot_be_is_a_gap_and_flattens_no_chart(client: FlaskClient) -> None:
    gpu = {"0": posts.gpu(0, used_mib=1e15)}
    for celsius in (61.0, 1e9):
        metrics = {"sys.gpu.temperature_c": {"unit": "°C", "device": [0], "value": [celsius]}}
        client.post("/", json=posts.host_post("gpu0", gpu=gpu, metrics=metrics))
    shown = {figure["layout"]["meta"]["title"]: figure["data"][0]["y"] for figure in figures_of(client, "/host/gpu0")}
    assert shown["GPU temperature"] == [61, None]
    assert "GPU memory used" not in shown


def test_of_many_hosts_the_highest_are_drawn_and_the_title_says_so(client: FlaskClient) -> None:
    for index in range(50):
        client.post("/", json=posts.host_post(f"gpu{index}", gpus=0, cpu={"cpu_percent": index}))
    bars, lines = figures_of(client, "/cpu-data")
    assert len(bars["data"][0]["x"]) == 50
    assert lines["layout"]["meta"]["title"] == "CPU, recent: the 40 highest of 50"
    assert [trace["name"] for trace in lines["data"]][:2] == ["gpu49", "gpu48"]
    assert lines["layout"]["showlegend"] is False


def test_hosts_with_the_same_beginning_keep_their_own_bar(client: FlaskClient) -> None:
    for end in "ab":
        client.post("/", json=posts.host_post("x" * 60 + end))
    bars = figures_of(client, "/cpu-data")[0]
    assert bars["data"][0]["y"] == [0, 1]


def test_names_reach_plotly_as_text_and_not_as_markup(client: FlaskClient) -> None:
    assert label("<b>&amp;") == "&lt;b&gt;&amp;amp;"
    client.post("/", json=posts.host_post("<a href='x'>h</a>"))
    for path in ("/cpu-data", "/memory", "/root_drive", "/load-data-1"):
        for figure in figures_of(client, path):
            text = json.dumps([[t.get("name"), t.get("customdata")] for t in figure["data"]]) + str(
                figure["layout"]["yaxis"]
            )
            assert "<a" not in text


def test_embedded_figures_cannot_end_their_script_early() -> None:
    assert "<" not in embed([{"data": [], "layout": {"x": "</script><script>alert(1)</script>"}}])
