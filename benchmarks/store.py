"""`make bench`, its part for the history: what a post costs with journal (each `fdatasync` awaited) and store on, what
a point takes on disk, and many hosts for a while.

By turns in the same run: a bare Flask route under the same server, and VictoriaMetrics and Prometheus with the same
samples where they are installed. CPU is that of the whole process, until what it took is in the store and rolled up,
less what it takes while nobody posts. Machines differ and are shared: compare lines of one run, not runs.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import re
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from processes import SERVE, Program, Server, until
from serve import BARE, PASSCODE, Sender, cpu_s

from cluster_dash_mole.simulate.fleet import Fleet
from cluster_dash_server.points import NO_DEVICE, Layout, Points, points_of_post
from cluster_dash_server.serving.sockets import allow_descriptors
from cluster_dash_server.store.rollups import LAG_S, MINUTE_S
from cluster_dash_server.store.target import DATABASE, Target

INTERVAL_S = 5.0
HOSTS = 200
CONNECTIONS, BATCH_CONNECTIONS = 32, 4
TURN_S, IDLE_S, SETTLE_S = 3.0, 20.0, 5.0
ROLLED_UP_AFTER_S = MINUTE_S + LAG_S + 10.0
"""What came last is then in the tiers too."""
BATCH_POSTS = 32
RSS_EVERY_S = 30.0
SOME_METRICS = (
    "sys.gpu.power_w",
    "sys.gpu.temperature_c",
    "sys.pressure.some_percent",
    "sys.disk_io.read_bytes_per_s",
    "sys.disk_io.written_bytes_per_s",
    "sys.net.recv_bytes_per_s",
    "sys.net.sent_bytes_per_s",
    "sys.uptime_s",
)
"""With what stands outside `metrics` about 80 points of 8 GPUs."""
_TIMESTAMP = re.compile(r'"timestamp":[0-9.]+')
BARE_ROUTE = "a bare Flask route, a post a request"


class Supply:
    """The posts of simulated hosts by turns, as a mole sends them."""

    def __init__(self, all_metrics: bool, hosts: int = HOSTS) -> None:
        self._fleet = Fleet(hosts, 1, scenario="plain", interval_s=INTERVAL_S, speed=1.0, began_at=time.time())
        self._all_metrics = all_metrics
        self._next = 0

    def text(self) -> str:
        """The next post, without auth_code."""
        number, host = divmod(self._next, len(self._fleet))
        self._next += 1
        text = _sent_now(self._fleet.body(host, number))
        return text if self._all_metrics else _with_some_metrics(text)

    def post(self) -> bytes:
        return _with_passcode(self.text())

    def batch(self) -> bytes:
        posts = ",".join(self.text() for _ in range(BATCH_POSTS))
        return f'{{"auth_code":"{PASSCODE}","posts":[{posts}]}}'.encode()

    def points(self) -> Points:
        return points_of_post(json.loads(self.text()))


def _with_passcode(text: str) -> bytes:
    return f'{text[:-1]},"auth_code":"{PASSCODE}"}}'.encode()


def _sent_now(text: str) -> str:
    """As many more hosts would send it: what comes late, and what comes fast, is rolled up more than once."""
    return _TIMESTAMP.sub(f'"timestamp":{time.time():.3f}', text, count=1)


def _with_some_metrics(text: str) -> str:
    post = json.loads(text)
    post["metrics"] = {name: post["metrics"][name] for name in SOME_METRICS}
    return json.dumps(post, separators=(",", ":"))


Labels = dict[str, str]


@functools.cache
def labels_of(host: str, layout: Layout) -> list[Labels]:
    """Of each series, as Prometheus has them."""
    found: list[Labels] = []
    for key in layout.series:
        device = {} if key.device == NO_DEVICE else {"device": str(key.device)}
        name = {"__name__": key.metric.replace(".", "_"), "host": host}
        found.append(name | device | json.loads(key.tags_json or "{}"))
    return found


@functools.cache
def names_of(host: str, layout: Layout) -> list[str]:
    """The same as text."""
    return [
        labels["__name__"]
        + "{"
        + ",".join(f"{name}={json.dumps(text)}" for name, text in labels.items() if name != "__name__")
        + "}"
        for labels in labels_of(host, layout)
    ]


@functools.cache
def fields_of(host: str, layout: Layout) -> list[bytes]:
    """The same as protobuf has them."""
    return [
        b"".join(
            _field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in sorted(labels.items())
        )
        for labels in labels_of(host, layout)
    ]


def lines(several: list[Points]) -> bytes:
    """As text, for VictoriaMetrics' import."""
    return "".join(
        f"{name} {value} {int(points.event_time * 1000)}\n"
        for points in several
        for name, value in zip(names_of(points.host, points.layout), points.row, strict=True)
        if not math.isnan(value)
    ).encode()


