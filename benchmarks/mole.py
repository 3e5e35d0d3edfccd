"""`make bench`: what a mole costs its host, beside a bare psutil and requests loop and, where it is installed, Debian's
prometheus-node-exporter, all three at the same time.

8 GPUs and 24 processes by the stand-in, 5 s between readings. Machines differ and are shared: compare lines of one run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from nvml_standin import GIB, Gpu, NvmlStandin, compile_standin  # noqa: E402

INTERVAL_S = 5
SETTLE_S = 15
GPUS, PROCESSES_EACH = 8, 3
FLOOR = """
import sys, time, psutil, requests
session = requests.Session()
while True:
    session.post(sys.argv[1], json={
        "cpu": psutil.cpu_percent(), "memory": psutil.virtual_memory()._asdict(),
        "disk": psutil.disk_usage("/")._asdict(), "net": psutil.net_io_counters()._asdict(), "ballast": "x" * 600,
    }, timeout=5)
    time.sleep(5)
"""


class Cost(NamedTuple):
    """Of a program with all its processes: CPU seconds a minute, proportional memory in MB, how many they are."""

    cpu_s_per_min: float
    pss_mb: float
    processes: int


class _Sink(BaseHTTPRequestHandler):
    received: ClassVar[dict[str, list[int]]] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.setdefault(self.path, []).append(len(body))
        answer = b'{"success": true, "msg": "stored result"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


def family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def cpu_s(pids: list[int]) -> float:
    """By the kernel's CPU clock of each process, to the nanosecond; /proc counts in steps of 10 ms."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def pss_mb(pids: list[int]) -> float:
    def of(pid: int) -> int:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    return sum(of(pid) for pid in pids) * 1024 / 1e6


def measure(programs: dict[str, subprocess.Popen[bytes]], seconds: float) -> dict[str, Cost]:
    """All at once. A program that ends, or whose processes change meanwhile, has no honest figure."""
    time.sleep(SETTLE_S)
    pids = {name: family(program.pid) for name, program in programs.items()}
    before = {name: cpu_s(each) for name, each in pids.items()}
    time.sleep(seconds)
    assert pids == {name: family(program.pid) for name, program in programs.items()}, "a process ended or was started"
    return {
        name: Cost((cpu_s(each) - before[name]) * 60 / seconds, pss_mb(each), len(each)) for name, each in pids.items()
    }


@contextlib.contextmanager
def ended(programs: dict[str, subprocess.Popen[bytes]]) -> Generator[None]:
    try:
        yield
    finally:
        for program in programs.values():
            program.terminate()
            program.wait(10)


@contextlib.contextmanager
def sleepers() -> Generator[list[int]]:
    """Pids for the GPUs' processes."""
    command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    programs = {str(number): subprocess.Popen(command) for number in range(GPUS * PROCESSES_EACH)}
    with ended(programs):
        yield [program.pid for program in programs.values()]


@contextlib.contextmanager
def sink() -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def start_mole(address: str, standin: NvmlStandin, folder: Path) -> subprocess.Popen[bytes]:
    settings = {"ADDRESS_IN": address + "/mole", "MIN_INTERVAL_IN_SECS": str(INTERVAL_S)}
    environ = {f"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_{name}": value for name, value in settings.items()}
    environ["CLUSTER_DASH_MOLE_POLL_SETTINGS_POLL_INTERVAL_IN_SECS"] = str(INTERVAL_S)
    environ |= {"CLUSTER_DASH_MOLE_STATE_STATE_DIR": str(folder / "state"), **standin.env}
    command = [sys.executable, str(ROOT / "cluster-dash-mole" / "smart_startup.py")]
    return subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)


def start_exporter() -> tuple[subprocess.Popen[bytes], str] | None:
    program = shutil.which("prometheus-node-exporter")
    if not program:
        return None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [program, f"--web.listen-address={address}"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL), f"http://{address}/metrics"


def scrape(url: str, stop: threading.Event) -> None:
    while not stop.wait(INTERVAL_S):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            answer.read()


def bench(seconds: float, folder: Path) -> None:
    standin = NvmlStandin(compile_standin(folder), folder)
    stop = threading.Event()
    programs: dict[str, subprocess.Popen[bytes]] = {}
    with sleepers() as pids, sink() as address, ended(programs):
        of_gpu = [pids[number::GPUS] for number in range(GPUS)]
        standin.set(*(Gpu(processes=[("compute", pid, 8 * GIB) for pid in each]) for each in of_gpu))
        programs["psutil + requests"] = subprocess.Popen([sys.executable, "-c", FLOOR, address + "/floor"])
        programs["mole"] = start_mole(address, standin, folder)
        exporter = start_exporter()
        if exporter:
            programs["prometheus-node-exporter"], url = exporter
            threading.Thread(target=scrape, args=(url, stop), daemon=True).start()
        costs = measure(programs, seconds)
        stop.set()
    show(costs, seconds)


def show(costs: dict[str, Cost], seconds: float) -> None:
    floor = costs["psutil + requests"]
    print(f"\nAgents: {GPUS} GPUs, {GPUS * PROCESSES_EACH} processes, every {INTERVAL_S} s, over {seconds:g} s")
    print(f"{'':<28} {'CPU s/min':>10} {'of floor':>10} {'PSS MB':>10} {'processes':>10}")
    for name, cost in costs.items():
        ratio = cost.cpu_s_per_min / floor.cpu_s_per_min
        print(f"{name:<28} {cost.cpu_s_per_min:>10.3f} {ratio:>9.1f}x {cost.pss_mb:>10.1f} {cost.processes:>10}")
    if "prometheus-node-exporter" not in costs:
        print("prometheus-node-exporter is not installed (Debian: apt-get install prometheus-node-exporter)")
    sizes = json.dumps({path[1:]: size[-1] for path, size in _Sink.received.items()})
    print(f"bytes of a post: {sizes}; goal of the mole: 2x, 45 MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    with tempfile.TemporaryDirectory() as scratch:
        bench(parser.parse_args().seconds, Path(scratch))
