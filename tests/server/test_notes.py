"""What is wrong with a host, since when, and whose time that is."""

from __future__ import annotations

import re
import time
from typing import Any

import orjson
import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config
from cluster_dash_server.views.notes import mount_without_names, since_words

LOST = "GPU is lost (since 2026-11-22 10:25:17)"


@pytest.fixture
def seconds() -> list[float]:
    return [0.0]


@pytest.fixture
def client(seconds: list[float]) -> FlaskClient:
    def monotonic() -> float:
        return seconds[0]

    return create_app(Config(), start=False, monotonic=monotonic, wall=wall_beside(monotonic)).test_client()


def page_of(client: FlaskClient, name: str) -> str:
    return re.sub(r"\s+", " ", client.get(f"/host/{name}", headers={"Accept": "text/html"}).text)


def test_a_disk_that_is_nearly_full_says_for_how_long(client: FlaskClient, seconds: list[float]) -> None:
    def post(percent: int) -> None:
        disk = {"d": {"mount_point": "/data", "percent_used": percent}}
        client.post("/", json=posts.host_post("gpu01", disk=disk))

    for at in range(0, 601, 10):
        seconds[0] = at
        post(92 if at >= 300 else 80)
    assert "gpu01: /data is 92 % full (for 5 min)" in client.get("/").text.splitlines()
    assert "/data is 92 % full (for 5 min)" in page_of(client, "gpu01")
    post(50)
    assert "full" not in client.get("/").text


def test_the_moles_own_date_and_what_the_server_saw_are_told_apart(client: FlaskClient, seconds: list[float]) -> None:
    started, lost = time.time(), {"0": posts.gpu(0, state="lost", error=LOST)}
    for at in range(0, 121, 10):
        seconds[0] = at
        client.post("/", json=posts.host_post("gpu01", gpu=lost, disk={}, timestamp=started + at))
    words = "GPU 0 lost: GPU is lost (since 2026-11-22 10:25:17 by its mole, seen here for 2 min)"
    assert f"gpu01: {words}" in client.get("/").text.splitlines()
    assert words in page_of(client, "gpu01")
    host: dict[str, Any] = orjson.loads(client.get("/api/hosts").data)["hosts"][0]
    notes: list[dict[str, Any]] = host["notes"]
    note = next(note for note in notes if note["kind"] == "gpu")
    assert (note["text"], note["told_since"]) == ("GPU 0 lost: GPU is lost", "2026-11-22 10:25:17 by its mole")
    assert host["gpus"][0]["why"] == "GPU is lost (since 2026-11-22 10:25:17 by its mole)"


@pytest.mark.parametrize(
    ("since_s", "told", "words"),
    [(None, None, ""), (0.4, None, ""), (120, None, "for 2 min"), (None, "X by its mole", "since X by its mole")],
)
def test_since_when_is_left_out_where_it_isnt_known(since_s: float | None, told: str | None, words: str) -> None:
    assert since_words(since_s, told) == words


@pytest.mark.parametrize(
    ("mount", "shown"), [("/", "/"), ("/data", "/data"), ("/home/alice", "/home/…"), ("/mnt/a/alice", "/mnt/…")]
)
def test_a_mount_point_without_names(mount: str, shown: str) -> None:
    assert mount_without_names(mount) == shown
