"""Kill -9 at random moments, of the server, of its moles and of both: what was acknowledged is there, once.

Processes are forked from one that has imported all, since that takes longer than everything else.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from load import Load
from mole.peers import MOLE_FOLDER, free_port
from mole.test_outbox_process import KILLING as KILLING_MOLES
from nvml_standin import without_library
from processes import LONG_S, SERVE, Program, Server, until

pytestmark = pytest.mark.slow

KILLS = 20
# Starts a server, kills it at any moment after it has taken a post or two, and again; "early" acknowledges before the
# disk has it, so that the test can fail.
KILLING = """
import ctypes, os, random, signal, sys, threading, time
from http.client import HTTPConnection
import clickhouse_connect, pyarrow
import cluster_dash_server.store.store as store
from cluster_dash_server.cli import main

port, kills, longest_s, is_early = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "early"
if is_early:
    kept = store.Store.keep
    store.Store.keep = lambda self, coming: threading.Timer(0.3, kept, (self, coming)).start()

def answers():
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()

chance = random.Random(11)
for number in range(kills):
    child = os.fork()
    if not child:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with who started it
        sys.argv = ["cluster-dash-server", "serve", "--listen", f"127.0.0.1:{port}"]
        os._exit(main() or 0)
    while not answers():
        time.sleep(0.01)
    time.sleep(chance.uniform(0.1, longest_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


class Site:
    """One folder and one port for all servers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.environ = {"STATE_DIRECTORY": str(folder / "state"), "CLUSTER_DASH_STORE_URL": ""}
        self.server = Server(folder, self.environ, port=self.port, command=SERVE)

    def killing(self, kills: int, longest_s: float, how: str = "") -> Program:
        words = [sys.executable, "-c", KILLING, str(self.port), str(kills), str(longest_s), how]
        return Program(words, self.folder / "killing.log", self.environ)

    def stored(self, metric: str) -> dict[str, list[tuple[float, float]]]:
        """(time, value) of all points by host, from a server that is only started for it."""

        def answer() -> list[requests.Response]:
            asked: dict[str, Any] = {"metric": metric, "from": 0}
            found = requests.get(self.server.url + "/api/series", params=asked, timeout=LONG_S)
            return [found] if found.ok else []

        [found] = until(answer)
        return {each["host"]: list(zip(each["time"], each["value"], strict=True)) for each in found.json()["series"]}


@pytest.fixture
def site(tmp_path: Path) -> Generator[Site]:
    site = Site(tmp_path)
    yield site
    site.server.kill()


def kill_under_load(site: Site, kills: int, how: str = "") -> Load:
    with site.killing(kills, 0.9, how) as killing, Load(lambda: site.server.url) as load:
        assert killing.process
        assert killing.process.wait(4 * LONG_S) == 0, killing.log
    return load


def test_each_post_that_was_acknowledged_is_there_once_after_20_kills(site: Site) -> None:
    load = kill_under_load(site, KILLS)
    site.server.start()
    found = {host: [value for _, value in points] for host, points in site.stored("sys.load_1m").items()}
    for host, numbers in load.acknowledged.items():
        assert len(numbers) >= KILLS
        assert numbers <= set(found[host]), f"lost of {host}: {sorted(numbers - set(found[host]))}"
        assert len(found[host]) == len(set(found[host])), f"{host} has posts twice"
    assert load.unanswered >= KILLS
    assert "damaged" not in site.server.log


def test_the_same_kills_cost_posts_that_are_acknowledged_before_the_disk_has_them(site: Site) -> None:
    load = kill_under_load(site, 4, "early")
    site.server.start()
    found = {host: {value for _, value in points} for host, points in site.stored("sys.load_1m").items()}
    assert any(numbers - found.get(host, set()) for host, numbers in load.acknowledged.items())


def test_with_server_and_mole_killed_at_random_at_most_the_reading_in_hand_is_lost(site: Site, tmp_path: Path) -> None:
    moles = tmp_path / "moles"
    moles.mkdir()
    settings = {
        "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.1",
        "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        "JSON_SENDER_LOGGER_ADDRESS_IN": f"http://127.0.0.1:{site.port}/",
        "JSON_SENDER_LOGGER_AUTH_CODE": posts.PASSCODE,
        "OUTBOX_POSTS_PER_SEC": "1000",
        "STATE_STATE_DIR": str(tmp_path / "mole"),
        "STDOUT_LOGGER_USE": "true",
        "STDOUT_LOGGER_MIN_INTERVAL_IN_SECS": "0",
    }
    environ = {f"CLUSTER_DASH_MOLE_{name}": value for name, value in settings.items()} | without_library(tmp_path)
    words = [sys.executable, "-c", KILLING_MOLES, str(moles), str(KILLS), "1.0", "kept"]
    with site.killing(KILLS // 2, 1.0) as killing, Program(words, tmp_path / "moles.log", environ) as killed:
        assert killed.process
        assert killed.process.wait(4 * LONG_S) == 0, killed.log
        assert killing.process
        assert killing.process.wait(4 * LONG_S) == 0, killing.log
    made: dict[tuple[str, int], int] = {}
    for path in moles.glob("stdout*"):
        for line in path.read_text().split("\n")[:-1]:
            post = json.loads(line)
            made[post["mole"]["epoch"], post["mole"]["seq"]] = math.floor(post["timestamp"] * 1000)
    newest = {epoch: max(seq for name, seq in made if name == epoch) for epoch, _ in made}
    assert len(newest) == KILLS
    site.server.start()
    mole = [sys.executable, str(MOLE_FOLDER / "smart_startup.py")]
    with Program(mole, tmp_path / "last.log", environ):
        owed = {at for (epoch, seq), at in made.items() if seq != newest[epoch]}
        until(lambda: owed <= set(times(site)), message="of what was read some is not in the store")
    found = times(site)
    assert len(found) == len(set(found)), "posts are there twice"


def times(site: Site) -> list[int]:
    """When the posts of all points in the store were made, ms."""
    return [round(at * 1000) for points in site.stored("sys.cpu_percent").values() for at, _ in points]
