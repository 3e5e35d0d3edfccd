"""What started, as a real server with a store tells it: what gaps are explained by."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from processes import LONG_S, SERVE, Server, until

pytestmark = pytest.mark.slow


def post_at(server: Server, at: float, epoch: str, since_boot_s: float = 5000.0, host: str = "gpu01") -> None:
    post = posts.host_post(host, gpus=1, timestamp=at)
    post["mole"] |= {"epoch": epoch, "mono_s": since_boot_s}
    server.post(post).raise_for_status()


def events(server: Server, **asked: Any) -> list[tuple[str, str, float]]:
    until(lambda: server.get("/api/events?host=gpu01").ok)
    found = requests.get(server.url + "/api/events", params={"host": "gpu01", **asked}, timeout=LONG_S).json()["events"]
    return [(each["kind"], each["host"], each["time"]) for each in found]


def post_with_wrong_clock(server: Server) -> list[Any]:
    """What should be told of it then: as of when its posts came, as of its points."""
    for at_s, epoch in ((0.0, "a.1"), (10.0, "b.2"), (250e9, "b.3")):
        post_at(server, at_s, epoch, since_boot_s=1000.0, host="wrong")
    now = pytest.approx(time.time(), abs=60)
    booted_at = pytest.approx(time.time() - 1000, abs=60)
    return [("host boot", "wrong", booted_at), ("mole start", "wrong", now), ("mole start", "wrong", now)]


def test_starts_of_moles_hosts_and_the_server_are_kept_over_a_restart(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    now = time.time()
    with Server(tmp_path, environ, command=SERVE) as server:
        until(lambda: server.get("/api/events").ok)
        wrong = post_with_wrong_clock(server)
        post_at(server, now - 300, "a.1")
        post_at(server, now - 290, "a.1")
        post_at(server, now - 200, "a.2")
        post_at(server, now - 100, "b.3", since_boot_s=30.0)
        of_host = [
            ("mole start", "gpu01", pytest.approx(now - 200, abs=0.01)),
            ("host boot", "gpu01", pytest.approx(now - 130, abs=0.01)),
            ("mole start", "gpu01", pytest.approx(now - 100, abs=0.01)),
        ]
        until(lambda: len(events(server)) == 4)
        assert events(server)[:3] == of_host
        assert events(server, **{"from": now - 250, "to": now - 150}) == of_host[:1]
        assert [each for each in events(server, host="wrong") if each[1]] == wrong
        for asked, says in (("from=x", "from='x' must be"), ("from=5&to=4", "from must be before to")):
            answer = server.get(f"/api/events?{asked}")
            assert (answer.status_code, says in answer.json()["msg"]) == (400, True)
        server.kill()
        server.port = 0
        server.start()
        post_at(server, time.time(), "b.3")  # the same start goes on
        until(lambda: [kind for kind, *_ in events(server)].count("server start") == 2)
        assert events(server)[:3] == of_host
        asked = requests.get(server.url + "/api/events", params={"from": now - 400}, timeout=LONG_S).json()["events"]
        assert [each["kind"] for each in asked] == ["server start"] * 2
        assert "off_since" not in asked[0]["data"]
        assert now - 1 < asked[1]["data"]["off_since"] < asked[1]["time"]


def test_without_a_store_there_are_none(tmp_path: Path) -> None:
    with Server(tmp_path, {"CLUSTER_DASH_STORE_URL": "none"}) as server:
        assert server.get("/api/events").status_code == requests.codes.not_found
