"""`POST /batch`: the good posts are kept, each bad one is told in its own place, a wrong envelope refuses the whole."""

from __future__ import annotations

import gzip
import json
from typing import Any

import hostile
import posts
import pytest
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config, Limits, Live

STORED = {"success": True, "msg": "stored result"}
SECRET = "secret-canary"


def without_code(hostname: str, **sections: Any) -> dict[str, Any]:
    post = posts.host_post(hostname, **sections)
    del post["auth_code"]
    return post


def batch_of(*each: Any, auth_code: str = posts.PASSCODE) -> dict[str, Any]:
    return {"auth_code": auth_code, "posts": list(each)}


def send(client: FlaskClient, batch: dict[str, Any] | str, packed: bool = True) -> Any:
    text = (batch if isinstance(batch, str) else json.dumps(batch)).encode()
    if not packed:
        return client.post("/batch", data=text, content_type="application/json")
    headers = {"Content-Encoding": "gzip"}
    return client.post("/batch", data=gzip.compress(text), content_type="application/json", headers=headers)


def hosts_of(client: FlaskClient) -> list[str]:
    return list(client.get("/data-out/gpu-data-simple").json or {})


@pytest.mark.parametrize("packed", [True, False])
def test_all_posts_of_a_batch_are_kept_whichever_host_they_are_of(client: FlaskClient, packed: bool) -> None:
    answer = send(client, batch_of(*(without_code(name) for name in ("a", "b", "a", "c"))), packed)
    assert (answer.status_code, answer.json) == (200, {"success": True, "results": [STORED] * 4})
    assert answer.headers["Accept-Encoding"] == "gzip"
    assert hosts_of(client) == ["a", "b", "c"]


def test_the_last_post_of_a_host_is_its_latest(client: FlaskClient) -> None:
    send(client, batch_of(*(without_code("a", cpu={"cpu_percent": percent}) for percent in (10, 20, 30))))
    assert (client.get("/api/dashboard-data").json or {})["servers"]["a"]["cpu"]["cpu_percent"] == 30


def test_each_bad_post_is_told_in_its_place_and_the_good_ones_are_kept(client: FlaskClient) -> None:
    each: list[Any] = [without_code(f"gpu{at:03}") for at in range(100)]
    each[7]["cpu"] = "wrong-canary"
    each[50] = 5
    answer = send(client, batch_of(*each))
    assert answer.status_code == 200
    results = answer.json["results"]
    assert [at for at, result in enumerate(results) if result != STORED] == [7, 50]
    assert results[7] == {"success": False, "msg": "schema violation: cpu must be of type object"}
    assert results[50] == {"success": False, "msg": "schema violation: the post must be of type object"}
    assert len(hosts_of(client)) == 98
    assert "wrong-canary" not in answer.text


def test_what_is_wrong_with_the_form_of_a_post_is_told_in_its_place_too(client: FlaskClient) -> None:
    each = [without_code(name) for name in "abcd"]
    each[0]["general"] = {"x": json.loads("[" * 40 + "]" * 40)}
    each[1]["general"] = {"x": [0] * 20_001}
    text = json.dumps(batch_of(*each)).replace('"hostname": "c"', '"hostname": "b", "hostname": "c"', 1)
    results = send(client, text).json["results"]
    assert [result["msg"] for result in results] == [
        "the post is nested deeper than 32 levels ([limits] depth)",
        "the post has more than 20000 values ([limits] values)",
        "hostname stands twice: a key may stand once in an object",
        "stored result",
    ]
    assert hosts_of(client) == ["d"]


def test_a_key_that_stands_twice_is_told_in_its_place(client: FlaskClient) -> None:
    text = json.dumps(batch_of(without_code("a"), without_code("b")))
    text = text.replace('"hostname": "b"', '"hostname": "x", "hostname": "b"', 1)
    results = send(client, text).json["results"]
    assert results == [STORED, {"success": False, "msg": "hostname stands twice: a key may stand once in an object"}]
    assert hosts_of(client) == ["a"]


def test_strings_that_look_like_repeated_keys_are_no_fault(client: FlaskClient) -> None:
    each = [without_code(name, general={"x": f'":{name} :'}) for name in "ab"]
    assert send(client, batch_of(*each)).json["results"] == [STORED] * 2


def test_an_empty_batch_is_taken(client: FlaskClient) -> None:
    assert send(client, batch_of()).json == {"success": True, "results": []}


def test_a_post_in_a_batch_needs_no_auth_code_and_none_that_it_has_counts(client: FlaskClient) -> None:
    answer = send(client, batch_of(posts.host_post("a", auth_code="other-canary"), posts.host_post("b", auth_code=5)))
    assert answer.json["results"] == [STORED] * 2
    assert "other-canary" not in client.get("/data-out/gpu-data-simple").text


def test_a_host_too_many_is_told_in_its_place() -> None:
    client = create_app(Config(live=Live(max_hosts=1)), start=False).test_client()
    results = send(client, batch_of(*(without_code(name) for name in "aba"))).json["results"]
    assert [result["success"] for result in results] == [True, False, True]
    assert "[live] max_hosts" in results[1]["msg"]


