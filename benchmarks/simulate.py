"""`make bench`, its part for the simulator: what a simulated post costs, and what many hosts take beside the server.

Simulator and server have a core each. Machines differ and are shared: compare lines of one run, not runs.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from processes import SERVE, Program, Server, until

from cluster_dash_mole.simulate.fleet import Fleet

PASSCODE = "a-passcode-for-the-benchmark"
TAKER = [sys.executable, __file__, "--taker"]
SIMULATE = [sys.executable, "-m", "cluster_dash_mole", "simulate", "--scenario", "plain", "--interval", "5"]


def bench_making(hosts: int, gpus: int) -> None:
    """Posts as text, as the senders take them: nothing is sent."""
    began = time.process_time()
    fleet = Fleet(hosts, 1, scenario="plain", gpus_per_host=gpus, speed=1.0, began_at=1.8e9)
    made_s = time.process_time() - began
    size, rounds = 0, max(2, 20_000 // hosts)
    for host in range(hosts):
        fleet.body(host, 1)
    gc.collect()
    began = time.process_time()
    for number in range(2, 2 + rounds):
        for host in range(hosts):
            size += len(fleet.body(host, number))
    posts, passed_s = hosts * rounds, time.process_time() - began
    print(
        f"{hosts:>6} hosts of {gpus} GPUs: {made_s * 1e3:,.0f} ms to plan, {passed_s / posts * 1e6:,.0f} µs a post of "
        f"{size / posts:,.0f} bytes, {posts / passed_s:,.0f} posts per CPU second, "
        f"resident at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


@contextmanager
def taking_server(command: list[str]) -> Generator[Server]:
    with tempfile.TemporaryDirectory() as name:
        environ = {"CLUSTER_DASH_PASSCODE": PASSCODE, "STATE_DIRECTORY": name, "CLUSTER_DASH_STORE_URL": "none"}
        with Server(Path(name), environ, command=command) as server:
            pin(server.pid, 0)
            if command is SERVE:  # it compresses Plotly.js once, for a second or two
                until(lambda: '"state":"done"' in server.get("/health?verbose").text, 60)
            yield server


def bench_beside(server: Server, hosts: int, gpus: int, warm_s: float, seconds: float) -> None:
    """The real command; it runs for a while before it is measured, as each host's first posts cost both sides more."""
    words = [*SIMULATE, "--hosts", str(hosts), "--gpus-per-host", str(gpus), "--server", server.url]
    passcode = {"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_AUTH_CODE": PASSCODE}
    with Program(words, server.log_path.with_name("simulate.log"), passcode) as simulator:
        pin(simulator.pid, 1)
        time.sleep(warm_s)
        before = cpu_s(simulator.pid), cpu_s(server.pid), time.monotonic()
        time.sleep(seconds)
        passed_s = time.monotonic() - before[2]
        simulators, servers = cpu_s(simulator.pid) - before[0], cpu_s(server.pid) - before[1]
        rss = [psutil.Process(pid).memory_info().rss / 2**20 for pid in (simulator.pid, server.pid)]
        simulator.end()
        said = simulator.log.splitlines()[-1].partition("ended: ")[2]
    print(
        f"{hosts:>6} hosts of {gpus} GPUs at 5 s: simulator {simulators / passed_s:.2f} of a core, {rss[0]:.0f} MB; "
        f"server {servers / passed_s:.2f} of a core, {rss[1]:.0f} MB; {warm_s + seconds:.0f} s: {said}"
    )


class _Taker(BaseHTTPRequestHandler):
    """Takes all, at once."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body go together

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b'{"success": true, "msg": "stored result"}')

    def do_GET(self) -> None:
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Nothing."""


def take_all() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


def pin(pid: int, core: int) -> None:
    core %= os.cpu_count() or 1
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, {core})


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--taker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--gpus", type=int, default=8)
    asked = parser.parse_args()
    if asked.taker:
        take_all()
        return
    for hosts in (24, 1000, 10_000):
        bench_making(hosts, asked.gpus)
    for name, command, hosts, warm_s in (
        ("a server that takes everything", TAKER, 10_000, 12.5),
        ("cluster-dash-server serve", SERVE, 1000, 20.0),
        ("cluster-dash-server serve", SERVE, 10_000, 60.0),
    ):
        print(f"Beside {name}:")
        with taking_server(command) as server:
            bench_beside(server, hosts, asked.gpus, warm_s, asked.seconds)


if __name__ == "__main__":
    main()
