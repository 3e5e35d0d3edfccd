"""A host's clock is set, forward and back, while its mole posts and while its server is away: both are real."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from clock_standin import HOUR_S, YEAR_S, ClockStandin
from mole.peers import MOLE_FOLDER, WAITS_LONG, free_port
from nvml_standin import without_library
from processes import LONG_S, SERVE, Program, Server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5 * LONG_S)]

STEPS = ((HOUR_S, True), (-50 * YEAR_S, False), (10 * YEAR_S, True), (-HOUR_S, False), (0.0, False))
"""How far ahead the clock is, and whether the server is killed before that and started again afterwards."""
IS_TIME_S = (-31 * 86_400, 600)
"""How far behind and ahead a clock may be."""
NEAR_S = 120
"""By how much what a busy machine holds up is dated wrongly at most; the clock is by an hour or years."""
READINGS = 3
"""After each step."""


class Site:
    """A server at one address, and a mole that posts to it five times a second and prints nearly each reading."""

    def __init__(self, folder: Path, clock: ClockStandin) -> None:
        environ = {"STATE_DIRECTORY": str(folder / "server"), "CLUSTER_DASH_STORE_URL": ""}
        self.server = Server(folder, environ, port=free_port(), command=SERVE)
        settings = {
            "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.2",
            "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
            "JSON_SENDER_LOGGER_ADDRESS_IN": self.server.url + "/",
            "JSON_SENDER_LOGGER_AUTH_CODE": posts.PASSCODE,
            "OUTBOX_POSTS_PER_SEC": "1000",
            "STATE_STATE_DIR": str(folder / "mole"),
            "STDOUT_LOGGER_USE": "true",
            "STDOUT_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        }
        environ = {f"CLUSTER_DASH_MOLE_{name}": value for name, value in settings.items()} | WAITS_LONG
        environ |= without_library(folder) | clock.env_of_old_python
        self.mole = Program([sys.executable, str(MOLE_FOLDER / "smart_startup.py")], folder / "mole.log", environ)

    def read(self) -> list[dict[str, Any]]:
        """All posts that were made."""
        lines = [line for line in self.mole.log.splitlines() if line.startswith("{") and line.endswith("}")]
        return [json.loads(line) for line in lines]

    def read_more(self) -> None:
        enough = len(self.read()) + READINGS
        until(lambda: len(self.read()) >= enough, message="the mole reads nothing")

    def stored(self) -> dict[float, list[float]]:
        """By how long the host was up, which tells readings apart: the times of the points."""
        asked: dict[str, Any] = {"metric": "sys.uptime_s", "from": 0, "to": 4e9}
        answer = requests.get(self.server.url + "/api/series", params=asked, timeout=LONG_S)
        found: dict[float, list[float]] = {}
        series: list[dict[str, list[float]]] = answer.json()["series"] if answer.ok else []
        for each in series:
            for at, up_s in zip(each["time"], each["value"], strict=True):
                found.setdefault(up_s, []).append(at)
        return found


def up_s(post: dict[str, Any]) -> float:
    return post["metrics"]["sys.uptime_s"]["value"][0]


@pytest.fixture
def site(tmp_path: Path, clock: ClockStandin) -> Generator[Site]:
    site = Site(tmp_path, clock)
    yield site
    site.mole.kill()
    site.server.kill()


def test_each_reading_is_there_once_at_its_time_whatever_the_hosts_clock_does(site: Site, clock: ClockStandin) -> None:
    """Where the clock is beyond what a clock may be off, at the time when it was made by the server's clock."""
    site.server.start()
    site.mole.start()
    site.read_more()
    for off_s, is_away in STEPS:
        if is_away:
            site.server.kill()
        clock.set(off_s)
        site.read_more()
        if is_away:
            site.server.start()
            site.read_more()
    made = {up_s(post): post["timestamp"] for post in site.read()}
    until(lambda: made.keys() <= site.stored().keys(), message="readings are lost")
    site.mole.end()
    found, booted_at = site.stored(), time.time() - time.monotonic()
    assert not {up_s: times for up_s, times in found.items() if len(times) > 1}, "readings are there twice"
    behind_s, ahead_s = IS_TIME_S
    right = {up_s: own_s for up_s, own_s in made.items() if behind_s < own_s - (booted_at + up_s) < ahead_s}
    assert {up_s: found[up_s][0] for up_s in right} == pytest.approx(right, abs=0.01), "some aren't at their own time"
    wrong = [(up_s, found[up_s][0]) for up_s in sorted(made.keys() - right.keys())]
    assert len(wrong) >= 3 * READINGS
    assert [at for _, at in wrong] == sorted({at for _, at in wrong}), "some are not in their order"
    assert all(abs(at - (booted_at + up_s)) < NEAR_S for up_s, at in wrong)
    assert site.mole.log.count("Traceback") == site.server.log.count("Traceback") == 0
