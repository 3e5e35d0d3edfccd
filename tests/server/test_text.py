"""The table for a terminal."""

from __future__ import annotations

from typing import Any

import posts
from flask.testing import FlaskClient


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
    header, *rows = lines_of(client)[:4]
    assert header.split() == ["HOST", "STATE", "AGE", "FREE", "UTIL", "GPUMEM", "CPU", "MEM", "DISK"]
    assert {len(line) for line in (header, *rows)} == {len(header)}
    assert len(header) <= 80


def test_a_missing_value_is_a_dash(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("bare", gpu={}, cpu={}, memory={}, disk={}))
    assert lines_of(client)[1].split()[-6:] == ["–"] * 6


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
