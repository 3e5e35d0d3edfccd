"""A ClickHouse server as the store: the same answers as the engine within the process, and nothing lost or twice while
it is away, breaks off, or answers with errors.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from engine import PASSWORD, USER, EngineServer
from processes import ROOT, SERVE, Server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LONG_S = 60
FIRST_S = time.time() - 600
"""So that the order of the posts is that of their numbers, however they are sent."""
SEED = (ROOT / "tests/store/seed_table.sql").read_text()


@pytest.fixture
def engine(tmp_path: Path) -> Generator[EngineServer]:
    with EngineServer(tmp_path / "engine") as engine:
        yield engine


@pytest.fixture
def start(tmp_path: Path, engine: EngineServer) -> Generator[Callable[..., Server]]:
    started: list[Server] = []

    def start_one(**settings: str) -> Server:
        environ = {
            "STATE_DIRECTORY": str(tmp_path / "state"),
            "CLUSTER_DASH_STORE_URL": "",
            "CH_PORT": str(engine.port),
            "CH_USER": USER,
            "CH_PASSWORD": PASSWORD,
        }
        server = Server(tmp_path, environ | settings, command=SERVE)
        started.append(server)
        return server.start()

    yield start_one
    for server in started:
        assert PASSWORD not in server.log
        server.kill()


def post(server: Server, *numbers: int) -> None:
    """The load says which post it is."""
    for number in numbers:
        cpu = {"cpu_percent": 1.0, "load_avgs": [number, 0, 0], "num_cpus": 8}
        sent = posts.host_post("gpu01", gpus=1, seq=number, cpu=cpu, timestamp=FIRST_S + number / 10)
        answer = server.post(sent)
        assert answer.json()["success"], answer.text


def stored(server: Server, **asked: Any) -> list[int]:
    params = {"metric": "sys.load_1m", "from": time.time() - 3600, **asked}
    answer = requests.get(server.url + "/api/series", params=params, timeout=30)
    if not answer.ok:
        return []
    return [int(value) for series in answer.json()["series"] for value in series["value"]]


def command(server: Server, *words: str) -> tuple[int, str]:
    """Its exit code and what it told, by the settings of the server."""
    result = subprocess.run(
        [sys.executable, "-m", "cluster_dash_server", *words],
        env={**os.environ, **server.environ},
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    return result.returncode, result.stderr


def numbers(last: int) -> list[int]:
    return list(range(1, last + 1))


def test_it_keeps_and_answers_as_the_engine_within_the_process_does(
    start: Callable[..., Server], engine: EngineServer
) -> None:
    server = start()
    post(server, *numbers(30))
    until(lambda: stored(server) == numbers(30), LONG_S)
    assert stored(server, points=5)[-1] == 30
    assert stored(server, host="' OR 1=1 --") == []
    names = {each["name"] for each in server.get("/api/metrics").json()["metrics"]}
    assert {"sys.load_1m", "sys.gpu.util_percent"} <= names
    assert server.get("/health").json() == {"status": "ok"}
    assert f"the history is kept in http://127.0.0.1:{engine.port}/training_observability" in server.log
    server.kill()
    server.start()
    until(lambda: server.get("/api/hosts").json()["hosts"], LONG_S)
    assert stored(server) == numbers(30)


def test_whatever_becomes_of_an_insert_each_post_is_there_once(
    start: Callable[..., Server], engine: EngineServer
) -> None:
    server = start()
    last = 0
    for fault in ("500", "mute"):
        engine.order(fault)
        post(server, *range(last + 1, last + 11))
        until(lambda fault=fault: engine.had(fault), LONG_S, f"no {fault}")
        post(server, *range(last + 11, last + 21))
        last += 20
        engine.heal()
    until(lambda: stored(server)[-1:] == [last], LONG_S)
    assert stored(server) == numbers(last)
    engine.order("half")
    asked = {"metric": "sys.load_1m"}
    answer = requests.get(server.url + "/api/series", params=asked, timeout=30)
    assert (answer.status_code, engine.had("half") > 0) == (requests.codes.service_unavailable, True)
    engine.heal()
    assert stored(server) == numbers(last)


def test_one_that_hangs_holds_up_neither_posts_nor_pages(start: Callable[..., Server], engine: EngineServer) -> None:
    server = start()
    post(server, 1)
    until(lambda: stored(server) == [1], LONG_S)
    engine.order("hang")
    post(server, 2)
    until(lambda: engine.had("hang"), LONG_S)
    post(server, *range(3, 51))
    assert [host["name"] for host in server.get("/api/hosts").json()["hosts"]] == ["gpu01"]
    assert server.get("/", accept="text/html").ok
    engine.heal()
    until(lambda: stored(server) == numbers(50), LONG_S)


def test_one_that_is_away_later_and_at_the_start_is_told_and_gets_all_once_it_is_back(
    start: Callable[..., Server], engine: EngineServer
) -> None:
    server = start()
    post(server, *numbers(10))
    until(lambda: stored(server) == numbers(10), LONG_S)
    engine.kill()
    post(server, *range(11, 31))
    until(lambda: server.get("/health").status_code == requests.codes.service_unavailable, LONG_S)
    assert "The store is" in str(server.get("/health").json()["reasons"])
    assert "behind (Connection refused)" in server.get("/").text
    assert server.get("/api/series?metric=sys.load_1m").headers["Retry-After"]
    assert "cluster_dash_server_store_up 0.0\n" in server.get("/metrics").text
    server.kill()  # what waits outlives the server too
    server.start_without_waiting()
    post(server, *range(31, 41))
    engine.start()
    until(lambda: stored(server) == numbers(40), LONG_S)
    until(lambda: server.get("/health").json() == {"status": "ok"}, LONG_S)


def test_a_wrong_password_is_told_without_it(start: Callable[..., Server]) -> None:
    server = start(CH_PASSWORD="n0t-this/one")
    post(server, 1)
    until(lambda: "takes nothing, the journal keeps it" in server.log, LONG_S)
    assert "Authentication failed" in server.log
    for shown in (server.log, server.get("/health?verbose").text, server.get("/").text):
        assert "n0t-this" not in shown


def test_a_table_as_other_dashboards_make_it_is_used_as_it_is(
    start: Callable[..., Server], engine: EngineServer, tmp_path: Path
) -> None:
    """Its engine keeps a repeated row; an answer has it once all the same."""
    engine.ask("CREATE DATABASE training_observability")
    engine.ask(SEED)
    before = engine.ask("SHOW CREATE TABLE training_observability.metric_points")
    engine.ask(
        "INSERT INTO training_observability.metric_points (run_id, host, metric, value) VALUES ('r', 'a', 'loss', 2)"
    )
    server = start()
    engine.order("mute")
    post(server, *numbers(10))
    until(lambda: engine.had("mute"), LONG_S)
    engine.heal()
    order = random.Random(1).sample(range(11, 21), 10)
    post(server, *order)
    until(lambda: len(stored(server)) == 20, LONG_S)
    engine.ask("INSERT INTO training_observability.metric_points SELECT * FROM training_observability.metric_points")
    assert stored(server) == numbers(20)
    assert sum(server.get("/api/series?metric=sys.load_1m&points=3").json()["series"][0]["count"]) == 20
    assert engine.ask("SHOW CREATE TABLE training_observability.metric_points") == before
    loss = server.get("/api/series?metric=loss&run=r").json()["series"]
    assert [(each["host"], each["value"]) for each in loss] == [("a", [2.0])]
    backup = str(tmp_path / "backup")
    assert command(server, "backup", backup)[0] == 0
    code, told = command(server, "restore", backup)
    assert (code, "keeps a row twice that comes twice" in told) == (1, True), told
    engine.ask("TRUNCATE TABLE training_observability.metric_points")
    assert command(server, "restore", backup)[0] == 0
    assert stored(server) == numbers(20)
