"""Streams over sockets to the real server: a held one ends with its client, one too many is answered all the same."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import posts
import pytest
import requests
from processes import SERVE, Server, until

pytestmark = pytest.mark.slow

HELD = 2
LEFT_S = 15.0
"""A client that left is noticed at its second heartbeat, after ten seconds."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    settings = {"CLUSTER_DASH_SERVE_HELD_STREAMS": str(HELD), "CLUSTER_DASH_SERVE_THREADS": "4"}
    with Server(tmp_path, settings, command=SERVE) as server:
        assert server.post(posts.host_post("a")).status_code == requests.codes.ok
        yield server


def hold(server: Server) -> requests.Response:
    return requests.get(f"{server.url}/stream?hosts=1", stream=True, timeout=10)


def events_of(stream: requests.Response) -> Iterator[bytes]:
    return (line for line in stream.iter_lines(chunk_size=1) if line.startswith(b"event: "))


def test_a_held_stream_tells_what_comes(server: Server) -> None:
    with hold(server) as stream:
        events = events_of(stream)
        assert next(events) == b"event: hosts"
        assert server.post(posts.host_post("b")).status_code == requests.codes.ok
        assert next(events) == b"event: hosts"


def test_one_too_many_gets_the_short_kind_and_pages_are_answered_meanwhile(server: Server) -> None:
    held = [hold(server) for _ in range(HELD)]
    try:
        for stream in held:
            assert next(events_of(stream)) == b"event: hosts"
        began = time.monotonic()
        short = requests.get(f"{server.url}/stream?hosts=1", timeout=10)
        assert short.status_code == requests.codes.ok
        assert "retry:" in short.text
        assert "event: hosts" in short.text
        assert server.get("/", accept="text/html").status_code == requests.codes.ok
        assert time.monotonic() - began < 5
    finally:
        for stream in held:
            stream.close()


def test_a_client_that_left_gives_its_place_back(server: Server) -> None:
    for _ in range(HELD):
        stream = hold(server)
        next(events_of(stream))
        stream.close()

    def has_room() -> bool:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(b"GET /stream?hosts=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            client.settimeout(3)
            received = b""
            try:
                while piece := client.recv(65536):
                    received += piece
                    if received.endswith(b"0\r\n\r\n"):
                        return False  # the short kind ends at once
            except TimeoutError:
                return b"event: hosts" in received
            return False

    until(has_room, LEFT_S + 15)


def test_the_server_ends_while_streams_are_held(server: Server) -> None:
    with hold(server) as stream:
        next(events_of(stream))
        code, took_s = server.end()
    assert code == 0
    assert took_s < 8
