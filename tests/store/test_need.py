"""What the server has lost after it acknowledged it, it gets again: a real server and a real mole."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from mole.peers import MOLE_FOLDER, free_port
from processes import LONG_S, SERVE, Program, Server, until

pytestmark = pytest.mark.slow

AWAY = {"CLUSTER_DASH_STORE_URL": "http://localhost:9/history"}
"""A ClickHouse server that isn't there: all stays in the journal."""
MOLE = [sys.executable, str(MOLE_FOLDER / "smart_startup.py")]


class Site:
    """A server at one address, and a mole that posts to it three times a second and prints each reading."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "server"
        environ = {"STATE_DIRECTORY": str(self.state), "CLUSTER_DASH_STORE_URL": ""}
        self.server = Server(folder, environ, port=free_port(), command=SERVE)
        settings = {
            "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.3",
            "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
            "JSON_SENDER_LOGGER_ADDRESS_IN": self.server.url + "/",
            "JSON_SENDER_LOGGER_AUTH_CODE": posts.PASSCODE,
            "JSON_SENDER_LOGGER_TIMEOUT_IN_SECS": str(LONG_S),
            "OUTBOX_POSTS_PER_SEC": "1000",
            "STATE_STATE_DIR": str(folder / "mole"),
            "STDOUT_LOGGER_USE": "true",
            "STDOUT_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        }
        environ = {f"CLUSTER_DASH_MOLE_{name}": value for name, value in settings.items()}
        self.mole = Program(MOLE, folder / "mole.log", environ)

    def read(self) -> list[int]:
        """When each post was made, ms."""
        lines = [line for line in self.mole.log.splitlines() if line.startswith("{") and line.endswith("}")]
        return [math.floor(json.loads(line)["timestamp"] * 1000) for line in lines]

    def stored(self) -> list[int]:
        """The times of the points in the store, ms."""
        asked = {"metric": "sys.cpu_percent", "from": 0}
        answer = requests.get(self.server.url + "/api/series", params=asked, timeout=LONG_S)
        if not answer.ok:
            return []
        return [round(at * 1000) for series in answer.json()["series"] for at in series["time"]]

    def go_on(self, posts: int) -> None:
        """Until so many more readings are made and stored."""
        enough = len(self.read()) + posts
        until(lambda: len(self.read()) >= enough)
        made = self.read()[enough - 1]
        until(lambda: made in self.stored())

    def put_back(self, older: Path) -> None:
        shutil.rmtree(self.state)
        shutil.copytree(older, self.state, symlinks=True, ignore=shutil.ignore_patterns("*.socket"))


@pytest.fixture
def site(tmp_path: Path) -> Generator[Site]:
    site = Site(tmp_path)
    yield site
    site.mole.kill()
    site.server.kill()


def test_a_server_that_is_put_back_to_an_older_state_gets_what_it_has_lost(site: Site, tmp_path: Path) -> None:
    site.server.start()
    site.mole.start()
    site.go_on(5)
    site.server.end()
    shutil.copytree(site.state, tmp_path / "older", symlinks=True, ignore=shutil.ignore_patterns("*.socket"))
    site.server.start()
    site.go_on(8)
    site.mole.end()  # so that another start of the mole is among what is lost
    site.mole.start()
    site.go_on(8)
    acknowledged = set(site.stored())
    site.server.kill()
    site.put_back(tmp_path / "older")
    site.server.start()
    until(lambda: acknowledged <= set(site.stored()), message="what was lost doesn't come again")
    found = site.stored()
    assert len(found) == len(set(found))
    site.server.end()
    site.server.start()
    site.go_on(3)
    again = site.stored()
    assert len(again) == len(set(again)), "it is stored once, also after a restart"


def is_open(server: Server) -> bool:
    return server.get("/api/metrics").ok


def told(server: Server, seq: int, **mole: Any) -> dict[str, Any]:
    """The answer to a post of a mole that has sent all before it and still has them."""
    post = posts.host_post("gpu01", gpus=1, seq=seq)
    post["mole"] |= {"backlog": 0, "kept": [["boot.1", 1, seq - 1]] if seq > 1 else [], **mole}
    return server.post(post).json()


def test_answers_tell_up_to_which_post_all_is_on_disk_and_which_is_missing(site: Site) -> None:
    site.server.start()
    told(site.server, 1)
    until(lambda: is_open(site.server))
    assert told(site.server, 2)["ack"] == {"epoch": "boot.1", "seq": 2}
    assert told(site.server, 6, backlog=3)["need"] == []
    answer = told(site.server, 7)
    assert (answer["ack"]["seq"], answer["need"]) == (2, [["boot.1", 3, 5]])
    batch = [{**posts.host_post("gpu01", gpus=1, seq=seq), "auth_code": ""} for seq in (3, 4, 5)]
    asked = {"auth_code": posts.PASSCODE, "posts": batch}
    assert requests.post(site.server.url + "/batch", json=asked, timeout=LONG_S).json()["ack"]["seq"] == 7
    of_two = {**asked, "posts": [*batch, posts.host_post("gpu02", gpus=1)]}
    assert "ack" not in requests.post(site.server.url + "/batch", json=of_two, timeout=LONG_S).json()
    site.server.end()
    site.server.start()
    until(lambda: is_open(site.server))
    answer = told(site.server, 8)
    assert (answer["ack"]["seq"], answer["need"]) == (8, [])


def test_what_a_damaged_journal_has_cost_is_asked_for_and_nothing_else(site: Site) -> None:
    site.server.start()
    told(site.server, 1)
    until(lambda: is_open(site.server))
    site.server.end()
    site.server = Server(tmp := site.folder, {"STATE_DIRECTORY": str(site.state), **AWAY}, command=SERVE).start()
    for seq in range(2, 20):
        assert told(site.server, seq)["success"]
    site.server.kill()
    path = max((site.state / "journal").glob("*.journal"), key=lambda file: file.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    site.server = Server(tmp, {"STATE_DIRECTORY": str(site.state), "CLUSTER_DASH_STORE_URL": ""}, command=SERVE).start()
    until(lambda: is_open(site.server))
    need = told(site.server, 20)["need"]
    assert len(need) == 1, need
    [[_, first, last]] = need
    assert 1 < first == last < 20
    assert told(site.server, 21)["need"] == [], "not with every answer"
    assert told(site.server, first)["late"]
    assert told(site.server, 22)["ack"]["seq"] == 22
