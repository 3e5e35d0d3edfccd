"""Removing a host that is gone: who may, from where, and which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import posts
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config
from cluster_dash_server.receive.tokens import make_token

PASSCODE = "secret-canary"
FROM_ELSEWHERE = {"REMOTE_ADDR": "10.0.0.9"}


class Site:
    def __init__(self, folder: Path, **access: Any) -> None:
        self.mono_s = 1000.0
        tokens = folder / "tokens.json"
        self.token, self.other_token = make_token(tokens, "gone", 0.0), make_token(tokens, "other", 0.0)
        settings: dict[str, Any] = {"passcode": PASSCODE, **access}
        config = Config(access=Access(token_file=str(tokens), **settings))
        self.client: FlaskClient = create_app(config, start=False, monotonic=lambda: self.mono_s).test_client()

    def remove(self, name: str = "gone", auth_code: str = PASSCODE, **more: Any) -> TestResponse:
        more.setdefault("environ_base", FROM_ELSEWHERE)
        return self.client.post(f"/remove-host/{name}", data={"auth_code": auth_code}, **more)

    @property
    def has_it(self) -> bool:
        return self.client.get("/host/gone").status_code == 200


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.client.post("/", json=posts.host_post("gone", auth_code=PASSCODE))
    site.mono_s += 700
    return site


def test_the_page_asks_and_its_form_works_without_a_script(site: Site) -> None:
    page = site.client.get("/remove-host/gone", headers={"Accept": "text/html"}).text
    assert 'method="post" action="/remove-host/gone"' in page
    assert "<script" not in page
    assert "What of it is in the history on disk stays there." in page
    assert 'name="auth_code"' in page
    link = site.client.get("/host/gone", headers={"Accept": "text/html"}).text
    assert 'href="/remove-host/gone"' in link
    answer = site.remove(headers={"Accept": "text/html", "Origin": "http://localhost"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert not site.has_it


def test_it_is_back_with_its_next_post_and_without_its_history(site: Site) -> None:
    answer = site.remove()
    assert (answer.status_code, answer.json) == (
        200,
        {"success": True, "msg": "removed; it is back when it posts again"},
    )
    assert not site.has_it
    site.client.post("/", json=posts.host_post("gone", auth_code=PASSCODE))
    assert site.has_it
    assert "0 s old" in site.client.get("/host/gone", headers={"Accept": "text/html"}).text


def test_a_host_that_reports_stays(site: Site) -> None:
    site.client.post("/", json=posts.host_post("gone", auth_code=PASSCODE))
    assert site.remove().status_code == 409
    assert "<button" not in site.client.get("/remove-host/gone", headers={"Accept": "text/html"}).text
    assert "remove it" not in site.client.get("/host/gone", headers={"Accept": "text/html"}).text
    assert site.has_it


@pytest.mark.parametrize("auth_code", ["", "wrong", posts.PASSCODE])
def test_without_the_passcode_it_stays(site: Site, auth_code: str) -> None:
    for accept, words in (("*/*", "wrong auth_code"), ("text/html", 'role="alert">wrong auth_code')):
        answer = site.remove(auth_code=auth_code, headers={"Accept": accept})
        assert answer.status_code == 401
        assert words in answer.text
    assert site.has_it


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_a_form_of_another_site_is_refused_whatever_it_holds(site: Site, headers: dict[str, str]) -> None:
    assert site.remove(headers=headers).status_code == 403
    assert site.has_it


def test_a_large_form_is_refused_before_it_is_read(site: Site) -> None:
    assert site.remove(auth_code="x" * 20_000).status_code == 413


def test_an_unknown_host_is_not_found(site: Site) -> None:
    assert site.remove("nobody").status_code == 404
    assert site.client.get("/remove-host/nobody").status_code == 404


def test_with_the_published_passcode_only_the_servers_own_machine_may(tmp_path: Path) -> None:
    site = Site(tmp_path, passcode=None)
    site.client.post("/", json=posts.host_post("gone"))
    site.mono_s += 700
    assert site.remove(auth_code=posts.PASSCODE).status_code == 401
    assert site.remove(auth_code="", environ_base={"REMOTE_ADDR": "127.0.0.1"}).status_code == 401
    assert site.remove(auth_code=posts.PASSCODE, environ_base={"REMOTE_ADDR": "127.0.0.1"}).status_code == 200


def test_a_hosts_token_removes_its_own_host_only(site: Site) -> None:
    assert site.remove(auth_code=site.other_token).status_code == 403
    assert site.has_it
    assert site.remove(auth_code=site.token).status_code == 200


def test_where_only_tokens_count_the_servers_own_machine_needs_none(tmp_path: Path) -> None:
    site = Site(tmp_path, require_tokens=True)
    site.client.post("/", json=posts.host_post("gone", auth_code=site.token))
    site.mono_s += 700
    assert site.remove().status_code == 401
    assert site.remove(auth_code="").status_code == 401
    assert site.remove(auth_code="", environ_base={"REMOTE_ADDR": "127.0.0.1"}).status_code == 200


def test_a_name_with_slashes_and_markup_is_only_a_name(tmp_path: Path) -> None:
    site = Site(tmp_path)
    name = "a/remove-host/<b>"
    site.client.post("/", json=posts.host_post(name, auth_code=PASSCODE))
    site.mono_s += 700
    page = site.client.get("/remove-host/a/remove-host/%3Cb%3E", headers={"Accept": "text/html"}).text
    assert "<b>" not in page.split("<main")[1]
    assert site.remove("a/remove-host/%3Cb%3E").status_code == 200
    assert site.client.get("/stream?hold=0").text.count("remove-host") == 0
