"""`make bench`, its part for an outage's end: many hosts find their server again, and each brings the ten minutes that
it has kept, at the pace that moles hold to, while their live posts go on.

What a mole waits for is its own: the pause between two tries, the moment at which it begins with what it has kept, the
posts of a batch and the time between two, its deadline. The posts are the simulator's, packed beforehand, as each mole
has a machine of its own. Machines differ and are shared, and the senders take a share of this one: each figure is an
upper bound.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from processes import SERVE, Server, until
from serve import PASSCODE, cpu_s

from cluster_dash_mole import backlog
from cluster_dash_mole.backend import LONGEST_BACK_OFF_S, back_off_s
from cluster_dash_mole.config import JsonSenderLoggerSettings, OutboxSettings
from cluster_dash_mole.simulate.fleet import Fleet
from cluster_dash_server.serving.sockets import allow_descriptors

INTERVAL_S, KEPT = 5.0, 120
PER_S = OutboxSettings.posts_per_sec
DEADLINE_S = JsonSenderLoggerSettings.timeout_in_secs
FULL_BATCH = int(PER_S * backlog._BATCH_S)  # pyright: ignore[reportPrivateUsage]
SPREAD_S = min(backlog._MOST_SPREAD_S, backlog._SPREAD_INTERVALS * INTERVAL_S)  # pyright: ignore[reportPrivateUsage]
LOOK_EVERY_S = 10.0
PACKING_S_A_HOST = 0.08


class Seen:
    """By all moles together. Times are seconds since the server's return."""

    def __init__(self) -> None:
        self.began_at = time.monotonic()
        self.statuses: Counter[str] = Counter()
        self.arrivals: list[float] = []
        self.live_s: list[float] = []
        self.batch_s: list[float] = []
        self.found: list[float] = []
        self.live: set[tuple[int, int]] = set()
        """By host and number."""
        self.taken = 0
        self.last_taken_s = 0.0
        self.ends_at_s = math.inf

    @property
    def now_s(self) -> float:
        return time.monotonic() - self.began_at


