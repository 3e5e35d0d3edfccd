"""The server was away for an hour and its moles bring what they have kept: real outboxes, a real server."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from processes import LONG_S, SERVE, Server, until

from cluster_dash_mole.backlog import Backlog
from cluster_dash_mole.config import JsonSenderLoggerSettings
from cluster_dash_mole.kept_sender import KeptSender
from cluster_dash_mole.outbox import Outbox
from cluster_dash_mole.outbox_files import OutboxFiles

pytestmark = pytest.mark.slow

MOLES = 50
HOUR_S = 3600
EVERY_S = 36
PER_S = 20
"""Posts of each mole's backlog: so an hour's take five seconds."""


def post_of(host: str, number: int, at_s: float, epoch: str, seq: int) -> dict[str, Any]:
    """Its load says which one it is."""
    cpu = {"cpu_percent": 1, "load_avgs": [number, 0, 0], "num_cpus": 8}
    post = posts.host_post(host, gpus=1, seq=seq, timestamp=at_s, cpu=cpu)
    del post["auth_code"]
    post["mole"]["epoch"] = epoch
    return post


class Mole:
    """One that was started again after an hour without a server, and found what it had read."""

    def __init__(self, folder: Path, host: str, url: str, now_s: float) -> None:
        self.host = host
        files = OutboxFiles(folder, 2**24)
        self.kept = HOUR_S // EVERY_S
        for number in range(1, self.kept + 1):
            post = post_of(host, number, now_s - HOUR_S + (number - 1) * EVERY_S, "boot.1", number)
            files.append("boot.1", number, zlib.compress(json.dumps(post).encode(), 1))
        files.close()
        self.outbox = Outbox(folder, "boot.2", 2**24)
        settings = JsonSenderLoggerSettings(True, 0, url, posts.PASSCODE, timeout_in_secs=LONG_S)
        self.sender = KeptSender(settings, 0.5, self.outbox, PER_S)
        self.now_s = now_s
        self.sent = 0

    def send(self) -> None:
        """A live post."""
        self.sent += 1
        self.sender.send(
            post_of(self.host, self.kept + self.sent, self.now_s + self.sent, "boot.2", 0), float(self.sent)
        )

    def close(self) -> None:
        self.sender.close()


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    with Server(tmp_path, environ, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok)
        yield server


@pytest.fixture
def may_start(monkeypatch: pytest.MonkeyPatch) -> Generator[threading.Event]:
    """Until then no mole sends of what it has kept."""
    may_start, step = threading.Event(), Backlog.step

    def step_later(backlog: Backlog) -> float | None:
        may_start.wait()
        return step(backlog)

    monkeypatch.setattr(Backlog, "step", step_later)
    yield may_start
    may_start.set()


@pytest.fixture
def moles(tmp_path: Path, server: Server, may_start: threading.Event) -> Generator[list[Mole]]:
    now_s = time.time()
    moles = [Mole(tmp_path / f"mole{at}", f"gpu{at:02}", server.url + "/", now_s) for at in range(MOLES)]
    yield moles
    for mole in moles:
        mole.close()


def stored(server: Server) -> dict[str, list[int]]:
    """By host the numbers of its posts in the order of their times."""
    answer = requests.get(server.url + "/api/series", params={"metric": "sys.load_1m", "from": 0}, timeout=LONG_S)
    return {each["host"]: [int(value) for value in each["value"]] for each in answer.json()["series"]}


def test_what_50_moles_have_kept_for_an_hour_is_there_once_in_order_and_delays_no_live_post(
    server: Server, moles: list[Mole], may_start: threading.Event
) -> None:
    for mole in moles:
        mole.send()
    until(lambda: len(server.get("/api/hosts").json()["hosts"]) == MOLES)
    assert all(mole.outbox.waiting >= mole.kept for mole in moles), "live posts came before the backlog was sent"
    may_start.set()
    until(lambda: not any(mole.outbox.waiting for mole in moles), 2 * LONG_S, "the backlog isn't sent")
    for mole in moles:
        mole.send()
    until(lambda: not any(mole.outbox.waiting for mole in moles))
    expected = {mole.host: list(range(1, mole.kept + mole.sent + 1)) for mole in moles}
    until(lambda: stored(server) == expected)
    hosts = server.get("/api/hosts").json()["hosts"]
    assert all(host["age_s"] < 300 for host in hosts), "a post that came late is no host's latest"
    assert all(mole.outbox.dropped == 0 for mole in moles)
    assert not server.get("/health").json().get("reasons")
