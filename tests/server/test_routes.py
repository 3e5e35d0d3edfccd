"""Who may do what: every route and method in one table. A new route without a line here fails."""

from __future__ import annotations

import re
from typing import Any

import posts
import pytest
from flask import Flask

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config, Serve
from cluster_dash_server.headers import PLOTLY_POLICY, SECURITY_HEADERS

PASSCODE = "secret-canary"
READ = {"GET", "HEAD", "OPTIONS"}
TABLE: dict[str, dict[str, set[str]]] = {
    # path: who may use which methods; a mole may do what anybody may, and post; a form has a credential of its own
    "/": {"anybody": READ, "mole": {"POST"}},
    "/batch": {"anybody": {"OPTIONS"}, "mole": {"POST"}},
    "/host/<path:name>": {"anybody": READ},
    "/remove-host/<path:name>": {"anybody": READ, "form": {"POST"}},
    "/api/hosts": {"anybody": READ},
    "/api/gpus": {"anybody": READ},
    "/api/free": {"anybody": READ},
    "/api/events": {"anybody": READ},
    "/api/series": {"anybody": READ},
    "/api/metrics": {"anybody": READ},
    "/metrics": {"anybody": READ},
    "/free.txt": {"anybody": READ},
    "/gpu-data": {"anybody": READ},
    "/cpu-data": {"anybody": READ},
    "/memory": {"anybody": READ},
    "/root_drive": {"anybody": READ},
    "/load-data-1": {"anybody": READ},
    "/history": {"anybody": READ},
    "/demo-plot": {"anybody": READ},
    "/data-out/gpu-data-simple": {"anybody": READ},
    "/api/gpu-summary": {"anybody": READ},
    "/api/dashboard-data": {"anybody": READ},
    "/api/history-data": {"anybody": READ},
    "/assets/<name>": {"anybody": READ},
    "/scripts/<version>/<path:name>": {"anybody": READ},
    "/static/<path:filename>": {"anybody": READ},
    "/stream": {"anybody": READ},
    "/health": {"anybody": READ},
}
OF_THE_STORE = ("/api/series", "/api/metrics", "/api/events")
"""404 where there is none; with one they are tried in tests/store."""
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND")


def an_address(path: str) -> str:
    """One that this route of the table answers."""
    if path.startswith("/scripts/"):
        return "/scripts/x/plot.js"
    return path.replace("<path:name>", "gpu01").replace("<path:filename>", "style.css").replace("<name>", "x.js")


@pytest.fixture(scope="module")
def guarded() -> Flask:
    app = create_app(Config(access=Access(passcode=PASSCODE), serve=Serve(held_streams=0)), start=False)
    app.test_client().post("/", json=posts.host_post("gpu01", auth_code=PASSCODE))
    return app


def test_the_table_names_every_route_and_no_other(guarded: Flask) -> None:
    assert {rule.rule for rule in guarded.url_map.iter_rules()} == set(TABLE)


@pytest.mark.parametrize("path", TABLE)
@pytest.mark.parametrize("who", ["anybody", "mole"])
def test_each_may_do_what_the_table_says_and_nothing_else(guarded: Flask, path: str, who: str) -> None:
    client = guarded.test_client()
    asked = an_address(path)
    post = posts.host_post("gpu01", auth_code=PASSCODE if who == "mole" else "wrong", posts=[])
    for method in METHODS:
        with client.open(asked, method=method, json=post if method == "POST" else None) as answer:
            status = answer.status_code
        if method in TABLE[path]["anybody"]:
            assert status in (200, 404) if "<name>" in path or path in OF_THE_STORE else status == 200
        elif method in TABLE[path].get("mole", set()):
            assert status == (200 if who == "mole" else 401)
        elif method in TABLE[path].get("form", set()):
            assert status == 401
        else:
            assert status == 405


OPEN_WITH_PASSWORD = {
    "/scripts/<version>/<path:name>": READ,
    "/static/<path:filename>": READ,
    "/assets/<name>": READ,
    "/health": READ,
    "/login": {*READ, "POST"},
    "/logout": {"OPTIONS", "POST"},
}
"""With a viewing password: what anybody may still do; a viewer may do what anybody may without one."""


