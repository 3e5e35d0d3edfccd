"""`make bench`, its part over sockets: posts a second through `cluster-dash-server serve`, and many senders at once.

Server and senders have a core each. A bare Flask route under the same server is measured in the same run: machines
differ and are shared, so compare lines of one run, not runs.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import posts
from processes import SERVE, Server, until

from cluster_dash_server.serving.sockets import allow_descriptors

PASSCODE = "a-passcode-for-the-benchmark"
BARE = [sys.executable, __file__, "--bare"]
INTERVAL_S = 5.0
WINDOW_S = 0.3
MOVING = {"seq": "d", "mono_s": ".3f", "timestamp": ".3f"}
"""What is new in each post of a mole, and how it is written."""


def body_of(host: str) -> bytes:
    """8 GPUs with 3 processes each, 6 mounts: about 5.7 KB. MOVING has places to be filled in."""
    post = posts.full_post(host)
    post["auth_code"] = PASSCODE
    post["mole"] = {**post["mole"], "id": f"mole-of-{host}", "seq": "seq", "mono_s": "mono_s"}
    post["timestamp"] = "timestamp"
    text = json.dumps(post, separators=(",", ":")).replace("%", "%%")
    for name, form in MOVING.items():
        text = text.replace(f'"{name}":"{name}"', f'"{name}":%({name}){form}')
    return text.encode()


class Sender:
    """A host. It posts over one connection, or over a new one each time."""

    def __init__(self, host: str, port: int, keep: bool) -> None:
        self.port, self.keep = port, keep
        self._body = body_of(host)
        self.seq = 100_000_000
        self.socket: socket.socket | None = None
        self.started = 0.0
        self.waiting = b""
        self._unsent = b""

    def request(self) -> bytes:
        self.seq += 1
        connection = b"" if self.keep else b"Connection: close\r\n"
        head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
        body = self._body % {b"seq": self.seq, b"mono_s": time.monotonic(), b"timestamp": time.time()}
        return head % (connection, len(body)) + body

    def start(self, selector: selectors.BaseSelector) -> None:
        if self.socket is None:
            self.socket = socket.socket()
            self.socket.setblocking(False)
            self.socket.connect_ex(("127.0.0.1", self.port))
            selector.register(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
        else:
            selector.modify(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
        self.started, self.waiting, self._unsent = time.monotonic(), b"", self.request()

    def go_on(self, selector: selectors.BaseSelector, events: int) -> int | None:
        """The status, once the answer is there; 0 where the connection failed."""
        assert self.socket is not None
        try:
            if events & selectors.EVENT_WRITE and self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
                if not self._unsent:
                    selector.modify(self.socket, selectors.EVENT_READ, self)
            if events & selectors.EVENT_READ:
                received = self.socket.recv(65536)
                if not received:
                    return self.end(selector, 0)
                self.waiting += received
        except BlockingIOError:
            return None
        except OSError:
            return self.end(selector, 0)
        if not self.is_whole():
            return None
        status = int(self.waiting[9:12])
        return status if self.keep else self.end(selector, status)

    def is_whole(self) -> bool:
        """Whether the answer is there."""
        return b"}\n" in self.waiting

    def end(self, selector: selectors.BaseSelector, status: int) -> int:
        assert self.socket is not None
        selector.unregister(self.socket)
        self.socket.close()
        self.socket = None
        return status


@contextmanager
def running(command: list[str]) -> Generator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        environ = {"CLUSTER_DASH_PASSCODE": PASSCODE, "STATE_DIRECTORY": folder, "CLUSTER_DASH_STORE_URL": "none"}
        with Server(Path(folder), environ, command=command) as server:
            os.sched_setaffinity(server.pid, {0})
            for thread in psutil.Process(server.pid).threads():
                os.sched_setaffinity(thread.id, {0})
            if command is SERVE:  # it compresses Plotly.js once, for a second or two
                until(lambda: '"state":"done"' in server.get("/health?verbose").text, 30)
            yield server


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def throughput(rounds: int, connections: int = 8) -> dict[str, list[float]]:
    """Microseconds of the server's CPU a post, by what was measured, a value for each round.

    Both servers run all the time and are asked by turns, for a moment each: what else the machine does then slows both.
    """
    with ExitStack() as stack:
        asked = {
            name: (stack.enter_context(running(command)), stack.enter_context(selectors.DefaultSelector()))
            for name, command in (("a bare Flask route", BARE), ("serve", SERVE))
        }
        senders = {
            name: [Sender(f"gpu{n:04d}", server.port, keep=True) for n in range(connections)]
            for name, (server, _) in asked.items()
        }
        found: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(rounds):
            for name, (server, selector) in asked.items():
                found[name].append(1e6 * cpu_s_a_post(server, selector, senders[name]))
        return found


def cpu_s_a_post(server: Server, selector: selectors.BaseSelector, senders: list[Sender]) -> float:
    """Over one window, which ends when every request is answered."""
    cpu, until_s = cpu_s(server.pid), time.monotonic() + WINDOW_S
    answered, waiting = 0, len(senders)
    for sender in senders:
        sender.start(selector)
    while waiting:
        for key, events in selector.select(1):
            sender: Sender = key.data
            status = sender.go_on(selector, events)
            if status is None:
                continue
            assert status == 200, (status, sender.waiting[-300:])
            answered += 1
            if time.monotonic() < until_s:
                sender.start(selector)
            else:
                waiting -= 1
    return (cpu_s(server.pid) - cpu) / answered


def many(count: int, seconds: float, keep: bool, at_once: bool) -> dict[str, float]:
    """`count` hosts at INTERVAL_S, spread over it or all in the same moment."""
    answers: list[float] = []
    failed, longest_gap_s = 0, 0.0
    with running(SERVE) as server, selectors.DefaultSelector() as selector:
        senders = [Sender(f"gpu{n:04d}", server.port, keep) for n in range(count)]
        began, cpu = time.monotonic(), cpu_s(server.pid)
        due = [(began + (0 if at_once else n * INTERVAL_S / count), n) for n in range(count)]
        last = dict.fromkeys(range(count), began)
        numbers = {id(sender): n for n, sender in enumerate(senders)}
        open_requests = 0
        while time.monotonic() - began < seconds or open_requests:
            now = time.monotonic()
            while due and due[0][0] <= now and now - began < seconds:
                at, n = due.pop(0)
                senders[n].start(selector)
                senders[n].started = at
                open_requests += 1
            wait_s = min(max(due[0][0] - now, 0), 0.5) if due else 0.5
            for key, events in selector.select(wait_s):
                sender: Sender = key.data
                status = sender.go_on(selector, events)
                if status is None:
                    continue
                now, n = time.monotonic(), numbers[id(sender)]
                open_requests -= 1
                failed += status != 200
                answers.append(now - sender.started)
                longest_gap_s = max(longest_gap_s, now - last[n])
                last[n] = now
                due.append((sender.started + INTERVAL_S, n))
        cpu = cpu_s(server.pid) - cpu
        rss_mb = psutil.Process(server.pid).memory_info().rss / 2**20
    answers.sort()
    return {
        "posts": len(answers),
        "failed": failed,
        "p50_s": answers[len(answers) // 2],
        "p99_s": answers[int(len(answers) * 0.99)],
        "max_s": answers[-1],
        "longest_gap_s": longest_gap_s,
        "cpu_share": cpu / seconds,
        "rss_mb": rss_mb,
    }


def serve_bare() -> None:
    """A Flask route that reads the body and answers, under our server."""
    from flask import Flask, request

    from cluster_dash_server.config import Serve
    from cluster_dash_server.serving import server, sockets

    app = Flask("bare")
    app.add_url_rule("/health", "health", lambda: {"status": "ok"})
    app.add_url_rule("/", "take", lambda: {"bytes": len(request.get_data())}, methods=["POST"])
    listening = sockets.listen("127.0.0.1:0")
    print(sockets.address_of(listening), flush=True)
    server.Server(app, [listening], Serve(), max_connections=100, max_body_bytes=2**20).run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--hosts", type=int, default=1000)
    given = parser.parse_args()
    if given.bare:
        serve_bare()
        return
    os.sched_setaffinity(0, {os.cpu_count() - 1 if os.cpu_count() else 0})  # pyright: ignore
    allow_descriptors(given.hosts + 200)
    print(f"A post of 8 GPUs, {len(body_of('gpu0000')):,} bytes, over 8 kept-alive connections")
    for name, costs in throughput(rounds=int(given.seconds / 2 / WINDOW_S / 2) + 1).items():
        quiet, median, _ = statistics.quantiles(costs, n=4)
        print(
            f"  {name:<22}{1e6 / median:>6,.0f} posts per CPU second ({median:.0f} us a post; "
            f"{1e6 / quiet:,.0f} in the quieter quarter)"
        )
    for name, keep, at_once in (
        ("kept alive, spread", True, False),
        ("reconnecting, spread", False, False),
        ("reconnecting, at once", False, True),
        ("kept alive, at once", True, True),
    ):
        found = many(given.hosts, given.seconds, keep, at_once)
        print(f"{given.hosts} hosts at {INTERVAL_S:.0f} s, {name}:")
        print(
            "  "
            + "  ".join(
                f"{what} {value:,.3g}" if value < 1000 else f"{what} {value:,.0f}" for what, value in found.items()
            )
        )


if __name__ == "__main__":
    main()
