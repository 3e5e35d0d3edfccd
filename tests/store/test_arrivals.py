"""However posts come, at once, twice, in any order, over a way that loses them or to a server that halts: each is there
once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from mole.peers import free_port
from processes import SERVE, Server, until

from cluster_dash_mole import backend
from cluster_dash_mole.comms import JsonSenderLogger
from cluster_dash_mole.config import JsonSenderLoggerSettings
from cluster_dash_mole.kept_sender import KeptSender
from cluster_dash_mole.outbox import Outbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

NOW_S = time.time()
POSTS = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    folder = tmp_path_factory.mktemp("arrivals")
    environ = {"STATE_DIRECTORY": str(folder / "state"), "CLUSTER_DASH_STORE_URL": ""}
    with Server(folder, environ, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok, 40)
        yield server


def numbered(host: str, number: int, **mole: Any) -> posts.Post:
    """Its load says which one it is."""
    cpu = {"cpu_percent": 1, "load_avgs": [number, 0, 0], "num_cpus": 8}
    post = posts.host_post(host, gpus=1, seq=number, timestamp=NOW_S - 3600 + number, cpu=cpu)
    post["mole"] |= mole
    return post


def stored(server: Server, prefix: str) -> dict[str, list[tuple[float, float]]]:
    """(time, load) of the hosts whose names begin so."""
    asked: dict[str, Any] = {"metric": "sys.load_1m", "from": NOW_S - 7200, "to": NOW_S + 7200}
    answer = requests.get(server.url + "/api/series", params=asked, timeout=30)
    series = [each for each in answer.json()["series"] if each["host"].startswith(prefix)] if answer.ok else []
    return {each["host"]: list(zip(each["time"], each["value"])) for each in series}


def test_a_post_that_comes_a_hundred_times_at_once_is_taken_once_and_the_others_are_told_so(server: Server) -> None:
    post = numbered("twice", 1)
    with ThreadPoolExecutor(20) as pool:
        answers = [each.json() for each in pool.map(server.post, [post] * 100)]
    assert all(answer["success"] for answer in answers)
    told = sum(answer.get("duplicate", False) for answer in answers)
    until(lambda: stored(server, "twice"), 30)
    assert [len(points) for points in stored(server, "twice").values()] == [1]
    journaled = 100 - told
    assert 1 <= journaled <= 20, "no more than came while the first one was on its way to the disk"


@pytest.mark.parametrize("seeds", [range(8)])
def test_any_order_with_repeats_gives_what_the_right_order_gives(server: Server, seeds: range) -> None:
    """Three hosts, each with a mole that was started again in between."""

    def of(host: str) -> list[posts.Post]:
        made = [numbered(host, number) for number in range(1, POSTS + 1)]
        for number, post in enumerate(made):
            if number >= POSTS // 2:
                post["mole"] |= {"epoch": "boot.2", "seq": number - POSTS // 2 + 1}
        return made

    batches: list[list[posts.Post]] = [of("order-right")]
    for seed in seeds:
        chance = random.Random(seed)
        mixed = [post for host in range(3) for post in of(f"order-{seed}-{host}")]
        mixed += chance.sample(mixed, 30)
        chance.shuffle(mixed)
        while mixed:
            size = chance.choice((1, 7, 40))
            batches.append(mixed[:size])
            mixed = mixed[size:]
    with requests.Session() as session:
        for batch in batches:
            body = {"auth_code": posts.PASSCODE, "posts": batch}
            results = session.post(server.url + "/batch", json=body, timeout=30).json()["results"]
            assert all(result["success"] for result in results), results
    expected = [(pytest.approx(NOW_S - 3600 + number, abs=0.001), number) for number in range(1, POSTS + 1)]
    hosts = 1 + 3 * len(seeds)
    until(lambda: sum(map(len, stored(server, "order-").values())) >= POSTS * hosts, 40, "some are lost")
    found = stored(server, "order-")
    assert len(found) == hosts
    assert all(points == expected for points in found.values())


def test_what_comes_late_and_was_bad_then_says_nothing_of_now(server: Server) -> None:
    def told() -> list[Any]:
        [host] = [host for host in server.get("/api/hosts").json()["hosts"] if host["name"] == "late"]
        notes = [(note["kind"], note["text"]) for note in host["notes"]]
        return [host["is"], host["seen"], host["load"], notes, [gpu["is"] for gpu in host["gpus"]]]

    server.post(numbered("late", 100))
    before = told()
    full = {"/": {"mount_point": "/", "device": "/dev/sda", "total_gb": 100, "used_gb": 99.9, "percent_used": 99.9}}
    late = [{**numbered("late", number), "gpu": {"error": posts.GPU_ERROR}, "disk": full} for number in range(1, 20)]
    body = {"auth_code": posts.PASSCODE, "posts": late}
    answer = requests.post(server.url + "/batch", json=body, timeout=30).json()
    assert all(result["success"] for result in answer["results"])
    until(lambda: len(stored(server, "late").get("late", ())) == 20, 30)
    assert told() == before


def test_a_thousand_hosts_that_post_in_one_moment_are_all_taken(server: Server) -> None:
    """Each over a connection of its own, and the last byte of all is sent at once."""
    count = 1000

    def request(host: int) -> bytes:
        body = json.dumps(numbered(f"many-{host:04}", 1)).encode()
        headers = (
            f"Host: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        return f"POST / HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body

    async def send_all() -> list[bytes]:
        requests = [request(host) for host in range(count)]
        places = asyncio.Semaphore(100)

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            async with places:
                return await asyncio.open_connection("127.0.0.1", server.port)

        opened = await asyncio.gather(*(connect() for _ in requests))
        for (_, writer), text in zip(opened, requests):
            writer.write(text[:-1])
        await asyncio.gather(*(writer.drain() for _, writer in opened))
        for (_, writer), text in zip(opened, requests):
            writer.write(text[-1:])
        answers = await asyncio.gather(*(reader.read() for reader, _ in opened))
        for _, writer in opened:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in opened), return_exceptions=True)
        return answers

    answers = asyncio.run(send_all())
    assert [answer[9:12] for answer in answers] == [b"200"] * count
    until(lambda: len(stored(server, "many-")) == count, 40, "some are lost")
    assert {len(points) for points in stored(server, "many-").values()} == {1}


def test_a_server_that_halts_and_goes_on_loses_nothing(server: Server) -> None:
    """Ctrl-Z, or a virtual machine that is moved: who waits is answered then, who gave up comes again."""
    sent = list(range(1, 11))
    with ThreadPoolExecutor(len(sent)) as pool:
        server.post(numbered("halt", 1))
        assert server.process
        server.process.send_signal(signal.SIGSTOP)
        try:
            waiting = [pool.submit(server.post, numbered("halt", number)) for number in sent]
            time.sleep(1)
            assert not any(each.done() for each in waiting)
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert all(each.result().json()["success"] for each in waiting)
    assert server.post(numbered("halt", 11)).json()["success"]
    until(lambda: [value for _, value in stored(server, "halt").get("halt", ())] == [*sent, 11], 30)
    assert server.get("/health").ok


class Way:
    """To the server, by another port: of the connections some are cut before the server gets anything, some before its
    answer comes back.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.cut = {"before": 0, "after": 0}
        self.is_good = False
        self._to = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def _run(self, work: Any, *what: Any) -> None:
        thread = threading.Thread(target=work, args=what)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._run(self._serve, self._socket.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        fate = "good" if self.is_good else self.chance.choice(("good", "before", "after", "after"))
        with client, contextlib.suppress(OSError):
            client.settimeout(10)
            if fate != "before":
                with socket.create_connection(("127.0.0.1", self._to), 10) as server:
                    server.sendall(read_message(client))
                    answer = read_message(server)
                if fate == "good":
                    client.sendall(answer)
                    return
            self.cut[fate] += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in list(self._threads):
            thread.join()


def read_message(connection: socket.socket) -> bytes:
    """Headers and body of a request or an answer."""
    message = b""
    while b"\r\n\r\n" not in message:
        message += connection.recv(65536)
    headers, _, body = message.partition(b"\r\n\r\n")
    [length] = [line for line in headers.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(length.partition(b":")[2]):
        body += connection.recv(65536)
    return headers + b"\r\n\r\n" + body


@pytest.fixture
def way(server: Server) -> Generator[Way]:
    way = Way(server.port, 5)
    yield way
    way.close()


def send_over(way: Way, server: Server, host: str, sender: JsonSenderLogger, outbox: Outbox | None) -> list[float]:
    """What is there of its posts once the way is good again."""
    try:
        for number in range(1, POSTS + 2):
            if number > POSTS:
                until(lambda: way.cut["after"] >= 5 and way.cut["before"] >= 3, 30)
                way.is_good = True
            post = numbered(host, number)
            del post["auth_code"]
            sender.send(post, float(number))
            time.sleep(0.02)
        until(lambda: (POSTS + 1) in [value for _, value in stored(server, host).get(host, ())], 30)
        if outbox:
            until(lambda: not outbox.waiting, 40, "the outbox isn't empty")
    finally:
        sender.close()
    time.sleep(2)
    return [value for _, value in stored(server, host)[host]]


def settings(way: Way) -> JsonSenderLoggerSettings:
    return JsonSenderLoggerSettings(True, 0, way.url, posts.PASSCODE)


def test_a_way_that_loses_posts_and_answers_costs_none(
    server: Server, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "LONGEST_BACK_OFF_S", 0.05)
    outbox = Outbox(tmp_path, "boot.1", 2**20)
    found = send_over(way, server, "lossy", KeptSender(settings(way), 0.01, outbox, 1000), outbox)
    assert found == list(range(1, POSTS + 2))


def test_the_same_way_costs_a_sender_without_an_outbox_some(
    server: Server, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "LONGEST_BACK_OFF_S", 0.05)
    found = send_over(way, server, "lossy-bare", JsonSenderLogger(settings(way), 0.01), None)
    assert len(found) < POSTS


def test_a_server_that_is_asked_twice_to_end_while_posts_come_ends_in_order(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    taken: list[int] = []
    with Server(tmp_path, environ, port=free_port(), command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok, 40)

        def send() -> None:
            with contextlib.suppress(requests.RequestException):
                for number in range(1, 10_000):
                    if not server.post(numbered("ending", number)).ok:
                        return
                    taken.append(number)

        sending = threading.Thread(target=send)
        sending.start()
        try:
            until(lambda: len(taken) > 30, 30)
            assert server.process
            server.process.send_signal(signal.SIGTERM)
            code, _ = server.end(signal.SIGTERM)
        finally:
            server.kill()
            sending.join()
        assert code == 0
        assert "Traceback" not in server.log
        server.start()
        until(lambda: len(stored(server, "ending").get("ending", ())) >= len(taken), 40, "some are lost")
        found = [value for _, value in stored(server, "ending")["ending"]]
    assert found[: len(taken)] == taken
    assert len(found) == len(set(found)) <= len(taken) + 1