def remote_write(several: list[Points]) -> bytes:
    """As Prometheus' protocol wants it: a protobuf message in Snappy's format, here as literals alone."""
    message = b"".join(
        _field(1, series + _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + at_ms))
        for points, at_ms in [(each, _varint(int(each.event_time * 1000))) for each in several]
        for series, value in zip(fields_of(points.host, points.layout), points.row, strict=True)
        if not math.isnan(value)
    )
    pieces = [message[at : at + 2**16] for at in range(0, len(message), 2**16)]
    return _varint(len(message)) + b"".join(b"\xf4" + struct.pack("<H", len(piece) - 1) + piece for piece in pieces)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


class Asking(Sender):
    """A connection that is kept alive. `make` gives the next body."""

    def __init__(self, port: int, path: str, make: Callable[[], bytes], headers: str = "") -> None:
        self.port, self.keep, self._make, self._headers = port, True, make, headers
        self._start_line = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        self.socket: socket.socket | None = None
        self.started, self.waiting, self._unsent = 0.0, b"", b""

    def request(self) -> bytes:
        body = self._make()
        headers = self._headers or "Content-Type: application/json\r\n"
        return f"{self._start_line}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def is_whole(self) -> bool:
        return b"}\n" in self.waiting or self.waiting.startswith(b"HTTP/1.1 204")


class Asked:
    """A process that is measured."""

    def __init__(
        self, pid: int, senders: list[Asking], posts_a_request: int = 1, is_done: Callable[[], bool] = lambda: True
    ) -> None:
        self.pid, self.posts = pid, 0
        self._senders, self._posts_a_request, self._is_done = senders, posts_a_request, is_done
        self._selector = selectors.DefaultSelector()
        self._began, self._idle_share = (0.0, 0.0), 0.0

    def begin(self, idle_s: float) -> None:
        """A turn to warm up, then a pause that tells what it takes while nobody posts."""
        self.turn(TURN_S)
        time.sleep(SETTLE_S)
        before = cpu_s(self.pid)
        time.sleep(idle_s)
        self._idle_share = (cpu_s(self.pid) - before) / idle_s
        self._began, self.posts = (time.monotonic(), cpu_s(self.pid)), 0

    def turn(self, seconds: float) -> None:
        """As many requests as there is time for; ends when what was posted is in the store."""
        until_s, waiting = time.monotonic() + seconds, len(self._senders)
        for sender in self._senders:
            sender.start(self._selector)
        while waiting:
            for key, events in self._selector.select(1):
                sender: Asking = key.data
                status = sender.go_on(self._selector, events)
                if status is None:
                    continue
                assert status in (200, 204), (status, sender.waiting[-300:])
                self.posts += self._posts_a_request
                if time.monotonic() < until_s:
                    sender.start(self._selector)
                else:
                    waiting -= 1
                    sender.end(self._selector, status)  # until its next turn it would be idle for too long
        until(self._is_done, 60)

    def cost_s(self) -> float:
        """Of a post."""
        passed_s, cpu = time.monotonic() - self._began[0], cpu_s(self.pid) - self._began[1]
        return (cpu - self._idle_share * passed_s) / self.posts


@contextmanager
def serving(command: list[str], url: str, folder: Path) -> Generator[Server]:
    """On the first core."""
    environ = {"CLUSTER_DASH_PASSCODE": PASSCODE, "STATE_DIRECTORY": str(folder), "CLUSTER_DASH_STORE_URL": url}
    with Server(folder, environ, command=["taskset", "-c", "0", *command]) as server:
        if command is SERVE:  # it compresses Plotly.js once, for a second or two, and opens its store
            until(lambda: '"state":"done"' in server.get("/health?verbose").text, 60)
            until(lambda: server.get("/api/metrics").status_code != 503, 60)
        yield server


def is_carried(folder: Path) -> bool:
    """Whether nothing waits in the journal."""
    return not list((folder / "journal").glob("*.journal"))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


PEERS = {
    "VictoriaMetrics": (
        ["victoria-metrics", "-storageDataPath={folder}", "-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=1"],
        "/api/v1/import/prometheus",
        lines,
        "Content-Type: text/plain\r\n",
    ),
    "Prometheus": (
        ["prometheus", "--config.file={folder}/none.yml", "--storage.tsdb.path={folder}/data",
         "--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"],
        "/api/v1/write",
        remote_write,
        "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n",
    ),
}  # fmt: skip


