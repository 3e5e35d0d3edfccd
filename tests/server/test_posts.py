"""`POST /`: what is taken, what is refused and how the refusal is worded."""

from __future__ import annotations

import json
import time
from typing import Any

import posts
import pytest
from flask import Flask
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config, Limits, Live

STORED = b'{"msg":"stored result","success":true}\n'


def send(client: FlaskClient, body: bytes | str, content_type: str = "application/json") -> Any:
    return client.post("/", data=body, content_type=content_type)


def test_a_valid_post_is_stored_and_answered_as_the_original_does(client: FlaskClient) -> None:
    answer = client.post("/", json=posts.example())
    assert (answer.status_code, answer.data, answer.mimetype) == (200, STORED, "application/json")


def test_a_mole_is_told_the_servers_time(client: FlaskClient) -> None:
    answer: Any = client.post("/", json=posts.host_post()).json
    assert abs(answer.pop("server_time") - time.time()) < 60
    assert answer == {"success": True, "msg": "stored result"}


def test_a_host_that_posts_again_is_one_host_with_its_latest_post(client: FlaskClient) -> None:
    for cpu_percent in (10, 20):
        client.post("/", json=posts.host_post("gpu01", cpu={"cpu_percent": cpu_percent}))
    servers: Any = client.get("/api/dashboard-data").json
    assert list(servers["servers"]) == ["gpu01"]
    assert servers["servers"]["gpu01"]["cpu"]["cpu_percent"] == 20


VALID = json.dumps(posts.example())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "the post is empty"),
        ("{", "isn't valid JSON"),
        ("not json", "isn't valid JSON"),
        (VALID + "x", "isn't valid JSON"),
        (VALID.encode("utf-16"), "isn't valid JSON"),
        (b"\xff" + VALID.encode(), "isn't valid JSON"),
        (VALID.replace("44.0", "NaN"), "isn't valid JSON"),
        (VALID.replace("44.0", "Infinity"), "isn't valid JSON"),
        (VALID.replace("44.0", "1e999"), "isn't valid JSON"),
        ('{"a":' * 5_000, "isn't valid JSON"),
        ("[" * 33 + "]" * 33, "nested deeper than 32 levels"),
        (VALID[:-1] + ', "a": ' + '{"a":' * 300 + "1" + "}" * 301, "nested deeper than 32 levels"),
        ("7", "the post must be of type object"),
        ("null", "the post must be of type object"),
        ("[]", "the post must be of type object"),
        ('"x"', "the post must be of type object"),
        (f'{{"auth_code": "{posts.PASSCODE}"}}', "the post lacks hostname, timestamp, gpu, cpu"),
    ],
)
def test_what_is_no_post_is_refused_with_the_reason(client: FlaskClient, body: bytes | str, message: str) -> None:
    answer = send(client, body)
    assert answer.status_code == 400
    assert answer.json["success"] is False
    assert message in answer.json["msg"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused_and_told_the_right_one(client: FlaskClient, content_type: str) -> None:
    answer = send(client, VALID, content_type)
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json["msg"]


def test_a_post_beyond_a_mebibyte_is_refused(client: FlaskClient) -> None:
    filler = "x" * (2**20 - len(VALID) - 20)
    assert send(client, VALID[:-1] + f', "more": "{filler}"}}').status_code == 200
    answer = send(client, VALID[:-1] + f', "more": "{filler}{"x" * 100}"}}')
    assert (answer.status_code, answer.json["success"]) == (413, False)
    assert "1 MiB" in answer.json["msg"]


@pytest.mark.parametrize("body", ["[" + "{}," * 20_000 + "{}]", "[" + "{}," * 200_000 + "{}]"])
def test_a_post_of_too_many_values_is_refused(client: FlaskClient, body: str) -> None:
    answer = send(client, body)
    assert answer.status_code == 413
    assert "more than 20000 values ([limits] values)" in answer.json["msg"]


def test_commas_in_strings_are_no_values(client: FlaskClient) -> None:
    commas = {f"u{at}": {"1": {"mem": 1, "command": "train.py --layers 0" + ",1" * 2_000}} for at in range(30)}
    assert client.post("/", json=posts.host_post(gpu={"0_X": posts.gpu(0, users=commas)})).status_code == 200


def test_the_limits_are_those_of_the_settings() -> None:
    limits = Limits(body_bytes=2**16, values=1_000, depth=8)
    client = create_app(Config(limits=limits), start=False).test_client()
    assert client.post("/", json=posts.host_post()).status_code == 200
    refused: list[tuple[Any, int, str]] = [
        ("x" * 2**16, 413, "larger than 65536 bytes ([limits] body_bytes)"),
        ([0] * 900, 413, "more than 1000 values ([limits] values)"),
        ([[[[[[[[]]]]]]]], 400, "nested deeper than 8 levels ([limits] depth)"),
    ]
    for more, status, words in refused:
        answer = client.post("/", json=posts.host_post(general={"more": more}))
        assert (answer.status_code, answer.json and words in answer.json["msg"]) == (status, True)


def test_who_may_not_post_is_told_so_before_the_post_is_looked_at(client: FlaskClient) -> None:
    assert client.post("/", json={"auth_code": "wrong"}).status_code == 401


def test_a_refusal_of_a_large_post_names_the_fault(client: FlaskClient) -> None:
    gpus: dict[str, Any] = {str(i): {"users": {"u": {str(pid): {} for pid in range(900)}}} for i in range(9)}
    gpus["z"] = {"total_mem": "x"}
    body = json.dumps(posts.host_post(gpu=gpus))
    answer = send(client, body)
    assert answer.status_code == 400
    assert "gpu.z.total_mem must be of type number or null" in answer.json["msg"]


def test_nesting_that_is_taken_breaks_no_answer_of_other_hosts(client: FlaskClient) -> None:
    deep: Any = 1
    for _ in range(27):
        deep = [deep]
    for place in ({"0_X": posts.gpu(0, extra=deep)}, {"0_X": posts.gpu(0, users={"u": {"1": {"x": 1}}})}):
        assert client.post("/", json=posts.host_post(gpu=place)).status_code == 200
    for path in ("/data-out/gpu-data-simple", "/api/dashboard-data"):
        assert client.get(path).status_code == 200


def test_one_host_too_many_is_refused_and_those_that_are_known_go_on() -> None:
    client = create_app(Config(live=Live(max_hosts=2)), start=False).test_client()
    answers = [client.post("/", json=posts.host_post(name)) for name in ("a", "b", "c", "a")]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert "[live] max_hosts" in answers[2].text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_with_those_that_are_allowed(client: FlaskClient, method: str) -> None:
    answer = client.open("/", method=method)
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_unknown_keys_are_allowed_everywhere_dropped_at_the_top_and_kept_below(app: Flask) -> None:
    """An old script that reads a GPU's entry finds in it whatever its mole has put there."""
    client = app.test_client()
    post = posts.host_post("gpu01", new={"a": "dropped-canary"})
    for entry in post["gpu"].values():
        entry["new"] = [1]
    post["cpu"]["new"] = "x"
    assert client.post("/", json=post).status_code == 200
    kept: Any = client.get("/data-out/gpu-data-simple").json
    assert all(entry["new"] == [1] for entry in kept["gpu01"].values())
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()):
            assert "dropped-canary" not in client.get(rule.rule.replace("<path:name>", "gpu01")).text


