"""With a viewing password nobody sees anything without it; posts go on; without one all is open as before."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import posts
import pytest
from flask import Flask
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config
from cluster_dash_server.viewing import FREE_ATTEMPTS
from cluster_dash_server.views.login import local

PASSWORD = "viewing-cänary"
PASSCODE = "passcode-canary"
HTML = {"Accept": "text/html,*/*;q=0.8"}
OPEN = {"/login", "/logout", "/static/<path:filename>", "/scripts/<version>/<path:name>", "/assets/<name>", "/health"}
CANARIES = ("gpu-canary", "alice", "this page needs", "A100")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock) -> Flask:
    access = Access(passcode=PASSCODE, viewing_password=PASSWORD, token_file=str(tmp_path / "tokens.json"))
    app = create_app(Config(access), start=False, monotonic=clock, wall=clock)
    assert app.test_client().post("/", json=posts.host_post("gpu-canary", auth_code=PASSCODE)).status_code == 200
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def sign_in(client: FlaskClient, password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/login", data={"password": password, **more.pop("form", {})}, **more)


def basic(password: str, user: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def paths_of(app: Flask) -> list[str]:
    paths = {rule.rule for rule in app.url_map.iter_rules() if rule.rule not in OPEN}
    asked = [path.replace("<path:name>", "gpu-canary") for path in sorted(paths)]
    return [*asked, "/nowhere", "/host/none", "/health?verbose"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Accept": "application/json"}, HTML, {"Cookie": "cluster_dash_x=1.a"}, basic("wrong")],
    ids=["plain", "json", "page", "cookie", "basic"],
)
def test_without_the_password_nothing_is_seen(app: Flask, method: str, headers: dict[str, str]) -> None:
    client = app.test_client(use_cookies=False)
    for path in paths_of(app):
        answer = client.open(path, method=method, headers=headers)
        is_sent_to_sign_in = headers == HTML and method in ("GET", "HEAD")
        assert answer.status_code == (303 if is_sent_to_sign_in else 401), path
        assert not any(word in answer.text for word in CANARIES if word not in path), path


def test_the_answer_says_how(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.json["success"] is False  # pyright: ignore[reportOptionalSubscript]
    assert "curl -u :PASSWORD" in answer.json["msg"]  # pyright: ignore[reportOptionalSubscript]
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    wrong = client.get("/", headers=basic("wrong")).json
    assert wrong == {"success": False, "msg": "that is not the viewing password of this server"}
    assert "curl -u" in client.get("/", headers={"Authorization": "Bearer x"}).text


def test_a_script_of_our_pages_is_told_without_a_question_of_the_browser(client: FlaskClient) -> None:
    for accept in ("text/html", "application/json"):
        answer = client.get("/", headers={"Accept": accept, "X-Requested-With": "cluster-dash"})
        assert answer.status_code == 401
        assert "WWW-Authenticate" not in answer.headers
    stream = client.get("/stream?hold=0&hosts=1", headers={"Accept": "text/event-stream"})
    assert stream.status_code == 401
    assert "WWW-Authenticate" not in stream.headers


def test_posts_need_their_own_credentials_only(client: FlaskClient) -> None:
    post = posts.host_post("gpu-canary", auth_code=PASSCODE)
    assert client.post("/", json=post).status_code == 200
    batch = {"auth_code": PASSCODE, "posts": [posts.host_post("gpu-canary")]}
    assert client.post("/batch", json=batch).status_code == 200
    assert client.post("/", json=post | {"auth_code": PASSWORD}).status_code == 401
    sign_in(client)
    assert client.post("/", json=post | {"auth_code": "wrong"}).status_code == 401
    assert client.get("/", headers=basic(PASSCODE)).status_code == 200, "by the cookie"
    client.post("/logout")
    assert client.get("/", headers=basic(PASSCODE)).status_code == 401


@pytest.mark.parametrize("user", ["", "anybody", "ä"])
def test_basic_with_any_user_opens_everything(app: Flask, user: str) -> None:
    client = app.test_client()
    for path in ("/", "/api/dashboard-data", "/host/gpu-canary", "/health?verbose", "/history"):
        answer = client.get(path, headers=basic(PASSWORD, user))
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("header", ["Basic", "Basic x", "Basic ====", "Basic //86/w==", "Bearer x", "Digest a=b"])
def test_what_is_no_basic_opens_nothing(client: FlaskClient, header: str) -> None:
    assert client.get("/", headers={"Authorization": header}).status_code == 401


def test_a_person_signs_in_sees_the_page_that_was_asked_for_and_signs_out(client: FlaskClient) -> None:
    asked = client.get("/host/gpu-canary?hours=24", headers=HTML)
    assert asked.status_code == 303
    address = urlsplit(asked.headers["Location"])
    assert (address.path, parse_qs(address.query)) == ("/login", {"next": ["/host/gpu-canary?hours=24"]})
    page = client.get(asked.headers["Location"], headers=HTML)
    assert page.status_code == 200
    assert 'value="/host/gpu-canary?hours=24"' in page.text
    assert "Sign out" not in page.text
    assert 'aria-label="Pages"' not in page.text
    answer = sign_in(client, form={"next": "/host/gpu-canary?hours=24"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/host/gpu-canary?hours=24")
    page = client.get(answer.headers["Location"], headers=HTML)
    assert "gpu-canary" in page.text
    assert "Sign out" in page.text
    assert client.get("/login?next=/history", headers=HTML).headers["Location"] == "/history"
    assert client.post("/logout").headers["Location"] == "/login"
    assert client.get("/", headers=HTML).status_code == 303


@pytest.mark.parametrize("name", ["a/b c", "ä", "a?b#c", "%2e%2e", "<b>", "x/y"])
def test_the_way_back_is_the_page_that_was_asked_for(client: FlaskClient, name: str) -> None:
    client.post("/", json=posts.host_post(name, auth_code=PASSCODE)).get_json()
    quoted = "/host/" + "".join(f"%{byte:02X}" for byte in name.encode())
    asked = client.get(quoted, headers=HTML)
    (wanted,) = parse_qs(urlsplit(asked.headers["Location"]).query)["next"]
    back = sign_in(client, form={"next": wanted}).headers["Location"]
    assert name in client.get(back, headers={"Accept": "text/html"}).text.replace("&lt;", "<").replace("&gt;", ">")


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "evil", "", "javascript:x",
     "/\t/evil", "/\n//evil", "http:/evil", "/" + "x" * 3000, "/\x00"],
)  # fmt: skip
def test_no_way_back_leads_elsewhere(client: FlaskClient, wanted: str) -> None:
    assert local(wanted) == "/"
    assert sign_in(client, form={"next": wanted}).headers["Location"] == "/"
    assert client.get("/login", query_string={"next": wanted}).headers["Location"] == "/"


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_for_this_site_alone_and_no_script_reads_it(app: Flask, scheme: str, secure: bool) -> None:
    client = app.test_client()
    answer = sign_in(client, base_url=f"{scheme}://dash.example/")
    (cookie,) = answer.headers.getlist("Set-Cookie")
    words = cookie.split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={30 * 24 * 3600}"} <= set(words)
    assert ("Secure" in words) is secure
    assert PASSWORD not in cookie


def test_a_screen_on_a_wall_stays_signed_in_and_others_do_not(client: FlaskClient, clock: Clock) -> None:
    sign_in(client)
    for _ in range(40):
        assert client.get("/").status_code == 200
        clock.now_s += 2 * 24 * 3600
    clock.now_s += 31 * 24 * 3600
    assert client.get("/").status_code == 401


def test_a_cookie_is_given_anew_once_a_day_at_most(client: FlaskClient, clock: Clock) -> None:
    sign_in(client)
    assert "Set-Cookie" not in client.get("/").headers
    clock.now_s += 25 * 3600
    assert "Set-Cookie" in client.get("/").headers
    assert "Set-Cookie" not in client.get("/").headers
    clock.now_s += 25 * 3600
    answer = client.post("/logout")
    assert len(answer.headers.getlist("Set-Cookie")) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "https://localhost:8443"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_form_of_another_site_signs_nobody_in_or_out(
    client: FlaskClient, headers: dict[str, str], status: int
) -> None:
    assert sign_in(client, headers=headers).status_code == status
    sign_in(client)
    assert client.post("/logout", headers=headers).status_code == status
    assert (client.get("/").status_code == 200) is (status == 403)


def test_a_wrong_password_is_told_and_guessing_is_slowed_for_the_guesser(
    app: Flask, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    client = app.test_client()
    for number in range(FREE_ATTEMPTS):
        answer = sign_in(client, f"wrong-{number}", form={"next": "/history"})
        assert answer.status_code == 403
        assert "That is not the password." in answer.text
        assert 'value="/history"' in answer.text
        assert f"wrong-{number}" not in answer.text
    answer = sign_in(client)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert "try again in 1 s" in answer.text
    assert client.get("/", headers=basic(PASSWORD)).status_code == 429
    assert sign_in(app.test_client(), environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 303
    clock.now_s += 1
    assert sign_in(client).status_code == 303
    assert 'a wrong viewing password from "127.0.0.1"' in caplog.text
    assert "wrong-" not in caplog.text
    assert PASSWORD not in caplog.text


def test_who_is_signed_in_is_not_kept_out_by_who_guesses(client: FlaskClient) -> None:
    sign_in(client)
    for number in range(20):
        sign_in(client, f"wrong-{number}")
    assert client.get("/").status_code == 200


def test_health_tells_anybody_one_word_and_the_rest_who_may_look(
    client: FlaskClient, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "tokens.json").write_text("damaged")
    clock.now_s += 2
    assert client.get("/health").json == {"status": "ok"}
    assert "is damaged" in client.get("/health", headers=basic(PASSWORD)).text
    assert client.get("/health?verbose").status_code == 401
    assert "threads" in client.get("/health?verbose", headers=basic(PASSWORD)).json  # pyright: ignore


def test_style_and_scripts_hold_no_data_and_are_open(client: FlaskClient) -> None:
    for path in ("/static/style.css", "/scripts/x/overview/overview.js", "/static/icon.svg"):
        with client.get(path) as answer:
            assert answer.status_code == 200
            assert answer.headers["Cache-Control"] != "no-store"


def test_a_large_form_is_refused(client: FlaskClient) -> None:
    assert sign_in(client, "x" * 20_000).status_code == 413


def test_error_pages_show_nothing_to_who_may_not_look(client: FlaskClient) -> None:
    for number in range(FREE_ATTEMPTS):
        client.get("/", headers=HTML | basic(f"wrong-{number}"))
    answer = client.get("/", headers=HTML | basic("more"))
    assert answer.status_code == 429
    assert 'aria-label="Pages"' not in answer.text


def test_another_password_after_a_restart_ends_what_was_signed_in(tmp_path: Path) -> None:
    def started(password: str) -> Flask:
        return create_app(Config(Access(viewing_password=password, token_file=str(tmp_path / "t.json"))), start=False)

    client = started("first").test_client(use_cookies=False)
    (cookie,) = sign_in(client, "first").headers.getlist("Set-Cookie")
    sent = {"Cookie": cookie.split(";")[0]}
    assert client.get("/", headers=sent).status_code == 200
    assert started("first").test_client(use_cookies=False).get("/", headers=sent).status_code == 200
    assert started("second").test_client(use_cookies=False).get("/", headers=sent).status_code == 401
    (tmp_path / "viewing.key").unlink()
    assert started("first").test_client(use_cookies=False).get("/", headers=sent).status_code == 401


def test_without_the_setting_all_is_open_and_there_is_nothing_to_sign_in_to(tmp_path: Path) -> None:
    client = create_app(Config(Access(token_file=str(tmp_path / "t.json"))), start=False).test_client()
    assert client.get("/").status_code == 200
    assert "Sign out" not in client.get("/", headers=HTML).text
    assert client.get("/login").status_code == 404
    assert list(tmp_path.iterdir()) == []


def test_the_password_is_in_no_representation_of_the_settings() -> None:
    assert PASSWORD not in repr(Config(Access(viewing_password=PASSWORD)))