@contextmanager
def peer(name: str, supply: Supply, posts: int, connections: int, folder: Path) -> Generator[Asked]:
    words, path, encode, headers = PEERS[name]
    (folder / "none.yml").touch()
    port = free_port()
    command = ["taskset", "-c", "0", *(word.format(folder=folder, port=port) for word in words)]
    with Program(command, folder / "peer.log") as program:

        def listens() -> bool:
            with socket.socket() as tried:
                return tried.connect_ex(("127.0.0.1", port)) == 0

        until(listens, 30)
        time.sleep(1)  # it answers 503 for a moment

        def make() -> bytes:
            return encode([supply.points() for _ in range(posts)])

        yield Asked(program.pid, [Asking(port, path, make, headers) for _ in range(connections)], posts)
        program.end()


def bench_costs(all_metrics: bool, posts: int, rounds: int) -> None:
    """Each request with so many posts."""
    text, connections = Supply(all_metrics), CONNECTIONS if posts == 1 else BATCH_CONNECTIONS
    points = len(text.points().row)
    print(f"Posts of 8 GPUs, {len(text.post()):,} bytes and {points} points, {posts} a request:")
    with ExitStack() as stack:

        def folder() -> Path:
            return Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def asked(command: list[str], url: str) -> Asked:
            at, supply = folder(), Supply(all_metrics)
            server = stack.enter_context(serving(command, url, at))
            make, where = (supply.post, "/") if posts == 1 or command is BARE else (supply.batch, "/batch")
            senders = [Asking(server.port, where, make) for _ in range(connections)]
            return Asked(server.pid, senders, 1 if command is BARE else posts, lambda: is_carried(at))

        measured = {BARE_ROUTE: asked(BARE, "none"), "serve, with journal and store": asked(SERVE, "")}
        for name in PEERS:
            if shutil.which(PEERS[name][0][0]):
                measured[name] = stack.enter_context(peer(name, Supply(all_metrics), posts, connections, folder()))
            else:
                print(f"  {name} is not installed")
        for each in measured.values():
            each.begin(IDLE_S)
        for _ in range(rounds):
            for each in measured.values():
                each.turn(TURN_S)
        time.sleep(ROLLED_UP_AFTER_S)
        costs = {name: each.cost_s() for name, each in measured.items()}
        for name, cost in costs.items():
            print(
                f"  {name:<38}{1 / cost:>6,.0f} posts per CPU second, {1e6 * cost:>6,.0f} us a post "
                f"({cost / costs[BARE_ROUTE]:.2f} x bare), {1e6 * cost / points:.2f} us a point"
            )


def bench_disk(hosts: int, posts: int) -> None:
    """So many posts of each host."""
    print(f"{posts} posts of each of {hosts} hosts of 8 GPUs, all metrics:")
    supply = Supply(all_metrics=True, hosts=hosts)
    with tempfile.TemporaryDirectory() as name, serving(SERVE, "", Path(name)) as server:
        folder = Path(name)
        asked = Asked(server.pid, [Asking(server.port, "/", supply.post) for _ in range(hosts)])
        while asked.posts < hosts * posts:
            asked.turn(TURN_S)
        until(lambda: is_carried(folder), 60)
        time.sleep(SETTLE_S)
        print("  " + told_of(folder, server))