NUMBERS = [
    (("cpu", "cpu_percent"), 1e6, True),
    (("cpu", "cpu_percent"), 1e6 + 1, False),
    (("cpu", "num_cpus"), 0, True),
    (("disk", "/", "percent_used"), 100.0001, True),
    (("disk", "/", "percent_used"), 2e6, False),
    (("memory", "used_gb"), 1e6, True),
    (("gpu", "0", "gpu_util"), 100.0001, True),
    (("gpu", "0", "gpu_util"), 4294967295, True),
    (("gpu", "0", "memory_util"), 1e15, True),
    (("gpu", "0", "gpu_util"), 1e16, False),
    (("gpu", "0", "used_mem"), 1e6, True),
    (("timestamp",), 0, True),
    (("timestamp",), 1e-300, True),
    (("timestamp",), 253402300799, True),
    (("timestamp",), 1.7e12, False),
    (("timestamp",), 9e18, False),
]


@pytest.mark.parametrize(("path", "number", "is_taken"), NUMBERS)
def test_a_number_is_taken_or_refused_by_the_rule_of_its_field(
    client: FlaskClient, path: tuple[str, ...], number: float, is_taken: bool
) -> None:
    post = posts.host_post("gpu01", gpu={"0": posts.gpu(0)})
    place: Any = post
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = number
    assert client.post("/", json=post).status_code == (200 if is_taken else 400)
    for page in ("/", "/host/gpu01", "/gpu-data") if is_taken else ():
        assert client.get(page, headers={"Accept": "text/html"}).status_code == 200


def test_a_share_beyond_its_whole_is_shown_as_the_rule_of_its_field_says(client: FlaskClient) -> None:
    """See the descriptions in machine-post-schema.json."""
    gpus = {"0": posts.gpu(0, used_mib=90_000), "1": posts.gpu(1, util=100.0001)}
    client.post("/", json=posts.host_post("gpu01", gpu=gpus, cpu={"cpu_percent": 150}))
    answer: Any = client.get("/api/dashboard-data").json
    server = answer["servers"]["gpu01"]
    assert server["cpu"]["cpu_percent"] == 150
    assert [gpu["memory_percent"] for gpu in server["gpus"]] == [None, 0]
    assert [gpu["gpu_util"] for gpu in server["gpus"]] == [0, None]


def test_a_failure_of_the_server_shows_nothing_of_its_inside(app: Flask) -> None:
    @app.get("/fails")
    def fails() -> str:
        raise RuntimeError("secret-canary")

    answer = app.test_client().get("/fails")
    assert answer.status_code == 500
    assert "secret-canary" not in answer.text
