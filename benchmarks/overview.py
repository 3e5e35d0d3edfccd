"""`make bench`, its part for the overview: what a look at a large simulated fleet costs the server, in CPU time.

Machines differ and are shared: compare lines of one run, not runs.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import gzip
import pstats
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson
from flask import Flask

from cluster_dash_mole.simulate.fleet import Fleet
from cluster_dash_server.config import Config, HostNames, Live
from cluster_dash_server.live.clock import Clock
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.points import points_of_post
from cluster_dash_server.views import api, status, stream
from cluster_dash_server.views.fleet.model import Fleets
from cluster_dash_server.views.frame import OrjsonProvider, compress

GPUS = 8
CHANGED = 200
ROUNDS = 5
BEGAN_AT = 1.8e9
CURL = {"Accept": "*/*"}


class Filled:
    """A server after some minutes of one post each, and the posts that come next, as JSON."""

    def __init__(self, hosts: int, minutes: int) -> None:
        self.mono_s = 0.0
        clock = Clock(lambda: self.mono_s, lambda: BEGAN_AT + self.mono_s)  # an hour passes at once
        self.hosts = Hosts(Live(max_hosts=2 * hosts, memory_mib=2_000), clock)
        fleet = Fleet(
            hosts, 1, scenario="plain", gpus_per_host=GPUS, interval_s=60.0, speed=1.0, began_at=BEGAN_AT + 60
        )
        for number in range(minutes):
            self.mono_s += 60
            for host in range(hosts):
                self.post(fleet.body(host, number))
        self.coming = [fleet.body(host % hosts, minutes + host // hosts) for host in range(ROUNDS * CHANGED)]

    def post(self, body: str) -> None:
        post = orjson.loads(body)
        self.hosts.record(post, points_of_post(post))

    def application(self) -> Flask:
        names = HostNames()
        fleets = Fleets(self.hosts, names)
        app = Flask("overview")
        app.json = OrjsonProvider(app)
        app.register_blueprint(stream.routes(fleets, self.hosts.changes, Config(), stream.Held(0)))
        app.register_blueprint(api.routes(fleets))
        app.register_blueprint(status.routes(self.hosts, fleets, list))
        compress.init_app(app)
        return app


def cpu_ms(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return (time.process_time() - began) * 1e3


def bench(hosts: int, minutes: int, profile: bool) -> None:
    server = Filled(hosts, minutes)
    gc.collect()
    app = server.application()
    client = app.test_client()
    packed = {"Accept-Encoding": "gzip"}
    answers: list[Any] = []

    def look(since: str = "") -> None:
        answers.append(client.get(f"/stream?hold=0&hosts=1&since={since}", headers=packed))

    print(f"\n{hosts} hosts of {GPUS} GPUs, {minutes} posts each")
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(look)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    else:
        show("GET /stream, nobody looked before", cpu_ms(look), answers[-1])
        number, took = 1, 0.0
        while not profile and pending_of(answers[-1].data):
            number, since = number + 1, version_of(answers[-1].data)
            took = cpu_ms(lambda since=since: look(since))
        if number > 1:
            show(f"and on, to the last: answer {number}", took, answers[-1])
    warm = sorted(cpu_ms(look) for _ in range(5))
    show("GET /stream again, by somebody else", warm[2], answers[-1])
    times: list[float] = []
    for round_ in range(ROUNDS):
        since = version_of(answers[-1].data)
        server.mono_s += 1
        for body in server.coming[round_ * CHANGED : (round_ + 1) * CHANGED]:
            server.post(body)
        times.append(cpu_ms(lambda since=since: look(since)))
    show(f"GET /stream after posts of {CHANGED}", sorted(times)[2], answers[-1])
    since = version_of(answers[-1].data)
    show("GET /stream, nothing new", sorted(cpu_ms(lambda: look(since)) for _ in range(5))[2], answers[-1])
    for path in ("/", "/free.txt?gpus=2&mem=20", "/api/hosts", "/api/gpus", "/api/free?gpus=1"):
        answers.append(client.get(path, headers=CURL | packed))
        if answers[-1].status_code in (200, 404):
            took = sorted(cpu_ms(lambda path=path: client.get(path, headers=CURL | packed)) for _ in range(3))[1]
            show(f"GET {path}", took, answers[-1])
    print(f"resident at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, fleet included")


def show(what: str, milliseconds: float, answer: Any) -> None:
    body = answer.data
    text = gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body
    print(f"{what:<40} {milliseconds:>8.1f} ms  {len(body):>10,} bytes of {len(text):,}")


def version_of(body: bytes) -> str:
    """The id of an answer's event."""
    text = gzip.decompress(body)
    start = text.index(b"id: ") + 4
    assert _data_of(text)["hosts"]
    return text[start : text.index(b"\n", start)].decode()


def pending_of(body: bytes) -> int:
    """Hosts that are still to come."""
    return _data_of(gzip.decompress(body))["pending"]


def _data_of(text: bytes) -> dict[str, Any]:
    start = text.index(b"data: ") + 6
    return orjson.loads(text[start : text.index(b"\n", start)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--profile", action="store_true", help="of the first look")
    arguments = parser.parse_args()
    for hosts in arguments.hosts:
        bench(hosts, arguments.minutes, arguments.profile)


if __name__ == "__main__":
    sys.exit(main())
