"""The table for a terminal."""

from __future__ import annotations

import sys
from typing import Any
from unicodedata import bidirectional, category

import posts
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config
from cluster_dash_server.views.legacy import BOLD, GREEN, RED, RESET, YELLOW


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


def steers(sign: str) -> bool:
    """Whether it moves a terminal's cursor, ends a line or turns the direction of the text around it."""
    turning = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    marks = "\u061c\u200e\u200f"
    return category(sign) in ("Cc", "Zl", "Zp") or bidirectional(sign) in turning or sign in marks


STEERING = "".join(filter(steers, map(chr, range(sys.maxunicode + 1))))


def post_of_steering_texts() -> dict[str, Any]:
    """In every field that takes any text."""
    evil = f"a{STEERING}b"
    name = f"{evil[:250]}"
    process = {"mem": 5e4, "name": evil, "command": evil, "container": name}
    gpu = posts.gpu(0, users={name: {evil[:32]: process}}) | {"name": name, "uuid": name, "pci_bus_id": evil}
    gpu["mig"] = [{"name": name, "uuid": name}]
    lost = posts.gpu(1, state="lost", error=evil, name=name)
    post = posts.host_post("gpu1", gpu={name: gpu, "x" + name[:200]: lost})
    post["disk"] = {evil: {"mount_point": evil, "device": evil, "percent_used": 99, "total_gb": 5, "used_gb": 4}}
    post["general"] = dict.fromkeys(("hostname", "os", "kernel", "cpu_model", "system_time", "boottime"), evil)
    post["mole"] |= {"version": evil[:60], "id": evil[:60], "errors": {name: evil}}
    post["metrics"][name] = {"unit": evil[:30], "help": evil, "value": [1], "tags": [{name: evil}]}
    post["events"] = [{"time": 1.7e9, "kind": evil[:60], "text": evil, "data": {evil: evil}}]
    return post


def test_no_text_of_a_post_can_steer_the_terminal(client: FlaskClient) -> None:
    assert len(STEERING) > 70
    assert client.post("/", json=post_of_steering_texts()).status_code == 200
    assert not set(client.get("/").text) & set(STEERING) - {"\n"}
    summary = client.get("/api/gpu-summary").text
    for colour in (BOLD, GREEN, YELLOW, RED, RESET):
        summary = summary.replace(colour, "")
    assert not set(summary) & set(STEERING) - {"\n", "\t"}


def test_no_text_of_a_post_can_turn_the_text_of_a_page(client: FlaskClient) -> None:
    client.post("/", json=post_of_steering_texts())
    for path in ("/", "/host/gpu1", "/gpu-data", "/root_drive"):
        page = client.get(path, headers={"Accept": "text/html"}).text
        assert not set(page) & set(STEERING) - {"\n"}, path


def test_who_holds_what_stands_below_the_most_first(client: FlaskClient) -> None:
    big = posts.busy_gpu(0, "zoe", used_mib=70_000)
    client.post("/", json=posts.host_post("gpu1", gpu={"0": big, "1": posts.busy_gpu(1, "bob", used_mib=10_240)}))
    lines = lines_of(client)
    table = lines[[line.split() for line in lines].index(["USER", "GPUS", "MEMORY"]) + 1 :]
    assert [line.split() for line in table[:2]] == [["zoe", "1", "68.4", "GiB"], ["bob", "1", "10.0", "GiB"]]


def test_a_silent_host_gives_no_figures_of_now() -> None:
    seconds = [0.0]
    client = create_app(
        Config(), start=False, monotonic=lambda: seconds[0], wall=wall_beside(lambda: seconds[0])
    ).test_client()
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
