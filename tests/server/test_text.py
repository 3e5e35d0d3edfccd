"""The table for a terminal."""

from __future__ import annotations

import re
import sys
from typing import Any
from unicodedata import bidirectional, category

import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config, HostNames
from cluster_dash_server.views.legacy import BOLD, GREEN, RED, RESET, YELLOW
from cluster_dash_server.views.wording import width


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
    disk = {"/": {"mount_point": "/a/very/long/name/of/a/mount/point/" * 3, "percent_used": 100}}
    for name in ("gpu1", "a" * 200, "häßlich", "\u4e2d\u6587" * 40, "\U0001f600" * 30, "x\u0301" * 60):
        client.post("/", json=posts.host_post(name, gpus=16, disk=disk))
    totals, blank, header, *rows = lines_of(client)[:9]
    assert (totals, blank) == ("6 of 6 hosts up, 48 of 96 GPUs free", "")
    assert header.split() == ["HOST", "STATE", "AGE", "GPUS", "UTIL", "GPUMEM", "CPU", "MEM", "DISK"]
    assert {width(line[: line.index(" up ")]) for line in rows} == {width(header[: header.index(" STATE")])}
    assert {width(line[: line.index("38% 19%")]) for line in rows} == {width(rows[0][: rows[0].index("38% 19%")])}
    assert max(map(width, (header, *rows))) <= 80


def test_each_gpu_is_a_sign(client: FlaskClient) -> None:
    gpus = {"0": posts.gpu(0), "1": posts.busy_gpu(1, "bob"), "2": posts.gpu(2, state="lost")}
    gpus["3"] = posts.gpu(3, gpu_util=None)
    client.post("/", json=posts.host_post("gpu1", gpu=gpus))
    client.post("/", json=posts.host_post("gpu2", gpus=20))
    lines = lines_of(client)
    assert lines[0] == "2 of 2 hosts up, 11 of 24 GPUs free, 1 lost, hung or error"
    assert lines[3].split()[:4] == ["gpu1", "fault", "0s", ".#!?"]
    assert lines[4].split()[:5] == ["gpu2", "up", "0s", "10/20", "free"]


@pytest.mark.parametrize(
    ("query", "is_coloured"), [("", False), ("?color", True), ("?color=1", True), ("?color=0", False)]
)
def test_it_is_coloured_where_that_is_asked_for(client: FlaskClient, query: str, is_coloured: bool) -> None:
    client.post("/", json=posts.host_post("gpu1"))
    text = client.get("/" + query).text
    assert ("\033[32m#" in text) is is_coloured
    assert ("\033" in text) is is_coloured
    assert re.sub(r"\033\[\d+m", "", text) == client.get("/").text


def test_a_host_that_is_expected_and_silent_is_told() -> None:
    names = HostNames(expected=("gpu[01-03]",))
    client = create_app(Config(hosts=names), start=False).test_client()
    client.post("/", json=posts.host_post("gpu02"))
    lines = lines_of(client)
    assert lines[0] == "1 of 3 hosts up, 4 of 8 GPUs free"
    assert lines[3].split() == ["gpu01", "silent", *["–"] * 7]
    assert "gpu03: expected, has not reported yet" in lines


def test_who_holds_a_gpu_without_work_is_told_the_longest_first() -> None:
    seconds = [0.0]
    client = create_app(
        Config(), start=False, monotonic=lambda: seconds[0], wall=wall_beside(lambda: seconds[0])
    ).test_client()
    busy, held = posts.busy_gpu(0, "bob"), posts.busy_gpu(0, "bob", util=0)
    for at in range(0, 1300, 10):
        seconds[0] = at
        second = posts.busy_gpu(1, "zoe", util=0 if at >= 300 else 50)
        client.post("/", json=posts.host_post("gpu1", gpu={"0": held if at >= 100 else busy, "1": second}))
    lines = lines_of(client)
    assert lines[0] == "1 of 1 hosts up, 0 of 2 GPUs free, 2 held idle"
    assert lines[3].split()[3] == "hh"
    table = lines[[line.split()[:3] for line in lines].index(["HELD", "IDLE", "BY"]) + 1 :]
    assert [line.split() for line in table[:2]] == [
        ["bob", "gpu1", "0", "40", "GiB", "20m"],
        ["zoe", "gpu1", "1", "40", "GiB", "16m"],
    ]


def test_a_thousand_hosts_are_a_table_too(client: FlaskClient) -> None:
    for number in range(1000):
        client.post("/", json=posts.host_post(f"gpu{number}", gpus=1))
    lines = lines_of(client)
    assert lines[0] == "1000 of 1000 hosts up, 0 of 1000 GPUs free"
    assert [line.split()[0] for line in lines[3:7]] == ["gpu0", "gpu1", "gpu2", "gpu3"]
    assert lines[-4:-2] != []
    assert "and 940 more" in lines


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
    table = lines[[line.split() for line in lines].index(["USER", "GPUS", "IDLE", "UTIL", "MEMORY", "HOSTS"]) + 1 :]
    assert [line.split() for line in table[:2]] == [
        ["zoe", "1", "0", "80%", "68.4", "GiB", "1"],
        ["bob", "1", "0", "80%", "10", "GiB", "1"],
    ]


def test_memory_of_a_user_that_nobody_tells_is_missing_and_not_0(client: FlaskClient) -> None:
    users = {"zoe": {"7": {"mem": None, "name": "python"}}}
    client.post("/", json=posts.host_post("gpu1", gpu={"0": posts.gpu(0, util=50, used_mib=9000, users=users)}))
    (line,) = [line for line in lines_of(client) if line.startswith("zoe")]
    assert line.split() == ["zoe", "1", "0", "50%", "–", "1"]


def test_a_silent_host_gives_no_figures_of_now() -> None:
    seconds = [0.0]
    client = create_app(
        Config(), start=False, monotonic=lambda: seconds[0], wall=wall_beside(lambda: seconds[0])
    ).test_client()
    client.post("/", json=posts.host_post("gpu1"))
    seconds[0] = 700
    lines = lines_of(client)
    assert lines[0] == "0 of 1 hosts up, 0 of 8 GPUs free"
    assert lines[3].split() == ["gpu1", "offline", "11m", "xxxxxxxx", "–", "–", "–", "–", "93%", "/data"]
    assert "gpu1: offline: no post for 11 min" in lines
    assert not any(line.startswith("USER") for line in lines)


def test_a_post_from_long_ago_is_told_by_its_date(client: FlaskClient) -> None:
    client.post("/", json=posts.example())
    assert "molgpu02: its post is dated 2023-04-20" in lines_of(client)
