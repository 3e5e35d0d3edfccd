"""The server's clock is set while it keeps posts, and it is killed meanwhile: nothing is lost, nothing counts twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from clock_standin import HOUR_S, YEAR_S, ClockStandin
from processes import LONG_S, SERVE, Server, until

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path, clock: ClockStandin) -> Generator[Server]:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": "", **clock.env}
    with Server(tmp_path, environ, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok)
        yield server


def post(server: Server, number: int) -> dict[str, Any]:
    """By a host whose clock is right, its load says which one it is. What the server answers."""
    cpu = {"cpu_percent": 1, "load_avgs": [number, 0, 0], "num_cpus": 8}
    answer = server.post(posts.host_post("gpu01", gpus=1, seq=number, cpu=cpu))
    assert answer.json()["success"], answer.text
    return answer.json()


def stored(server: Server) -> list[int]:
    """In the order of their times."""
    asked: dict[str, Any] = {"metric": "sys.load_1m", "from": 0, "to": 4e9}
    answer = requests.get(server.url + "/api/series", params=asked, timeout=LONG_S)
    return [int(value) for each in answer.json()["series"] for value in each["value"]] if answer.ok else []


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S, 10 * YEAR_S])
def test_a_step_of_the_servers_clock_costs_no_post(server: Server, clock: ClockStandin, off_s: float) -> None:
    number = 0
    for step_s in (0.0, off_s, 0.0):
        clock.set(step_s)
        for _ in range(3):
            number += 1
            post(server, number)
            time.sleep(0.01)
        expected = list(range(1, number + 1))
        until(lambda expected=expected: sorted(stored(server)) == expected, message="lost, or there twice")
    number += 1
    clock.set(off_s)
    post(server, number)
    server.kill()
    server.port = 0
    clock.set(0.0)
    server.start()
    until(lambda: sorted(stored(server)) == list(range(1, number + 1)), message="lost, or there twice")
    answer = post(server, number + 1)
    assert answer["ack"]["seq"] > 6, "what came before the clock was set hides in the store what came afterwards"
    until(lambda: (number + 1) in stored(server))
    assert "Traceback" not in server.log


# ClickHouse's own clock can't be set here: so points are old and the server's clock is set. Prints how many are left.
REMOVING = """
import sys, time
from pathlib import Path
import pyarrow as pa
from cluster_dash_server.store.journal import Journal
from cluster_dash_server.store.store import Store
from cluster_dash_server.store.tables import Days
from cluster_dash_server.store.target import target_of

folder, off_s, table = Path(sys.argv[1]), [0.0], "training_observability.metric_points"
target = target_of("", folder)
store = Store(target, Journal(folder / "journal", 2**24), Days(14, 31, 90, 730), wall=lambda: time.time() + off_s[0])
client = target.connect()

def left():
    ms = [int((time.time() - 20 * 86400) * 1000)]
    client.insert_arrow(table, pa.table({"event_time": pa.array(ms, pa.timestamp("ms", tz="UTC")), "metric": ["m"]}))
    client.command(f"OPTIMIZE TABLE {table} FINAL")
    [row] = client.query_arrow(f"SELECT count() AS n FROM {table}", {}).to_pylist()
    return row["n"]

for off_s[0] in (0.0, 10 * 365 * 86400.0, 0.0):
    for _ in range(2):
        store.step(lambda *_: None)
    print(left(), *store.notes())
client.close()
store.close()
"""


def test_a_clock_ten_years_ahead_ends_the_life_of_no_history(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", REMOVING, tmp_path], capture_output=True, text=True, timeout=LONG_S)
    assert ran.returncode == 0, ran.stderr
    before, ahead, after = ran.stdout.splitlines()
    assert before == "0", "what is too old is removed"
    assert ahead.startswith("1 The clock was set by more than a day")
    assert after.startswith("0 ")
