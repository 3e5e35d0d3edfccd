"""What nobody should send is refused at once and told why, is kept nowhere, and harms nothing that comes after it."""

from __future__ import annotations

import hostile
import posts
import pytest
from flask import Flask
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config

CORPUS = hostile.corpus()
PAGES = (
    *("/", "/cpu-data", "/gpu-data", "/memory", "/root_drive", "/load-data-1", "/history"),
    *("/data-out/gpu-data-simple", "/api/dashboard-data", "/api/gpu-summary", "/api/history-data"),
)


@pytest.fixture(scope="module")
def guarded() -> Flask:
    return new_app()


def new_app() -> Flask:
    return create_app(Config(access=Access(passcode=hostile.PASSCODE)), start=False)


@pytest.mark.slow
@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry.name[:60])
def test_it_is_refused_with_place_and_rule_and_without_what_was_sent(guarded: Flask, entry: hostile.Hostile) -> None:
    client = guarded.test_client()
    headers = {"Content-Type": hostile.JSON} | entry.headers
    answer = client.post(entry.path, data=entry.body, headers=headers)
    assert answer.status_code == entry.status
    assert answer.json is not None
    assert set(answer.json) == {"success", "msg"}
    assert answer.json["success"] is False
    assert entry.says in answer.json["msg"]
    assert len(answer.json["msg"]) < 600
    assert hostile.VALUE not in answer.text
    assert hostile.PASSCODE not in answer.text


def test_nothing_of_it_is_kept_and_the_next_good_post_is_taken() -> None:
    client = new_app().test_client()
    for entry in CORPUS:
        client.post(entry.path, data=entry.body, headers={"Content-Type": hostile.JSON} | entry.headers)
    assert client.get("/data-out/gpu-data-simple").json == {}
    assert client.post("/", json=posts.host_post("good", auth_code=hostile.PASSCODE)).status_code == 200
    assert list(client.get("/data-out/gpu-data-simple").json or {}) == ["good"]


def test_the_corpus_holds_what_it_says() -> None:
    names = [entry.name for entry in CORPUS]
    assert len(set(names)) == len(names)
    assert len(names) > 700


def test_what_is_odd_and_right_is_taken_and_breaks_no_page(guarded: Flask) -> None:
    client = guarded.test_client()
    for at, (name, body) in enumerate(hostile.odd_bodies()):
        sent = body.replace(b'"hostname": "hostile"', f'"hostname": "odd{at}"'.encode())
        assert client.post("/", data=sent, content_type=hostile.JSON).status_code == 200, name
        assert client.get(f"/host/odd{at}", headers={"Accept": "text/html"}).status_code == 200, name
    for path in PAGES:
        for accept in ("text/html", "application/json", "*/*"):
            assert client.get(path, headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize("key", hostile.ODD_KEYS)
def test_an_odd_key_is_data_like_any_other(client: FlaskClient, key: str) -> None:
    gpu = posts.gpu(0, users={key: {"1": {"mem": 5}}})
    client.post("/", json=posts.host_post("gpu01", gpu={key: gpu}))
    kept = client.get("/data-out/gpu-data-simple").json
    assert kept is not None
    assert list(kept["gpu01"]) == [key]
    assert list(kept["gpu01"][key]["users"]) == [key]