@pytest.fixture(scope="module")
def with_password(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    tokens = str(tmp_path_factory.mktemp("state") / "tokens.json")
    access = Access(passcode=PASSCODE, viewing_password="look", token_file=tokens)
    app = create_app(Config(access=access), start=False)
    app.test_client().post("/", json=posts.host_post("gpu01", auth_code=PASSCODE))
    return app


def test_with_a_viewing_password_the_table_has_two_more(with_password: Flask) -> None:
    assert {rule.rule for rule in with_password.url_map.iter_rules()} == set(TABLE) | set(OPEN_WITH_PASSWORD)


@pytest.mark.parametrize("path", {**TABLE, **OPEN_WITH_PASSWORD})
@pytest.mark.parametrize("who", ["anybody", "mole", "viewer"])
def test_with_a_viewing_password_only_a_viewer_sees_anything(with_password: Flask, path: str, who: str) -> None:
    client = with_password.test_client()
    asked = an_address(path)
    post = posts.host_post("gpu01", auth_code=PASSCODE if who == "mole" else "wrong", posts=[])
    for method in METHODS:
        auth = ("", "look") if who == "viewer" else None
        with client.open(asked, method=method, json=post if method == "POST" else None, auth=auth) as answer:
            status = answer.status_code
        may_post = method == "POST" and "mole" in TABLE.get(path, {})
        if may_post:
            assert status == (200 if who == "mole" else 401)
        elif method in OPEN_WITH_PASSWORD.get(path, set()):
            assert status in (200, 303, 403, 404)  # 403: the form has no password
        elif who == "viewer" and method in TABLE.get(path, {}).get("form", set()):
            assert status == 401
        elif who == "viewer" and method in TABLE.get(path, {}).get("anybody", set()):
            assert status in (200, 404) if path in OF_THE_STORE else status == 200
        elif who == "viewer":
            assert status == 405
        else:
            assert status == 401


@pytest.mark.parametrize("path", ["/host/<name>", "/assets/:name", "/%3Cpath:name%3E", "/nope"])
def test_a_literal_of_a_route_opens_nothing(guarded: Flask, path: str) -> None:
    assert guarded.test_client().get(path).status_code == 404


def test_every_answer_carries_the_security_headers(guarded: Flask) -> None:
    client = guarded.test_client()
    asked = [path for path in TABLE if "<" not in path] + ["/host/gpu01", "/static/style.css", "/nope", "/host/nope"]
    answers: list[Any] = [
        client.get(path, headers={"Accept": accept}) for path in asked for accept in ("*/*", "text/html")
    ]
    answers += [client.post("/", json={}), client.put("/"), client.get("/", headers={"Host": "a b"})]
    for answer in answers:
        answer.close()
        for name, value in SECURITY_HEADERS:
            got = answer.headers.getlist(name)
            assert len(got) == 1
            if name == "Content-Security-Policy":
                assert got[0] in (value, PLOTLY_POLICY)
        assert not any(name.lower().startswith("access-control") for name, _ in answer.headers.items())


def test_inline_style_is_allowed_only_where_plotly_needs_it(guarded: Flask) -> None:
    client = guarded.test_client()
    plotly = {
        "/host/gpu01",
        "/gpu-data",
        "/cpu-data",
        "/memory",
        "/root_drive",
        "/load-data-1",
        "/history",
        "/demo-plot",
    }
    for path in [path for path in TABLE if "<" not in path and path != "/batch"] + ["/host/gpu01"]:
        answer = client.get(path, headers={"Accept": "text/html"})
        policy = answer.headers["Content-Security-Policy"]
        assert ("'unsafe-inline'" in policy) is (path in plotly)
        assert "script-src" not in policy or "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
        assert not re.search(r"<script(?![^>]*(src=|type=\"application/json\"))", answer.text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("dash.lab.example", 200),
        ("dash.lab.example:8080", 200),
        ("DASH.lab.example.", 200),
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("dash.lab.example.evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.5", 421),
    ],
)
def test_with_a_list_of_names_no_other_is_answered(host: str, expected: int) -> None:
    client = create_app(Config(access=Access(allowed_hosts=("dash.lab.example",))), start=False).test_client()
    for path in ("/", "/api/dashboard-data", "/static/style.css", "/nope"):
        with client.get(path, headers={"Host": host}) as answer:
            assert (answer.status_code == 421) is (expected == 421)
    answer = client.post("/", json=posts.host_post(), headers={"Host": host})
    assert (answer.status_code == 421) is (expected == 421)
    if expected == 421:
        assert "[access] allowed_hosts" in answer.text
        assert "default-src" in answer.headers["Content-Security-Policy"]
