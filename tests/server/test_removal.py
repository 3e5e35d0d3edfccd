"""Removing a host that is gone: asked first, by whoever may post, and never one that reports."""

from __future__ import annotations

import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config

PAGE = {"Accept": "text/html"}
SECRET = "secret-canary"


class Site:
    def __init__(self, access: Access | None = None) -> None:
        self.now_s = 1_000.0
        app = create_app(
            Config(access=access or Access(passcode=SECRET)),
            start=False,
            monotonic=lambda: self.now_s,
            wall=wall_beside(lambda: self.now_s),
        )
        self.client: FlaskClient = app.test_client()
        self.client.post("/", json=posts.host_post("gpu01", auth_code=SECRET))

    def go_silent(self) -> None:
        self.now_s += 3600


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_host_that_is_gone_is_removed_and_back_when_it_posts(site: Site) -> None:
    site.go_silent()
    page = site.client.get("/host/gpu01", headers=PAGE).text
    assert 'href="/remove-host/gpu01"' in page
    assert "Its history here is forgotten" in site.client.get("/remove-host/gpu01", headers=PAGE).text
    answer = site.client.post("/remove-host/gpu01", data={"auth_code": SECRET}, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert site.client.get("/host/gpu01").status_code == 404
    site.client.post("/", json=posts.host_post("gpu01", auth_code=SECRET))
    assert site.client.get("/host/gpu01", headers=PAGE).status_code == 200


def test_one_that_reports_stays(site: Site) -> None:
    assert "/remove-host/" not in site.client.get("/host/gpu01", headers=PAGE).text
    assert "end its mole first" in site.client.get("/remove-host/gpu01", headers=PAGE).text
    answer = site.client.post("/remove-host/gpu01", data={"auth_code": SECRET})
    assert answer.status_code == 409
    assert site.client.get("/host/gpu01", headers=PAGE).status_code == 200


@pytest.mark.parametrize("form", [{}, {"auth_code": "wrong"}, {"auth_code": ""}, {"auth_code": posts.PASSCODE}])
def test_whoever_may_not_post_removes_nothing(site: Site, form: dict[str, str]) -> None:
    site.go_silent()
    for headers in (PAGE, {}):
        answer = site.client.post("/remove-host/gpu01", data=form, headers=headers)
        assert answer.status_code == 401
        assert SECRET not in answer.text
    assert site.client.get("/host/gpu01", headers=PAGE).status_code == 200


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_of_another_site_removes_nothing(site: Site, headers: dict[str, str]) -> None:
    site.go_silent()
    answer = site.client.post("/remove-host/gpu01", data={"auth_code": SECRET}, headers=headers)
    assert answer.status_code == 403
    assert site.client.get("/host/gpu01", headers=PAGE).status_code == 200


def test_a_host_that_nobody_knows_is_404(site: Site) -> None:
    assert site.client.get("/remove-host/nobody", headers=PAGE).status_code == 404
    assert site.client.post("/remove-host/nobody", data={"auth_code": SECRET}).status_code == 404
    assert site.client.post("/remove-host/nobody", data={"auth_code": "wrong"}).status_code == 401


def test_a_hostile_name_is_text_on_the_page(site: Site) -> None:
    name = "<script>alert(1)</script>"
    site.client.post("/", json=posts.host_post(name, auth_code=SECRET))
    site.go_silent()
    page = site.client.get("/remove-host/%3Cscript%3Ealert(1)%3C/script%3E", headers=PAGE)
    assert page.status_code == 200
    assert "<script>alert" not in page.text
