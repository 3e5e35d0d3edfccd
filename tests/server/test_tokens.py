"""Tokens of single hosts: the file, who is admitted, and what the file's troubles do. In a process: tests/way."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from pathlib import Path
from typing import Any

import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config
from cluster_dash_server.receive.access import WRONG
from cluster_dash_server.receive.tokens import (
    PREFIX,
    TokenFileError,
    Tokens,
    make_token,
    read_tokens,
    revoke_tokens,
    token_path,
)


class Site:
    """A server with a token file, a passcode and a clock of the test's."""

    def __init__(self, folder: Path, **access: Any) -> None:
        self.path, self.now_s = folder / "state" / "tokens.json", 0.0
        self.token = make_token(self.path, "gpu01", 0.0)
        settings = Access(passcode="of-the-lab", token_file=str(self.path), **access)
        self.client: FlaskClient = create_app(
            Config(settings), start=False, monotonic=lambda: self.now_s, wall=wall_beside(lambda: self.now_s)
        ).test_client()

    def send(self, auth_code: object = None, hostname: str = "gpu01", **headers: str) -> Any:
        post = posts.host_post(hostname, auth_code=auth_code)
        if auth_code is None:
            del post["auth_code"]
        return self.client.post("/", json=post, headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.7"})

    def status(self, auth_code: object = None, hostname: str = "gpu01", **headers: str) -> int:
        return self.send(auth_code, hostname, **headers).status_code

    def a_moment_later(self) -> None:
        self.now_s += 1.0

    @property
    def notes(self) -> list[str]:
        health: Any = self.client.get("/health").json
        assert health["status"] == "ok"
        return health.get("notes", [])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_token_is_taken_as_auth_code_and_as_a_bearers_from_anywhere(site: Site) -> None:
    assert site.token.startswith(PREFIX)
    assert len(site.token) >= len(PREFIX) + 43, "256 bits"
    assert site.status(site.token) == 200
    for scheme in ("Bearer", "bearer"):
        assert site.status(Authorization=f"{scheme} {site.token}") == 200
    assert site.status("whatever", Authorization=f"Bearer {site.token}") == 200
    assert site.status(Authorization="Bearer of-the-lab", hostname="gpu02") == 200
    assert site.status("of-the-lab", hostname="gpu02", Authorization="Basic dTpw") == 200


def test_a_token_speaks_for_its_host_only(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("gpu02", "GPU01", "gpu01."):
        answer = site.send(site.token, hostname=name)
        assert answer.status_code == 403
        assert "another host's" in answer.json["msg"]
    assert site.client.get("/api/dashboard-data").json["servers"] == {}  # pyright: ignore
    (line,) = [text for text in caplog.messages if "with the token of" in text]  # however often
    assert "'gpu02'" in line
    assert "'gpu01'" in line
    assert site.token not in caplog.text


NEARLY = "x" * 43


@pytest.mark.parametrize(
    "credential",
    [
        None,
        "",
        "x",
        PREFIX,
        PREFIX + NEARLY,
        "é",
        "\u0000",
        "cdash_é",
        "x" * 10_000,
        PREFIX + "x" * 10_000,
        "🔑",
        5,
        [1],
    ],
)
def test_whatever_else_is_sent_gets_one_and_the_same_401(site: Site, credential: object) -> None:
    answer = site.send(credential)
    assert answer.status_code == 401
    assert answer.data == site.send("wrong").data
    assert answer.json == {"success": False, "msg": WRONG}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer \xe9", f"Bearer {PREFIX}", "Bearer " + "x" * 10_000]
)
def test_whatever_else_is_sent_as_a_header_gets_that_401_too(site: Site, header: str) -> None:
    assert site.send(Authorization=header).json == {"success": False, "msg": WRONG}


def test_who_may_not_post_learns_nothing_of_the_schema(site: Site) -> None:
    answer = site.client.post("/", json={"hostname": 5}, headers={"Authorization": "Bearer wrong"})
    assert answer.json == {"success": False, "msg": WRONG}


def test_a_revoked_token_is_refused_with_the_same_401(site: Site) -> None:
    assert site.status(site.token) == 200
    assert revoke_tokens(site.path, "gpu01") == 1
    site.a_moment_later()
    assert site.send(site.token).json == {"success": False, "msg": WRONG}


def test_a_host_may_have_two_tokens_while_they_are_exchanged(site: Site) -> None:
    new = make_token(site.path, "gpu01", 1.0)
    site.a_moment_later()
    assert {site.status(site.token), site.status(new)} == {200}
    assert revoke_tokens(site.path, "gpu01", keep_newest=True) == 1
    site.a_moment_later()
    assert (site.status(site.token), site.status(new)) == (401, 200)


def test_where_tokens_are_required_the_passcode_opens_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, require_tokens=True)
    assert (site.status("of-the-lab"), site.status(site.token)) == (401, 200)
    assert site.notes == []
    revoke_tokens(site.path, "gpu01")
    site.a_moment_later()
    assert "nobody can post" in site.client.get("/cpu-data", headers={"Accept": "text/html"}).text