class Mole:
    """As a real one keeps time; its posts are those of a simulated host."""

    def __init__(self, fleet: Fleet, at: int, port: int, seen: Seen) -> None:
        self._fleet, self._at, self._port, self._seen = fleet, at, port, seen
        self._left = KEPT
        self._batches = [
            (posts, gzip.compress(self._batch(first, posts), 6))
            for first in range(0, KEPT, FULL_BATCH)
            if (posts := min(FULL_BATCH, KEPT - first))
        ]

    def _batch(self, first: int, posts: int) -> bytes:
        bodies = ",".join(self._fleet.body(self._at, first + each) for each in range(posts))
        return f'{{"auth_code":"{PASSCODE}","posts":[{bodies}]}}'.encode()

    async def run(self) -> None:
        """Live posts until the end, and once one is taken, what was kept."""
        # What is left of the pause in which the server's return finds it: longer ones find it more often.
        await asyncio.sleep(LONGEST_BACK_OFF_S * math.sqrt(random.random()) * random.random())  # noqa: S311
        keeping: asyncio.Task[None] | None = None
        failures = 0
        while self._seen.now_s < self._seen.ends_at_s:
            facts = self._fleet.hosts[self._at].facts
            number = facts.number_at(time.time())
            body = self._fleet.body(self._at, number)
            head = f'{{"auth_code":"{PASSCODE}",'
            packed = gzip.compress((head + body[1:]).encode(), 6)
            began = time.monotonic()
            status, _ = await self._post("/", packed)
            if status == 200:
                failures = 0
                self._seen.live.add((self._at, number))
                self._seen.live_s.append(time.monotonic() - began)
                if keeping is None:
                    self._seen.found.append(self._seen.now_s)
                    keeping = asyncio.create_task(self._bring_kept())
                await asyncio.sleep(max(0.0, facts.sent_at(number + 1) - time.time()))
            else:
                failures += 1
                await asyncio.sleep(back_off_s(failures))
        if keeping:
            await keeping

    async def _bring_kept(self) -> None:
        await asyncio.sleep(random.uniform(0, SPREAD_S))  # noqa: S311
        failures = 0
        while self._batches:
            posts, packed = self._batches[0]
            began = time.monotonic()
            status, wait_s = await self._post("/batch", packed)
            if status != 200:
                failures += 1
                await asyncio.sleep(max(wait_s, back_off_s(failures)))
                continue
            failures = 0
            self._seen.batch_s.append(time.monotonic() - began)
            self._seen.taken += posts
            self._seen.last_taken_s = self._seen.now_s
            del self._batches[0]
            await asyncio.sleep(posts / PER_S)

    async def _post(self, path: str, packed: bytes) -> tuple[int, float]:
        """The answer's status, 0 where none came within the mole's deadline, and how long it is told to wait."""
        self._seen.arrivals.append(self._seen.now_s)
        try:
            async with asyncio.timeout(DEADLINE_S):
                status, wait_s = await self._exchange(path, packed)
        except (TimeoutError, OSError, ValueError) as error:
            self._seen.statuses[f"{path} {type(error).__name__}"] += 1
            return 0, 0.0
        self._seen.statuses[f"{path} {status}" + (" with Retry-After" if wait_s else "")] += 1
        return status, wait_s

    async def _exchange(self, path: str, packed: bytes) -> tuple[int, float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", "Content-Type: application/json"]
            lines += ["Content-Encoding: gzip", f"Content-Length: {len(packed)}", "", ""]
            writer.write("\r\n".join(lines).encode() + packed)
            await writer.drain()
            answer = await reader.read()
            while not reader.at_eof():
                answer += await reader.read()
        finally:
            writer.close()
        head, _, said = answer.partition(b"\r\n\r\n")
        status = int(head[9:12])
        if path == "/batch" and status == 200 and b'"success":false' in said.replace(b" ", b""):
            raise ValueError("a post of a batch was refused")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        return status, float(lines.get(b"retry-after", 0))


class Looker:
    """Somebody who looks at the fleet all the while: what is seen of the hosts that are back, and the server's size."""

    def __init__(self, server: Server, seen: Seen) -> None:
        self._server, self._seen = server, seen
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.oldest_s = self.slowest_s = 0.0
        self.most_mb = self.least_mb = psutil.Process(server.pid).memory_info().rss >> 20

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            began = time.monotonic()
            hosts = requests.get(self._server.url + "/api/hosts", timeout=600).json()["hosts"]
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.oldest_s = max([self.oldest_s, *(host["age_s"] for host in hosts)])
            size_mb = psutil.Process(self._server.pid).memory_info().rss >> 20
            self.most_mb = max(self.most_mb, size_mb)
            print(
                f"  {self._seen.now_s:>5.0f} s: {len(hosts)} hosts, {self._seen.taken:,} kept posts, {size_mb} MB",
                flush=True,
            )

    @contextmanager
    def looking(self) -> Generator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()


async def return_at_once(moles: list[Mole], seen: Seen, after_s: float) -> None:
    """Until all is brought and some seconds of live posts more."""
    running = [asyncio.create_task(mole.run()) for mole in moles]
    while seen.taken < KEPT * len(moles):
        await asyncio.sleep(0.2)
    seen.ends_at_s = seen.now_s + after_s
    await asyncio.gather(*running)


def bench(hosts: int, gpus: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = {"CLUSTER_DASH_PASSCODE": PASSCODE, "STATE_DIRECTORY": name, "CLUSTER_DASH_STORE_URL": ""}
        with Server(folder, environ, command=SERVE) as server:
            until(lambda: '"state":"done"' in server.get("/health?verbose").text, 60)  # with compressing Plotly.js
            until(lambda: server.get("/api/metrics").status_code != 503, 60)
            returns_at = time.time() + PACKING_S_A_HOST * hosts
            fleet = Fleet(
                hosts,
                1,
                scenario="plain",
                gpus_per_host=gpus,
                interval_s=INTERVAL_S,
                speed=1.0,
                began_at=returns_at - (KEPT + 1) * INTERVAL_S,  # of the live ones none is among them
            )
            seen = Seen()
            moles = [Mole(fleet, at, server.port, seen) for at in range(hosts)]
            time.sleep(max(0.0, returns_at - time.time()))
            seen.began_at, cpu = time.monotonic(), cpu_s(server.pid)
            looker = Looker(server, seen)
            with looker.looking():
                asyncio.run(return_at_once(moles, seen, 10.0))
            until(lambda: not list((folder / "journal").glob("*.journal")), 300)
            tell(seen, looker, hosts, seen.now_s, cpu_s(server.pid) - cpu)
            server.end()
            print(f"  {count(folder):,} posts are in the store, {seen.taken + len(seen.live):,} were taken")


def count(folder: Path) -> int:
    """The posts in the store of a server that has ended."""
    command = [sys.executable, str(Path(__file__).with_name("store.py")), "--count", str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(said.splitlines()[-1])["posts"]


def tell(seen: Seen, looker: Looker, hosts: int, carried_s: float, cpu: float) -> None:
    seconds = Counter(map(int, seen.arrivals))
    mean = len([at for at in seen.arrivals if at < seen.last_taken_s]) / seen.last_taken_s
    print(
        f"  all {KEPT * hosts:,} kept posts taken after {seen.last_taken_s:.0f} s, the last host was back after "
        f"{max(seen.found):.0f} s; in the store after {carried_s:.0f} s at most; {cpu:.0f} s of the server's CPU, "
        f"{looker.least_mb} MB before, at most {looker.most_mb} MB\n"
        f"  a live post's answer took {quantiles(seen.live_s)}; a batch's {quantiles(seen.batch_s)}\n"
        f"  on the page nobody that was back was older than {looker.oldest_s:.1f} s, it took {looker.slowest_s:.1f} s "
        f"at most\n"
        f"  requests a second: {mean:.0f} on average, {max(seconds.values())} at most "
        f"({max(seconds.values()) / mean:.1f} times)\n"
        f"  answers: {', '.join(f'{what}: {count:,}' for what, count in sorted(seen.statuses.items()))}"
    )


def quantiles(seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"{1000 * cuts[49]:.0f} ms, 99 % within {1000 * cuts[98]:.0f} ms, the slowest {1000 * max(seconds):.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--gpus", type=int, default=8)
    given = parser.parse_args()
    allow_descriptors(given.hosts + 200)
    print(f"{given.hosts} hosts of {given.gpus} GPUs find their server again, each with {KEPT} posts that it has kept:")
    bench(given.hosts, given.gpus)


if __name__ == "__main__":
    main()
