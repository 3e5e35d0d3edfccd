"""Requests that leave open where they end or whom they are for are refused, and what follows on them is not read."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests
from processes import LONG_S, PROMPT_S, SERVE, Server

pytestmark = pytest.mark.slow

POST = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SMUGGLED = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(
        tmp_path_factory.mktemp("serve"), {"CLUSTER_DASH_SERVE_HEADER_TIMEOUT_S": "3"}, command=SERVE
    ) as running:
        yield running


def exchange(server: Server, raw: str | bytes, within_s: float = LONG_S) -> bytes:
    """All that comes back until the server closes the connection."""
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), within_s) as connection:
        connection.sendall(data)
        try:
            while received := connection.recv(65536):
                answer += received
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def refusal(answer: bytes) -> tuple[int, str]:
    """(status, msg) of the one answer that came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") + answer.count(b"HTTP/1.0 ") == 1
    document = json.loads(body)
    assert document["success"] is False
    assert b"\r\nContent-Security-Policy: " in head
    return int(head.split()[1]), document["msg"]


UNCLEAR = {
    "two lengths": POST + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two different lengths": POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a negative length": POST + "Content-Length: -2\r\n\r\n{}",
    "a length with a sign": POST + "Content-Length: +2\r\n\r\n{}",
    "a hexadecimal length": POST + "Content-Length: 0x2\r\n\r\n{}",
    "a length of 5,000 digits": POST + f"Content-Length: {'9' * 5000}\r\n\r\n{{}}",
    "length and chunks": POST + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before the colon": POST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": POST.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "wrong chunk sizes": POST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "no Host": POST.replace("Host: x\r\n", "") + "Content-Length: 2\r\n\r\n{}",
    "two Hosts": POST + "Host: y\r\nContent-Length: 2\r\n\r\n{}",
    "a whole address": POST.replace("POST /", "POST http://evil/") + "Content-Length: 2\r\n\r\n{}",
    "a tunnel": "CONNECT evil:443 HTTP/1.1\r\nHost: evil\r\n\r\n",
    "another version": POST.replace("1.1", "2.0") + "Content-Length: 2\r\n\r\n{}",
    "no version": "GET /\r\n\r\n",
    "a folded header": POST + "X-A: b\r\n c: d\r\nContent-Length: 2\r\n\r\n{}",
    "a control character in a name": POST + "X\x01A: b\r\nContent-Length: 2\r\n\r\n{}",
    "a bare line feed": POST + "X-A: b\nX-B: c\r\nContent-Length: 2\r\n\r\n{}",
    "200 headers": POST + "".join(f"X-{n}: 1\r\n" for n in range(200)) + "Content-Length: 2\r\n\r\n{}",
    "garbage": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("raw", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_an_unclear_request_is_refused_and_nothing_behind_it_is_read(serving: Server, raw: str) -> None:
    status, message = refusal(exchange(serving, raw + SMUGGLED))
    assert status == 400
    assert message.startswith("this is no valid HTTP request")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (POST + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 501),
        (POST + f"X-Long: {'x' * 17_000}\r\n\r\n", 431),
        (POST + "Content-Length: 1000000000000\r\n\r\n", 413),
        (POST + "Content-Length: 1048577\r\n\r\n", 413),
        (POST + "Transfer-Encoding: chunked\r\n\r\n" + ("80000\r\n" + "x" * 0x80000 + "\r\n") * 4, 413),
    ],
    ids=["another coding", "17 KiB of headers", "a terabyte", "a byte more than a MiB", "2 MiB in chunks"],
)
def test_what_is_too_large_or_unknown_is_refused_at_once(serving: Server, raw: str, expected: int) -> None:
    assert refusal(exchange(serving, raw))[0] == expected


def test_a_refusal_repeats_nothing_of_what_was_sent(serving: Server) -> None:
    answer = exchange(serving, POST + "Authorization: Bearer secret-canary\nX: y\r\n\r\n")
    assert refusal(answer)[0] == 400
    assert b"canary" not in answer
    assert "canary" not in serving.log


def test_a_mebibyte_is_taken_up_to_the_last_byte(serving: Server) -> None:
    answer = exchange(serving, POST + f"Content-Length: {2**20}\r\nConnection: close\r\n\r\n" + " " * 2**20)
    status, message = refusal(answer)
    assert (status, message.split(":")[0]) == (400, "the post isn't valid JSON")


def test_fifty_posts_in_one_segment_are_answered_in_order(serving: Server) -> None:
    one = "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n"
    raw = "".join(one.format("health" if n % 2 else "nope") for n in range(50))
    answer = exchange(serving, raw.removesuffix("\r\n") + "Connection: close\r\n\r\n")
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [404, 200] * 25


def test_a_client_that_waits_for_100_continue_gets_it(serving: Server) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), LONG_S) as connection:
        connection.sendall((POST + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n").encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"[]")
        assert connection.recv(1024).startswith(b"HTTP/1.1 400")


def test_a_thousand_posts_over_one_connection(serving: Server) -> None:
    with requests.Session() as session:
        assert {session.get(serving.url + "/health", timeout=LONG_S).status_code for _ in range(1000)} == {200}


def test_a_request_that_ends_its_lines_with_line_feeds_alone_is_dropped_in_time(serving: Server) -> None:
    began = time.monotonic()
    assert exchange(serving, "GET /health HTTP/1.1\nHost: x\n\n") == b""
    assert time.monotonic() - began < PROMPT_S


def test_no_request_of_these_left_a_traceback(serving: Server) -> None:
    assert "Traceback" not in serving.log
    assert serving.get("/health").json() == {"status": "ok"}
