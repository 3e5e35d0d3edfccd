"""How long questions to 30 days of history take, over HTTP from a real server: part of `make bench`.

Generated: `sys.gpu.util_percent` of 64 GPUs on 8 hosts every 5 s, all of it kept as points, 33 million. A question
about it reads nothing of other metrics, since the metric leads the table's order. The rollups are made by the server's
own steps. Takes minutes; `--days 3` is for a first look, `--folder` keeps what was made for the next time.

On a machine that is shared the time says little: the CPU that the server took stands beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from processes import SERVE, Server, until

from cluster_dash_server.config import Store as Settings
from cluster_dash_server.store.opening import days_of, open_store
from cluster_dash_server.store.tables import POINTS, make_tables
from cluster_dash_server.store.target import target_of

HOSTS, GPUS, INTERVAL_S, DAY_S = 8, 8, 5, 86_400
METRIC = "sys.gpu.util_percent"
ROUNDS = 7
SETTINGS = Settings(raw_days=40, minute_days=40)


def generate(folder: Path, days: int) -> None:
    """Points up to now, rolled up."""
    began = time.monotonic()
    target = target_of("", folder)
    assert target
    client = target.connect()
    make_tables(client, target.database, days_of(SETTINGS))
    end_s = int(time.time()) // INTERVAL_S * INTERVAL_S
    series, rows = HOSTS * GPUS, HOSTS * GPUS * DAY_S // INTERVAL_S
    for day in range(days, 0, -1):
        client.command(
            f"""INSERT INTO {target.database}.{POINTS} (event_time, run_id, host, device, metric, value, unit)
            WITH number % {series} AS gpu, ({end_s} - {day * DAY_S} + intDiv(number, {series}) * {INTERVAL_S}) AS at
            SELECT fromUnixTimestamp64Milli(toInt64(at * 1000 + 137)), '', concat('gpu', toString(intDiv(gpu, {GPUS}))),
            toUInt16(gpu % {GPUS}), '{METRIC}', round(50 + 45 * sin((at + gpu * 1000) / 7000)) + rand() % 5, '%'
            FROM numbers({rows})"""  # noqa: S608  # no outsider's text
        )
    client.close()
    inserted = time.monotonic()
    store = open_store(SETTINGS, folder, time.monotonic, time.time)
    assert store
    store.step(restore_nothing)
    while store.rollups.ends[0] < time.time() - 120:
        store.rollups.step()
    rolled = time.monotonic()
    store.close()
    print(
        f"{rows * days:,} points in {inserted - began:.0f} s, rolled up in {rolled - inserted:.0f} s of steps alone",
        flush=True,
    )


def restore_nothing(_post: dict[str, Any], _received_s: float) -> None: ...


def measure(server: Server, what: str, goal_ms: float, **asked: str | float) -> None:
    process, taken_ms, cpu_ms = psutil.Process(server.pid), list[float](), list[float]()
    content = b""
    with requests.Session() as session:
        for _ in range(ROUNDS):
            began, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
            answer = session.get(server.url + "/api/series", params={"metric": METRIC, **asked}, timeout=60)
            taken_ms.append((time.perf_counter() - began) * 1e3)
            cpu_ms.append((sum(process.cpu_times()[:2]) - cpu) * 1e3)
            answer.raise_for_status()
            content = answer.content
    found = json.loads(content)
    points = sum(len(each["time"]) for each in found["series"])
    print(
        f"{what:<28} {statistics.median(taken_ms):>5.0f} ms (goal {goal_ms:.0f}), least {min(taken_ms):.0f}, at first"
        f" {taken_ms[0]:.0f}, CPU {statistics.median(cpu_ms):.0f}; {len(found['series'])} series, {points:,} points"
        f" of {found['bucket_s']} s, {len(content):,} bytes",
        flush=True,
    )


def ask(folder: Path) -> None:
    environ = {
        "STATE_DIRECTORY": str(folder),
        "CLUSTER_DASH_STORE_URL": "",
        "CLUSTER_DASH_STORE_RAW_DAYS": str(SETTINGS.raw_days),
        "CLUSTER_DASH_STORE_MINUTE_DAYS": str(SETTINGS.minute_days),
    }
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        with Server(Path(scratch), environ, command=SERVE) as server:
            server.get("/", accept="text/html").raise_for_status()
            first_s = time.perf_counter() - began
            until(lambda: server.get("/api/metrics").ok, 60)
            known_s = time.perf_counter() - began
            print(f"start to first page {first_s:.1f} s (goal 5), to the first answer from the store {known_s:.1f} s")
            now = time.time() // 60 * 60
            one: dict[str, str | float] = {"host": "gpu3", "device": 5}
            measure(server, "1 hour of one, every point", 50, **one, **{"from": now - 3 * 3600, "to": now - 2 * 3600})
            measure(server, "24 hours of 64 to 500", 200, **{"from": now - DAY_S, "to": now, "points": 500})
            measure(server, "30 days of one to 500", 100, **one, **{"from": now - 30 * DAY_S, "to": now, "points": 500})
            measure(server, "30 days of one to 2,000", 100, **one, **{"from": now - 30 * DAY_S, "points": 2000})
            measure(server, "7 days of 64 to 500", 200, **{"from": now - 7 * DAY_S, "to": now, "points": 500})
            measure(server, "1 hour of 64 to 2,000", 200, **{"from": now - 3600, "to": now, "points": 2000})
            print(f"the server then: {psutil.Process(server.pid).memory_info().rss / 1e6:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--folder", type=Path, help="where the history is, or is to be made")
    parser.add_argument("--generate", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        place = arguments.folder or Path(made)
        if arguments.generate:
            generate(place, arguments.days)
        else:
            if not (place / "clickhouse").exists():
                days = str(arguments.days)  # in a process of its own: it would keep the folder
                command = [sys.executable, __file__, "--generate", "--days", days, "--folder", str(place)]
                subprocess.run(command, check=True)
            ask(place)
