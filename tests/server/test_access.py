"""Who may post."""

from __future__ import annotations

import posts
import pytest
from flask import Flask
from flask.testing import FlaskClient

from cluster_dash_server.config import PUBLISHED_PASSCODE, Access, Limits, Live
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.receive.access import WRONG, Gate, is_loopback
from cluster_dash_server.receive.posts import Posts
from cluster_dash_server.receive.schema import Schema


def environ(address: str = "127.0.0.1", host: str = "localhost:8080", **headers: str) -> dict[str, object]:
    return {"REMOTE_ADDR": address, "HTTP_HOST": host, **headers}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_a_direct_request_from_this_machine_is_loopback(address: str, host: str) -> None:
    assert is_loopback(environ(address, host))


@pytest.mark.parametrize(
    "request_environ",
    [
        environ("192.0.2.7"),
        environ("not-an-address"),
        environ(""),
        environ(host="dash.lab.example"),
        environ(host="127.0.0.1.evil.example"),
        environ(host="[::1"),
        environ(host=""),
        environ(HTTP_X_FORWARDED_FOR="192.0.2.7"),
        environ(HTTP_X_REAL_IP="192.0.2.7"),
        environ(HTTP_FORWARDED="for=192.0.2.7"),
        environ(HTTP_VIA="1.1 proxy"),
        environ(HTTP_CF_CONNECTING_IP="192.0.2.7"),
        environ(SERVER_PROTOCOL="HTTP/1.0"),
    ],
)
def test_a_request_from_elsewhere_or_through_a_proxy_is_not_loopback(request_environ: dict[str, object]) -> None:
    assert not is_loopback(request_environ)


def test_the_published_passcode_is_taken_from_this_machine(client: FlaskClient) -> None:
    assert client.post("/", json=posts.example()).status_code == 200


def test_the_published_passcode_is_refused_from_elsewhere_and_the_answer_tells_how_to_set_one(
    client: FlaskClient,
) -> None:
    answer = client.post("/", json=posts.example(), environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert answer.status_code == 401
    assert "CLUSTER_DASH_PASSCODE" in answer.json["msg"]  # pyright: ignore
    assert "[access] passcode" in answer.json["msg"]  # pyright: ignore
    assert PUBLISHED_PASSCODE not in answer.text
    assert client.get("/data-out/gpu-data-simple").json == {}


def test_a_configured_passcode_is_taken_from_anywhere(guarded_client: FlaskClient) -> None:
    post = posts.host_post(auth_code="secret-canary")
    answer = guarded_client.post("/", json=post, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert answer.status_code == 200


@pytest.mark.parametrize("wrong", ["", "secret-canar", "secret-canary ", "sécret", "\u0000", "x" * 10_000])
def test_a_wrong_passcode_is_refused_and_stores_nothing(guarded_client: FlaskClient, wrong: str) -> None:
    answer = guarded_client.post("/", json=posts.host_post(auth_code=wrong))
    assert answer.status_code == 401
    assert answer.json == {"success": False, "msg": WRONG}
    assert guarded_client.get("/data-out/gpu-data-simple").json == {}


def test_every_page_warns_while_no_passcode_is_configured(client: FlaskClient, guarded_client: FlaskClient) -> None:
    for path in ("/", "/cpu-data", "/gpu-data", "/history"):
        assert "No passcode is configured" in client.get(path, headers={"Accept": "text/html"}).text
        assert "passcode" not in guarded_client.get(path, headers={"Accept": "text/html"}).text
    assert "No passcode is configured" in client.get("/").text


def test_the_published_passcode_when_configured_is_taken_from_anywhere_with_a_warning() -> None:
    gate = Gate(Access(passcode=PUBLISHED_PASSCODE))
    gate.admit(PUBLISHED_PASSCODE, environ("192.0.2.7"))
    (warning,) = gate.warnings()
    assert "published" in warning


def test_the_auth_code_is_gone_before_anything_is_kept() -> None:
    hosts, app = Hosts(Live()), Flask("receive")
    app.register_blueprint(Posts(Gate(Access()), hosts, Schema(Limits()), Limits()).routes())
    assert app.test_client().post("/", json=posts.host_post("gpu01")).status_code == 200
    kept = hosts.get("gpu01")
    assert kept is not None
    assert posts.PASSCODE not in repr(kept.latest.post)


def test_the_auth_code_is_nowhere_in_what_the_server_shows(app: Flask) -> None:
    client = app.test_client()
    client.post("/", json=posts.host_post("gpu01"))
    paths = [
        rule.rule.replace("<path:name>", "gpu01") for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())
    ]
    for path in paths:
        assert posts.PASSCODE not in client.get(path, headers={"Accept": "text/html"}).text
