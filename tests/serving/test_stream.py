"""Streams over sockets: pages hold no thread, clients that hold one are few, and one that left gives it back."""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from processes import LONG_S, PROMPT_S, SERVE, WAITRESS, Server, until

pytestmark = pytest.mark.slow


def serve(folder: Path, command: list[str] | None = None, **settings: object) -> Server:
    environ = {f"CLUSTER_DASH_SERVE_{name}".upper(): str(value) for name, value in settings.items()}
    return Server(folder, environ, command=command or SERVE)


END = b"\r\n0\r\n\r\n"
"""Of an answer that is whole."""
_numbers = itertools.count()


class Held:
    """A client that reads a held stream as it comes."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port), LONG_S)
        self.socket.sendall(b"GET /stream?hosts=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.text = b""

    def read_until(self, words: bytes) -> bytes:
        while words not in self.text:
            piece = self.socket.recv(65536)
            assert piece, "the stream has ended"
            self.text += piece
        return self.text

    @property
    def is_held(self) -> bool:
        """The short kind ends with its first answer; a held one tells of what comes after it."""
        self.read_until(b"\n\n")
        name = f"newcomer-{next(_numbers)}"
        self._server.post(posts.host_post(name)).raise_for_status()
        while name.encode() not in self.text:
            if END in self.text:
                return False
            piece = self.socket.recv(65536)
            assert piece, "the stream has ended"
            self.text += piece
        return True


@contextmanager
def clients(server: Server, count: int) -> Generator[list[Held]]:
    opened: list[Held] = []
    try:
        opened.extend(Held(server) for _ in range(count))
        yield opened
    finally:
        for each in opened:
            each.socket.close()


def look(server: Server, event_id: str = "") -> tuple[str, dict[str, Any]]:
    """The id to ask with the next time, and what is new."""
    answer = requests.get(f"{server.url}/stream?hold=0", headers={"Last-Event-ID": event_id}, timeout=LONG_S)
    found = re.search(r"^id: (\S+)$", answer.text, re.MULTILINE)
    data = re.search(r"^data: (.*)$", answer.text, re.MULTILINE)
    return (found[1], json.loads(data[1])) if found and data else (event_id, {"hosts": [], "full": False})


@pytest.mark.parametrize("command", [SERVE, WAITRESS])
def test_a_held_stream_tells_what_comes_and_lives_while_nothing_does(tmp_path: Path, command: list[str]) -> None:
    with serve(tmp_path, command) as server, clients(server, 1) as [held]:
        assert b"Cache-Control: no-store" in held.read_until(b'"full":true')
        server.post(posts.host_post("gpu01"))
        assert b'"full":false' in held.read_until(b'"name":"gpu01"')
        held.read_until(b": still here")


@pytest.mark.parametrize("command", [SERVE, WAITRESS])
def test_one_more_than_the_limit_gets_the_short_kind_and_pages_go_on(tmp_path: Path, command: list[str]) -> None:
    with serve(tmp_path, command) as server:
        server.post(posts.host_post("gpu01"))
        with clients(server, 2) as first:
            assert [each.is_held for each in first] == [True, True]
            with clients(server, 6) as more:
                assert [each.is_held for each in more] == [False] * 6
                assert all(b"HTTP/1.1 200" in each.text and b"event: hosts" in each.text for each in more)
                assert server.get("/health").ok


def test_a_client_that_left_gives_its_thread_back(tmp_path: Path) -> None:
    with serve(tmp_path, threads=2) as server:
        with clients(server, 1) as [held]:
            assert held.is_held

        def is_held_again() -> bool:
            with clients(server, 1) as [held]:
                return held.is_held

        until(is_held_again, message="the thread of the client that left is taken for good")
        assert server.get("/health").ok


def test_no_more_than_half_of_the_threads_are_held(tmp_path: Path) -> None:
    with serve(tmp_path, threads=3, held_streams=100) as server, clients(server, 3) as opened:
        assert [each.is_held for each in opened] == [True, False, False]
        assert server.get("/health").ok


def test_a_hundred_pages_that_come_and_go_hold_nothing(tmp_path: Path) -> None:
    with serve(tmp_path, threads=1) as server:
        server.post(posts.host_post("gpu01"))
        ids: list[str] = []
        pages = [threading.Thread(target=lambda: ids.append(look(server)[0])) for _ in range(100)]
        for page in pages:
            page.start()
        for page in pages:
            page.join()
        assert len(ids) == 100
        assert server.get("/health").ok


def test_it_ends_in_order_while_streams_are_held(tmp_path: Path) -> None:
    with serve(tmp_path) as server, clients(server, 2) as opened:
        assert [each.is_held for each in opened] == [True, True]
        code, seconds = server.end()
        assert code == 0
        assert seconds < PROMPT_S
        for each in opened:
            each.read_until(END)  # it ends by itself, and isn't cut
        assert "Traceback" not in server.log


def test_an_id_of_before_a_restart_gives_everything(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        server.post(posts.host_post("gpu01"))
        event_id, first = look(server)
        assert look(server, event_id)[1]["hosts"] == []
        server.end()
        server.start()
        server.post(posts.host_post("gpu02"))
        again, second = look(server, event_id)
        assert (first["full"], second["full"]) == (True, True)
        assert again.partition("-")[0] != event_id.partition("-")[0]


def test_a_page_that_follows_the_deltas_misses_no_host(tmp_path: Path) -> None:
    """While six senders post; what the deltas add up to is what a new look shows."""
    with serve(tmp_path) as server:
        ended = threading.Event()

        def send(sender: int) -> None:
            for number in range(25):
                post = posts.host_post(f"s{sender}-{number % 9}", gpus=1 + number % 3)
                assert server.post(post | {"mole": post["mole"] | {"interval_s": 3600}}).status_code == 200

        senders = [threading.Thread(target=send, args=(number,)) for number in range(6)]
        for thread in senders:
            thread.start()
        shown: dict[str, int] = {}
        event_id = ""
        while not ended.is_set():
            if not any(thread.is_alive() for thread in senders):
                ended.set()  # and once more
            event_id, data = look(server, event_id)
            for host in data["hosts"]:
                shown[host["name"]] = len(host["gpus"])
        for thread in senders:
            thread.join()
        _, data = look(server)
        assert shown == {host["name"]: len(host["gpus"]) for host in data["hosts"]}
        assert len(shown) == 54
