"""What the live hosts hold while a cluster posts for an hour: `.venv/bin/python benchmarks/memory.py`.

Minutes of CPU, so `make bench` leaves it out. Clocks are given, so an hour of posts takes as long as receiving them.
`--real` takes the posts of a real mole with all that NVML tells (300 series) in place of those of 5.5 kB.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import posts

from cluster_dash_server.config import Live
from cluster_dash_server.live.clock import Clock
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.points import points_of_post
from cluster_dash_server.query import now

INTERVAL_S, STEP_S, REPORT_S = 5, 10, 300
GOAL_MB = 350


def body_of(number: int, real: bool) -> bytes:
    """Each host has users and mounts of its own, so that they share no more than they would."""
    users = tuple(f"user{(number + each) % 200}" for each in range(4))
    post: dict[str, Any] = posts.full_post(f"gpu{number:05}", users=users)
    if real:
        post |= {"gpu": {}} | json.loads((posts.ROOT / "tests/contract/mole_gpus.json").read_text())
        post |= {"hostname": f"gpu{number:05}", "events": []}
        post["metrics"]["sys.of_this_host"] = {"value": [1.0], "tags": [{"host": str(number)}]}
    del post["auth_code"]
    return orjson.dumps(post)


def resident_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def measure(count: int, seconds: int, real: bool) -> None:
    clock = [0.0]
    hosts = Hosts(Live(), Clock(lambda: clock[0]))
    bodies = [body_of(number, real) for number in range(count)]
    first: Any = orjson.loads(bodies[0])
    series, started_mb = len(points_of_post(first).row), resident_mb()
    print(f"{count} hosts, posts of {len(bodies[0])} bytes and {series} series every {INTERVAL_S} s")
    print(f"resident before the first: {started_mb:.0f} MB, {sum(map(len, bodies)) / 1e6:.0f} of them what is sent")
    for second in range(INTERVAL_S, seconds + 1, INTERVAL_S):
        began = time.process_time()
        for number, body in enumerate(bodies):
            clock[0] = second + INTERVAL_S * number / count
            post: Any = orjson.loads(body)
            hosts.record(post, points_of_post(post))
        cost_us = (time.process_time() - began) / count * 1e6
        began = time.process_time()
        if second % STEP_S == 0:
            hosts.keep_within_memory()
        if second % REPORT_S == 0:
            report(hosts, second, cost_us, time.process_time() - began)
    began = time.process_time()
    now(hosts)
    print(f"a page of all hosts, read: {(time.process_time() - began) * 1e3:.0f} ms, then {resident_mb():.0f} MB")


def report(hosts: Hosts, second: int, cost_us: float, step_s: float) -> None:
    kept = hosts.kept()
    held_mb = sum(host.history.bytes for host in hosts.all()) / 1e6
    print(
        f"minute {second // 60:>3}: {resident_mb():>5.0f} MB resident (goal for 1000: {GOAL_MB}),"
        f" history {held_mb:.0f} MB"
        f" = {kept.recent_s * kept.share / 60:.1f} min and {kept.headline_s * kept.share / 3600:.1f} h;"
        f" {cost_us:.0f} µs a post with decoding, {step_s * 1e3:.0f} ms the background step",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--real", action="store_true")
    arguments = parser.parse_args()
    measure(arguments.hosts, arguments.minutes * 60, arguments.real)