@pytest.mark.parametrize("where", ["before", "behind"])
def test_who_may_not_post_stores_nothing(guarded_client: FlaskClient, where: str) -> None:
    batch = batch_of(without_code("a"), auth_code="wrong")
    ordered = batch if where == "before" else dict(reversed(batch.items()))
    answer = send(guarded_client, ordered)
    assert (answer.status_code, answer.json["success"]) == (401, False)
    assert hosts_of(guarded_client) == []
    assert send(guarded_client, batch | {"auth_code": SECRET}).status_code == 200
    assert SECRET not in guarded_client.get("/data-out/gpu-data-simple").text


def test_without_a_passcode_of_its_own_batches_come_from_this_machine_only(client: FlaskClient) -> None:
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.post("/batch", json=batch_of(without_code("a")), environ_base=elsewhere).status_code == 401


def test_a_large_batch_begins_with_its_auth_code(client: FlaskClient) -> None:
    """Else its sender would be known only once all of it is unpacked and read."""
    filler = {"x": "x" * 2**20}
    assert send(client, {"auth_code": posts.PASSCODE} | filler | batch_of(without_code("a"))).status_code == 200
    answer = send(client, filler | batch_of(without_code("b")))
    assert (answer.status_code, answer.json["msg"]) == (400, "a batch that large must begin with its auth_code")
    assert hosts_of(client) == ["a"]


def test_a_large_batch_ends_with_its_posts(client: FlaskClient) -> None:
    """Else they would have to be looked for."""
    answer = send(client, batch_of(without_code("a")) | {"x": "x" * 2**20})
    assert (answer.status_code, answer.json["msg"]) == (400, "a batch that large must end with its posts")
    assert send(client, batch_of(without_code("a")) | {"x": "x" * 2**10}).json["results"] == [STORED]


@pytest.mark.parametrize("before", [[], [without_code("a")], '[{"hostname":"a"}]'])
def test_what_stands_beside_the_posts_and_looks_like_them_is_dropped(client: FlaskClient, before: Any) -> None:
    batch = {"auth_code": posts.PASSCODE, "x": before, "posts": [without_code("a")], "y": before}
    assert send(client, batch).json["results"] == [STORED]
    assert hosts_of(client) == ["a"]


def test_a_passcode_of_any_characters_begins_a_large_batch() -> None:
    passcode = 'pass "word" \\ é\u2028'
    client = create_app(Config(access=Access(passcode=passcode)), start=False).test_client()
    for ascii_only in (True, False):
        batch: dict[str, Any] = {"auth_code": passcode, "x": "x" * 2**20, "posts": []}
        text = json.dumps(batch, ensure_ascii=ascii_only)
        assert send(client, text).status_code == 200


def test_a_batch_may_unpack_to_16_mib(client: FlaskClient) -> None:
    text = json.dumps(batch_of(without_code("a")))
    whole = text + " " * (16 * 2**20 - len(text))
    assert send(client, whole).status_code == 200
    answer = send(client, whole + " ")
    assert answer.status_code == 413
    assert answer.json["msg"] == "the batch is larger than 16 MiB when unpacked ([limits] batch_bytes)"


def test_the_limits_are_those_of_the_settings() -> None:
    limits = Limits(batch_bytes=2**17, batch_posts=2, batch_values=1_000)
    client = create_app(Config(limits=limits), start=False).test_client()
    small = without_code("a", gpu={}, metrics={})
    assert send(client, batch_of(small, small)).status_code == 200
    for batch, setting in (
        (batch_of(small, small, small), "batch_posts"),
        (batch_of({"x": "x" * 2**17}), "batch_bytes"),
        (batch_of({"x": [0] * 1_000}), "batch_values"),
    ):
        answer = send(client, batch)
        assert answer.status_code == 413
        assert f"([limits] {setting})" in answer.json["msg"]


def test_another_method_is_refused_with_the_one_that_is_allowed(client: FlaskClient) -> None:
    answer = client.get("/batch")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


@pytest.mark.parametrize(
    ("header", "auth_code", "status"),
    [
        (f"Bearer {posts.PASSCODE}", None, 200),
        ("Bearer wrong", posts.PASSCODE, 401),
        ("Basic b3BlbjpzZXNhbWU=", posts.PASSCODE, 200),
        ("Basic b3BlbjpzZXNhbWU=", "wrong", 401),
    ],
)
def test_a_bearers_header_counts_for_the_batch_and_that_of_a_proxy_does_not(
    client: FlaskClient, header: str, auth_code: str | None, status: int
) -> None:
    batch: dict[str, Any] = {"posts": [without_code("a")]}
    if auth_code is not None:
        batch = {"auth_code": auth_code, **batch}
    answer = client.post("/batch", json=batch, headers={"Authorization": header})
    assert answer.status_code == status
    assert hosts_of(client) == (["a"] if status == 200 else [])


@pytest.mark.parametrize("entry", hostile.answered_batches(), ids=lambda entry: entry.name)
def test_what_a_post_may_not_be_is_told_in_its_place(entry: hostile.Hostile) -> None:
    client = create_app(Config(access=Access(passcode=hostile.PASSCODE)), start=False).test_client()
    answer = client.post("/batch", data=entry.body, headers={"Content-Type": hostile.JSON} | entry.headers)
    assert answer.status_code == entry.status
    assert answer.json is not None
    (result,) = answer.json["results"]
    assert result["success"] is False
    assert entry.says in result["msg"]
    assert client.get("/data-out/gpu-data-simple").json == {}
