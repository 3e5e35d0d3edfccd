"""`make bench`: what the server's stages cost on this machine, in CPU time of this process.

Machines differ and are shared: compare lines of one run, not runs.
"""

from __future__ import annotations

import gzip
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import orjson
from flask import Flask

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import posts

from cluster_dash_server import create_app
from cluster_dash_server.config import Config, Limits, Live
from cluster_dash_server.live.claim import Claim, arrival_of
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.live.identity import SOMEBODY
from cluster_dash_server.points import points_of_post
from cluster_dash_server.receive.bodies import Gzip, check_form, parse
from cluster_dash_server.receive.schema import SCHEMA, Schema
from cluster_dash_server.views import figures

ROUNDS = 5


def cpu_us(call: Callable[[], Any], times: int) -> float:
    """Microseconds of CPU a call, the median of ROUNDS."""
    measured: list[float] = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(times):
            call()
        measured.append((time.process_time() - started) / times * 1e6)
    return sorted(measured)[ROUNDS // 2]


def show(what: str, us: float, note: str = "") -> None:
    print(f"{what:<58} {us:>12,.0f} µs  {note}")


def admit(claim: Claim, post: posts.Post) -> None:
    arrival = arrival_of(post, orjson.dumps(post), SOMEBODY, 0)
    claim.take(arrival, *claim.admit(arrival, 0, 15))


def bench_receive() -> None:
    real = json.loads((posts.ROOT / "tests" / "contract" / "mole_gpus.json").read_text("utf-8"))
    for name, post in (
        ("A short post", posts.host_post()),
        ("A post in full use", posts.full_post()),
        ("A mole's", real),
    ):
        bench_post(name, post)
    bare = Flask("bare")
    bare.add_url_rule("/", view_func=lambda: "", methods=["POST"])
    client = bare.test_client()
    print()
    show("a bare Flask route through its test client", cpu_us(lambda: client.post("/", data=b"{}"), 200))


def bench_post(name: str, post: posts.Post) -> None:
    post = {**post, "auth_code": posts.PASSCODE, "mole": {**post["mole"], "seq": 0}}
    limits = Limits()
    body = json.dumps(post, separators=(",", ":")).encode()
    packed = gzip.compress(body, 6)
    schema, hosts = Schema(limits), Hosts(Live())
    before, after = body.split(b'"seq":0')
    numbers = itertools.count(1)

    def next_post() -> posts.Post:
        return {**post, "mole": {**post["mole"], "seq": next(numbers)}}

    def next_body() -> bytes:
        return b'%s"seq":%d%s' % (before, next(numbers), after)

    points = points_of_post(post)
    referee = jsonschema.Draft202012Validator(SCHEMA)
    client = create_app(Config(), start=False).test_client()
    print(f"\n{name} of 8 GPUs, {len(body)} bytes, {len(points.row)} series")
    show("unpack, where it is packed", cpu_us(lambda: Gzip(packed).unpack(limits.body_bytes), 2000))
    show("decode", cpu_us(lambda: parse("the post", body), 2000))
    show("depth, values and repeated keys", cpu_us(lambda: check_form("the post", post, body, limits), 2000))
    show("schema, compiled", cpu_us(lambda: schema.check(post), 2000))
    show("schema, jsonschema", cpu_us(lambda: list(referee.iter_errors(post)), 10))  # pyright: ignore
    show("points", cpu_us(lambda: points_of_post(post), 500))
    claim = Claim(arrival_of(post, orjson.dumps(post), SOMEBODY, 0))
    show("whose it is, and whether it was here", cpu_us(lambda: admit(claim, next_post()), 2000))
    show("record in memory, both included", cpu_us(lambda: hosts.record(next_post(), points), 500))
    send = {"content_type": "application/json"}
    show("POST / through Flask's test client", cpu_us(lambda: client.post("/", data=next_body(), **send), 200))
    batch = json.dumps({"auth_code": posts.PASSCODE, "posts": [next_post() for _ in range(100)]}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    sent = gzip.compress(batch, 6)
    show("POST /batch of 100, packed", cpu_us(lambda: client.post("/batch", data=sent, headers=headers), 2))


def filled(hosts: int, rounds: int) -> Flask:
    app = create_app(Config(), start=False)
    client = app.test_client()
    for _ in range(rounds):
        for index in range(hosts):
            client.post("/", json=posts.host_post(f"gpu{index}"))
    return app


def bench_pages(hosts: int, rounds: int) -> None:
    client = filled(hosts, rounds).test_client()
    print(f"\n{hosts} hosts of 8 GPUs, {rounds} posts each; resident at most {_peak_mb():.0f} MB until here")
    for path in ("/", "/cpu-data", "/history", "/host/gpu0", "/data-out/gpu-data-simple", "/api/gpu-summary"):
        for accept in ("text/html", "*/*") if path == "/" else ("text/html",):
            headers = {"Accept": accept, "Accept-Encoding": "gzip"}
            size = len(client.get(path, headers=headers).data)
            us = cpu_us(lambda p=path, h=headers: client.get(p, headers=h), 1 if hosts > 100 else 3)
            show(f"GET {path}  {accept}", us, f"{size:,} bytes compressed")


def bench_figures() -> None:
    """The design's measure: eight host figures of 4 x 720 points."""
    from plotly.graph_objects import Figure  # pyright: ignore[reportMissingTypeStubs]

    times, values = list(range(720)), [float(i % 100) for i in range(720)]

    def plain() -> list[dict[str, Any]]:
        trace = {"type": "scatter", "mode": "lines", "x": times, "y": values}
        return [{"data": [dict(trace) for _ in range(4)], "layout": {"height": 300}} for _ in range(8)]

    print("\nEight figures of 4 x 720 points")
    show("plain dicts, orjson", cpu_us(lambda: figures.embed(plain()), 20))
    show("plotly.graph_objects", cpu_us(lambda: [Figure(each).to_json() for each in plain()], 1))  # pyright: ignore


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    bench_receive()
    bench_pages(hosts=8, rounds=720)
    bench_pages(hosts=1000, rounds=2)
    bench_figures()