def told_of(folder: Path, server: Server) -> str:
    """What is in the store of a server, which is ended for it."""
    server.end()
    command = [sys.executable, __file__, "--count", str(folder)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return (
        f"on disk: {found['points']:,} points of {found['posts']:,} posts, {found['standing']:.2f} bytes a point as "
        f"they stand in {found['parts']} parts, {found['merged']:.2f} merged"
    )


def count(folder: Path) -> dict[str, Any]:
    """Of a store that nobody has open. One engine opens one folder in a process, so it has a process of its own."""
    client = Target(DATABASE, folder, {}).connect()

    def one(sql: str) -> dict[str, Any]:
        return client.query_arrow(sql, {}).to_pylist()[0]

    parts = (
        "SELECT sum(bytes_on_disk) / sum(rows) AS size, toUInt64(count()) AS n FROM system.parts "
        "WHERE active AND database = currentDatabase() AND table = 'metric_points'"
    )
    client.command(f"USE {DATABASE}")
    standing = one(parts)
    points = one("SELECT toUInt64(count()) AS n FROM metric_points FINAL")["n"]
    posts = one("SELECT toUInt64(count()) AS n FROM metric_points FINAL WHERE metric = 'sys.cpu_count'")["n"]
    client.command("OPTIMIZE TABLE metric_points FINAL")
    return {
        "points": points, "posts": posts, "standing": standing["size"], "parts": standing["n"],
        "merged": one(parts)["size"],
    }  # fmt: skip


class SimulatedHost(Asking):
    """It posts at its own times."""

    def __init__(self, port: int, fleet: Fleet, host: int) -> None:
        super().__init__(port, "/", self._body)
        self._fleet, self._host, self._number = fleet, host, 0
        self._asks = False
        """Whether it waits for an answer."""
        self.cuts = 0
        """Of its connection, while it asked."""

    def _body(self) -> bytes:
        return _with_passcode(self._fleet.body(self._host, self._number))

    def start(self, selector: selectors.BaseSelector) -> None:
        self._asks = True
        super().start(selector)

    def go_on(self, selector: selectors.BaseSelector, events: int) -> int | None:
        """Where the connection was closed just as it asked, it asks again over a new one, as every client."""
        status = super().go_on(selector, events)
        if not self._asks:
            return None
        if status == 0:
            started = self.started
            self.start(selector)
            self.started, self.cuts = started, self.cuts + 1
            return None
        if status is not None:
            self._asks = False
            self._number += status == 200
        return status


def bench_many(hosts: int, seconds: float) -> None:
    """At INTERVAL_S, spread over it, each over a connection that it keeps."""
    print(f"{hosts} hosts of 8 GPUs at {INTERVAL_S:.0f} s for {seconds:.0f} s, with journal and store:")
    answers: list[float] = []
    with tempfile.TemporaryDirectory() as name, selectors.DefaultSelector() as selector:
        folder = Path(name)
        with serving(SERVE, "", folder) as server:
            fleet = Fleet(hosts, 1, scenario="plain", interval_s=INTERVAL_S, speed=1.0, began_at=time.time())
            began, cpu = time.monotonic(), cpu_s(server.pid)
            senders = [SimulatedHost(server.port, fleet, at) for at in range(hosts)]
            due = [(began + at * INTERVAL_S / hosts, sender) for at, sender in enumerate(senders)]
            open_requests, refused, next_look = 0, 0, began + RSS_EVERY_S
            while time.monotonic() - began < seconds or open_requests:
                now = time.monotonic()
                while due and due[0][0] <= now and now - began < seconds:
                    at, sender = due.pop(0)
                    sender.start(selector)
                    sender.started = at
                    open_requests += 1
                for key, events in selector.select(min(max(due[0][0] - now, 0), 0.5) if due else 0.5):
                    sender = key.data
                    status = sender.go_on(selector, events)
                    if status is not None:
                        open_requests -= 1
                        refused += status != 200
                        answers.append(time.monotonic() - sender.started)
                        due.append((sender.started + INTERVAL_S, sender))
                if now >= next_look:
                    next_look += RSS_EVERY_S
                    print(f"  {now - began:>5.0f} s: {psutil.Process(server.pid).memory_info().rss >> 20} MB")
            passed_s = time.monotonic() - began
            until(lambda: is_carried(folder), 60)
            share = (cpu_s(server.pid) - cpu) / passed_s
            rss = psutil.Process(server.pid).memory_info().rss >> 20
            answers.sort()
            print(
                f"  {len(answers):,} posts, {refused} refused, {sum(each.cuts for each in senders)} sent again; "
                f"{100 * share:.1f} % of a core, {rss} MB; an answer took "
                f"{1000 * answers[len(answers) // 2]:.0f} ms, 99 % within "
                f"{1000 * answers[int(0.99 * len(answers))]:.0f} ms, the slowest {1000 * answers[-1]:.0f} ms"
            )
            print("  " + told_of(folder, server))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=4, help=f"turns of {TURN_S:.0f} s for each process")
    parser.add_argument("--seconds", type=float, default=30.0, help="for many hosts")
    parser.add_argument("--hosts", type=int, nargs="*", default=[8, 1000])
    given = parser.parse_args()
    if given.count:
        print(json.dumps(count(Path(given.count))))
        return
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    allow_descriptors(max(given.hosts, default=0) + 200)
    if given.rounds:
        for all_metrics, posts in ((False, 1), (True, 1), (True, BATCH_POSTS)):
            bench_costs(all_metrics, posts, given.rounds)
        bench_disk(8, 720)
    for hosts in given.hosts:
        bench_many(hosts, given.seconds)


if __name__ == "__main__":
    main()
