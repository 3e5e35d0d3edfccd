"""The table for a terminal."""

from __future__ import annotations

from typing import Any

import posts
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config


def lines_of(client: FlaskClient) -> list[str]:
    answer = client.get("/")
    assert answer.mimetype == "text/plain"
    return answer.text.splitlines()


def test_without_hosts_it_tells_how_to_begin(client: FlaskClient) -> None:
    text = "\n".join(lines_of(client))
    assert "No host has reported yet" in text
    assert "python smart_startup.py" in text
    assert "curl -d @etc/example_data1.json" in text


def test_columns_are_aligned_and_fit_80_characters(client: FlaskClient) -> None:
    for name in ("gpu1", "a" * 200, "häßlich"):
        client.post("/", json=posts.host_post(name))
    totals, blank, header, *rows = lines_of(client)[:6]
    assert (totals, blank) == ("3 of 3 hosts up, 12 of 24 GPUs free", "")
    assert header.split() == ["HOST", "STATE", "AGE", "FREE", "UTIL", "GPUMEM", "CPU", "MEM", "FULLEST", "DISK"]
    assert {line.index(" %  19 %") for line in rows} == {rows[0].index(" %  19 %")}
    assert max(map(len, (header, *rows))) <= 80


def test_a_missing_value_is_a_dash(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("bare", gpu={}, cpu={}, memory={}, disk={}))
    assert lines_of(client)[3].split()[-6:] == ["–"] * 6


def test_what_is_wrong_stands_below_with_its_host(client: FlaskClient) -> None:
    lost: dict[str, Any] = {"3_X": {"index": 3, "name": "X", "state": "lost", "error": "GPU is lost"}}
    post = posts.host_post("gpu1", gpu=lost, mole={"errors": {"disk": "boom"}})
    client.post("/", json=post | {"timestamp": post["timestamp"] + 3600})
    text = "\n".join(lines_of(client))
    assert "gpu1: GPU 3 lost: GPU is lost" in text
    assert "gpu1: its clock is 1 h ahead" in text
    assert "gpu1: mole: disk: boom" in text


def test_names_cannot_steer_the_terminal(client: FlaskClient) -> None:
    gpu = {"0_X": {"index": 0, "state": "lost", "error": "\x1b[2Jgone\r\nroot"}}
    client.post("/", json=posts.host_post("gpu1", gpu=gpu))
    text = client.get("/").text
    assert "\x1b" not in text
    assert "\r" not in text


def test_who_holds_what_stands_below_the_most_first(client: FlaskClient) -> None:
    big = posts.busy_gpu(0, "zoe", used_mib=70_000)
    client.post("/", json=posts.host_post("gpu1", gpu={"0": big, "1": posts.busy_gpu(1, "bob", used_mib=10_240)}))
    lines = lines_of(client)
    table = lines[[line.split() for line in lines].index(["USER", "GPUS", "MEMORY"]) + 1 :]
    assert [line.split() for line in table[:2]] == [["zoe", "1", "68.4", "GiB"], ["bob", "1", "10.0", "GiB"]]


def test_a_silent_host_gives_no_figures_of_now() -> None:
    seconds = [0.0]
    client = create_app(Config(), start=False, monotonic=lambda: seconds[0]).test_client()
    client.post("/", json=posts.host_post("gpu1"))
    seconds[0] = 700
    lines = lines_of(client)
    assert lines[0] == "0 of 1 hosts up, 0 of 8 GPUs free"
    assert lines[3].split() == ["gpu1", "offline", "11", "min", "–/8", "–", "–", "–", "–", "93", "%", "/data"]
    assert "gpu1: offline: no post for 11 min" in lines
    assert not any(line.startswith("USER") for line in lines)


def test_a_post_from_long_ago_is_told_by_its_date(client: FlaskClient) -> None:
    client.post("/", json=posts.example())
    assert "molgpu02: its post is dated 2023-04-20" in lines_of(client)
