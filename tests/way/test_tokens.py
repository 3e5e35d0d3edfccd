"""Tokens as a person uses them: the command, a server that runs meanwhile, a mole; and that no secret is ever told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import posts
import pytest
import requests
from processes import LONG_S, ROOT, Program, Server, until

pytestmark = pytest.mark.slow

COMMAND = [str(Path(sys.executable).parent / "cluster-dash-server")]
MODULE = [sys.executable, "-m", "cluster_dash_server"]


class Site:
    """A server with a passcode and a token file in a folder of the test's."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "tokens.json"
        self.environ = {"CLUSTER_DASH_ACCESS_TOKEN_FILE": str(self.path), "CLUSTER_DASH_PASSCODE": "canary-passcode"}
        self.server = Server(folder, self.environ)

    def command(self, *words: str, command: list[str] = COMMAND) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "token", *words], env={**os.environ, **self.environ}, capture_output=True, text=True,
            timeout=LONG_S, check=False,
        )  # fmt: skip

    def token(self, host: str = "gpu01") -> str:
        done = self.command(host)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def status(self, token: str, session: requests.Session | None = None, hostname: str = "gpu01") -> int:
        sender = session or requests
        return sender.post(self.server.url, json=posts.host_post(hostname, auth_code=token), timeout=LONG_S).status_code

    def notes(self) -> str:
        return str(self.server.get("/health").json().get("notes", ""))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with site.server:
        yield site


def test_the_command_makes_lists_and_revokes(tmp_path: Path) -> None:
    site = Site(tmp_path)
    made = site.command("gpu01")
    assert made.stdout.startswith("cdash_")
    assert made.stdout.count("\n") == 1
    assert str(site.path) in made.stderr
    again = site.command("gpu01", command=MODULE)
    assert again.returncode == 0
    listed = site.command("--list")
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["gpu01", "gpu01"]
    for token in (made.stdout.strip(), again.stdout.strip()):
        assert token not in listed.stdout + listed.stderr + site.path.read_text()
    assert site.command("--revoke", "gpu01", "--keep-newest").stderr.startswith("1 revoked")
    assert site.command("--revoke", "gpu01").returncode == 0
    assert site.command("--revoke", "gpu01").returncode == 1
    assert site.command("--list").stdout == ""


@pytest.mark.parametrize(
    "words", [[], [""], ["a\nb"], [".."], ["x" * 257], ["gpu01", "--list"], ["x", "--keep-newest"]]
)
def test_wrong_usage_makes_no_token(tmp_path: Path, words: list[str]) -> None:
    site = Site(tmp_path)
    done = site.command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert not site.path.exists()


def test_commands_at_once_lose_no_token(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with ThreadPoolExecutor(4) as makers:
        made = set(makers.map(site.token, [f"gpu{index}" for index in range(4)]))
    assert len(made) == 4
    assert len(site.command("--list").stdout.splitlines()) == 4


def test_a_running_server_follows_the_file_whatever_becomes_of_it(site: Site) -> None:
    with requests.Session() as session:  # a connection that is kept must notice as well
        first = site.token()
        until(lambda: site.status(first, session) == 200)
        assert site.status(first, session, "gpu02") == 403
        second = site.token("gpu02")
        until(lambda: site.status(second, session, "gpu02") == 200)
        assert site.command("--revoke", "gpu01").returncode == 0
        until(lambda: site.status(first, session) == 401)
        assert site.status(second, session, "gpu02") == 200

        good = site.path.read_bytes()
        site.path.write_bytes(good[:50])
        until(lambda: "is damaged" in site.notes())
        assert (site.status(second, session, "gpu02"), site.status(first, session)) == (200, 401)
        assert "is damaged" in site.server.get("/").text
        site.path.write_bytes(good)
        until(lambda: not site.notes())

        site.path.unlink()
        until(lambda: site.status(second, session, "gpu02") == 401)
        assert "was deleted" in site.notes()
        assert site.status("canary-passcode", session, "gpu03") == 200
    log = site.server.log
    for words in ("is damaged", "was deleted", "can be read again", "with the token of 'gpu01'"):
        assert log.count(words) == 1
    for secret in (first, second, "canary", "Traceback"):
        assert secret not in log


def test_a_mole_posts_with_a_token_and_tells_it_nobody(site: Site, tmp_path: Path) -> None:
    hostname = os.uname().nodename
    token = site.token(hostname)
    settings = tmp_path / "mole.toml"
    settings.write_text(
        f'[Poll_Settings]\npoll_interval_in_secs = 0.2\n[Json_Sender_Logger]\naddress_in = "{site.server.url}/"\n'
        f'auth_code = "{token}"\nmin_interval_in_secs = 0\n'
    )
    environ = {"CLUSTER_DASH_MOLE_CONFIG": str(settings), "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, str(ROOT / "cluster-dash-mole" / "smart_startup.py")]
    with Program(command, tmp_path / "mole.log", environ) as mole:
        until(lambda: hostname in site.server.get("/").text, message="the mole's posts are not taken")
        site.command("--revoke", hostname)
        until(lambda: "answers 401" in mole.log)
        mole.end()
    assert token not in mole.log + site.server.log


def test_no_secret_of_a_request_is_in_any_answer_or_in_the_log(site: Site) -> None:
    token = site.token()
    canary = "canary-of-a-request"
    told: list[str] = []

    def ask(method: str, path: str, **more: object) -> int:
        answer = requests.request(method, site.server.url + path, timeout=LONG_S, **more)  # pyright: ignore[reportArgumentType]
        told.append(f"{answer.headers}{answer.text}")
        return answer.status_code

    json_type = {"Content-Type": "application/json"}
    bearer = {"Authorization": f"Bearer {canary}"}
    good = posts.host_post(auth_code=token)
    changed = {**good, "timestamp": 5}
    until(lambda: ask("POST", f"/?auth_code={canary}", json=good) == 200, message="the token is never taken")
    assert ask("POST", "/", json=changed) == 409
    assert ask("POST", "/", json=posts.host_post("gpu02", auth_code=token)) == 403
    assert ask("POST", "/", json=posts.host_post(auth_code=canary)) == 401
    assert ask("POST", "/", json=posts.host_post(), headers=bearer) == 401
    assert ask("POST", "/", json={"auth_code": token, "hostname": 5, "timestamp": token}) == 400
    assert ask("POST", "/", data='{"auth_code": "canary-passcode"', headers=json_type) == 400
    assert ask("POST", "/", json={"auth_code": token, "x": "x" * 2**21}) == 413
    assert ask("POST", "/", data=f"auth_code={canary}") == 415
    assert ask("PUT", f"/?auth_code={canary}", headers=bearer) == 405
    for path in ("/", "/nowhere", "/host/nobody", "/host/gpu01", "/health", "/health?verbose", "/api/dashboard-data"):
        for accept in ("text/html", "*/*"):
            ask("GET", path, headers={**bearer, "Accept": accept, "Cookie": f"x={canary}"})
            ask("GET", f"{path}{'&' if '?' in path else '?'}auth_code={canary}", headers={"Accept": accept})
    for text in (*told, site.server.log):
        assert "canary" not in text
        assert token not in text
        assert "lab_cluster_2025" not in text