def test_a_server_without_a_passcode_that_has_tokens_needs_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    make_token(path, "gpu01", 0.0)
    client = create_app(Config(Access(token_file=str(path))), start=False).test_client()
    assert "passcode" not in client.get("/cpu-data", headers={"Accept": "text/html"}).text


ENTRY = '{"tokens": [{"host": "gpu01", "sha256": "canary", "made_at": 1}]}'


@pytest.mark.parametrize("damage", [b"{", b"", b"[]", b'{"tokens": [{"host": "gpu01"}]}', ENTRY.encode(), b"\xff\xfe"])
def test_a_damaged_file_leaves_those_tokens_valid_that_were_and_says_so_once(
    site: Site, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    good = site.path.read_bytes()
    site.path.write_bytes(damage)
    for _ in range(3):
        site.a_moment_later()
        assert (site.status(site.token), site.status("wrong")) == (200, 401)
    assert "is damaged" in site.notes[0]
    assert "canary" not in site.notes[0]
    assert "is damaged" in site.client.get("/").text
    assert caplog.text.count("is damaged") == 1
    site.path.write_bytes(good)
    site.a_moment_later()
    assert site.notes == []
    assert site.status(site.token) == 200


def test_what_can_not_be_read_leaves_those_tokens_valid_that_were(site: Site) -> None:
    for make in (lambda: site.path.mkdir(), lambda: os.mkfifo(site.path), lambda: site.path.symlink_to(site.path)):
        site.path.unlink()
        make()
        site.a_moment_later()
        assert site.status(site.token) == 200
        assert "still are" in site.notes[0]
        site.path.rmdir() if site.path.is_dir() else site.path.unlink()
        site.path.touch()


def test_a_folder_that_is_away_for_a_while_is_told_until_it_is_back(site: Site, tmp_path: Path) -> None:
    folder, aside = site.path.parent, tmp_path / "aside"
    folder.rename(aside)
    folder.touch()
    site.a_moment_later()
    assert "can't be read" in site.notes[0]
    folder.unlink()
    aside.rename(folder)
    site.a_moment_later()
    assert site.notes == []


def test_a_deleted_file_ends_all_tokens_and_says_so(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.path.unlink()
    for _ in range(3):
        site.a_moment_later()
        assert (site.status(site.token), site.status("of-the-lab", "gpu02")) == (401, 200)
    assert "was deleted: no token is valid any more" in site.notes[0]
    assert caplog.text.count("was deleted") == 1
    again = make_token(site.path, "gpu01", 0.0)
    site.a_moment_later()
    assert (site.status(site.token), site.status(again), site.notes) == (401, 200, [])


def test_a_server_that_never_had_a_token_file_has_no_trouble_with_it(tmp_path: Path) -> None:
    client = create_app(Config(Access(token_file=str(tmp_path / "none" / "x.json"))), start=False).test_client()
    assert client.get("/health").json == {"status": "ok"}


def test_a_file_that_is_damaged_when_the_server_starts_stops_nobody_who_has_the_passcode(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text("{")
    client = create_app(Config(Access(passcode="p", token_file=str(path))), start=False).test_client()
    assert client.post("/", json=posts.host_post(auth_code="p")).status_code == 200
    assert "is damaged" in client.get("/").text


def test_the_file_holds_hashes_is_its_owners_alone_and_is_never_made_over_a_damaged_one(site: Site) -> None:
    assert site.token not in site.path.read_text()
    assert [token["host"] for token in json.loads(site.path.read_text())["tokens"]] == ["gpu01"]
    assert stat.S_IMODE(site.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.path.parent.stat().st_mode) == 0o700
    assert [each.name for each in site.path.parent.iterdir()] == ["tokens.json"]
    site.path.write_text("{")
    with pytest.raises(TokenFileError):
        make_token(site.path, "gpu02", 0.0)
    assert site.path.read_text() == "{"


def test_tokens_that_are_made_at_once_are_all_kept(site: Site) -> None:
    makers = [threading.Thread(target=make_token, args=(site.path, f"gpu{n}", 0.0)) for n in range(20)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(read_tokens(site.path)) == 21


def test_the_file_is_looked_at_once_a_second_and_not_with_each_post(site: Site) -> None:
    for _ in range(2):
        site.a_moment_later()
        assert site.status(site.token) == 200
    site.path.unlink()
    assert site.status(site.token) == 200
    site.a_moment_later()
    assert site.status(site.token) == 401


def test_with_a_background_step_that_looks_no_post_reads_the_file(tmp_path: Path) -> None:
    path, now_s = tmp_path / "tokens.json", [0.0]
    token = make_token(path, "gpu01", 0.0)
    tokens = Tokens(path, lambda: now_s[0])
    wait_s = tokens.watch()
    revoke_tokens(path, "gpu01")
    now_s[0] += 10 * wait_s
    assert tokens.host_of(token) == "gpu01"
    tokens.watch()
    assert tokens.host_of(token) is None


def test_a_second_machine_with_the_same_token_is_refused_and_shown_and_the_first_goes_on(site: Site) -> None:
    first = posts.host_post("gpu01", auth_code=site.token)
    assert site.client.post("/", json=first).status_code == 200
    second = posts.host_post("gpu01", gpus=1, auth_code=site.token)
    second["gpu"]["0_NVIDIA-A100-80GB_000000"]["uuid"] = "GPU-of-another"
    second["mole"] |= {"id": "another", "epoch": "boot.9"}
    answer: Any = site.client.post("/", json=second, environ_base={"REMOTE_ADDR": "192.0.2.9"})
    assert answer.status_code == 403
    assert "this token is in use on another machine" in answer.json["msg"]
    assert len(answer.json["msg"]) < 280, "a mole cuts it there"
    assert "192.0.2.9<small>mole another<" in site.client.get("/host/gpu01").text
    assert site.status(site.token) == 200


@pytest.mark.parametrize(
    ("environ", "writable", "path"),
    [
        ({"STATE_DIRECTORY": "/run/state:/other"}, True, "/run/state/tokens.json"),
        ({"HOME": "/home/x"}, True, "{tmp}/cluster-dash/tokens.json"),
        ({"HOME": "/home/x"}, False, "/home/x/.local/state/cluster-dash/tokens.json"),
        ({"HOME": "/home/x", "XDG_STATE_HOME": "/xdg"}, False, "/xdg/cluster-dash/tokens.json"),
    ],
)
def test_where_the_file_is(tmp_path: Path, environ: dict[str, str], writable: bool, path: str) -> None:
    system = tmp_path / "cluster-dash" if writable else Path("/proc/none/cluster-dash")
    assert str(token_path(Access(), environ, system)) == path.format(tmp=tmp_path)
    assert token_path(Access(token_file="/x/t.json"), environ, system) == Path("/x/t.json")


def test_nothing_secret_is_told_by_the_settings(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.DEBUG):
        config = Config(Access(passcode="canary-passcode"))
        create_app(config, start=False)
    for text in (repr(config), str(config), repr(config.access), caplog.text):
        assert "canary" not in text
