"""Posts on their way out, with servers and readers that are slow, wrong or away."""

from __future__ import annotations

import json
import logging
import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole import comms
from cluster_dash_mole.comms import JsonSenderLogger, StdOutLogger
from cluster_dash_mole.config import JsonSenderLoggerSettings, StdOutLoggerSettings
from mole.peers import Peer, free_port, wait_until
from mole.test_table import post as table_post

POST: dict[str, Any] = {"hostname": "h", "mole": {"id": "x"}}


@pytest.fixture
def send_to(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., JsonSenderLogger]]:
    caplog.set_level(logging.INFO)
    started: list[JsonSenderLogger] = []

    def start(address: str, min_interval_s: float = 5, poll_interval_s: float = 5) -> JsonSenderLogger:
        settings = JsonSenderLoggerSettings(True, min_interval_s, address, "canary")
        started.append(JsonSenderLogger(settings, poll_interval_s))
        return started[-1]

    yield start
    for sender in started:
        sender.close()


Sending = Callable[..., JsonSenderLogger]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off that tests can wait for."""
    monkeypatch.setattr(comms, "LONGEST_BACK_OFF_S", 0.05)


def test_a_post_arrives_with_the_auth_code_and_its_number(peer: Peer, send_to: Sending) -> None:
    sender = send_to(peer.address)
    sender.send(POST, 0)
    wait_until(lambda: peer.posts)
    assert peer.posts == [{"hostname": "h", "mole": {"id": "x", "seq": 1, "interval_s": 5}, "auth_code": "canary"}]
    assert "auth_code" not in POST
    assert peer.requests[0]["Content-Type"] == "application/json"


@pytest.mark.parametrize(("interval_s", "connection"), [(5, "close"), (2, "close"), (1, "keep-alive")])
def test_only_who_posts_often_keeps_its_connection(
    peer: Peer, send_to: Sending, interval_s: float, connection: str
) -> None:
    send_to(peer.address, interval_s, interval_s).send(POST, 0)
    wait_until(lambda: peer.requests)
    assert peer.requests[0]["Connection"] == connection


def test_the_least_interval_holds_against_a_jittering_poll(send_to: Sending, peer: Peer) -> None:
    sender = send_to(peer.address, 5, 5)
    assert sender.due(100)
    sender.send(POST, 100)
    assert not sender.due(104)
    assert sender.due(104.99)


@pytest.mark.parametrize(("least_s", "poll_s", "expected"), [(5, 5, 5), (5, 2, 6), (0, 2, 2), (300, 5, 300)])
def test_a_post_says_when_the_next_is_due(
    peer: Peer, send_to: Sending, least_s: float, poll_s: float, expected: float
) -> None:
    assert send_to(peer.address, least_s, poll_s).interval_s == expected


@pytest.mark.usefixtures("soon")
def test_a_server_that_is_away_gets_the_newest_post_when_it_is_back(
    send_to: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    sender = send_to(f"http://127.0.0.1:{port}/")
    for number in range(3):
        sender.send({**POST, "number": number}, number)
        wait_until(lambda: "Connection refused" in caplog.text)
    peer = Peer(port)
    try:
        wait_until(lambda: "works again" in caplog.text and peer.posts[-1]["number"] == 2)
    finally:
        peer.close()
    assert caplog.text.count("Connection refused") == 1
    assert f"posts lost: {3 - len(peer.posts)}" in caplog.text


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (
            401,
            b'{"success": false, "msg": "wrong auth_code: set [access] passcode"}',
            "answers 401: wrong auth_code: set",
        ),
        (500, b"<html>oh</html>", "answers 500, but not as a cluster-dash server does"),
        (200, b"<html>please log in</html>", "answers 200, but not as a cluster-dash server does"),
        (200, b"", "answers 200, but not"),
        (200, b'["success"]', "answers 200, but not"),
        (200, b'{"success": false, "msg": "disk full"}', "answers 200: disk full"),
        (503, b'{"msg": "\\u001b[31m' + b"x" * 1000 + b'"}', "answers 503:  [31mxxx"),
    ],
)
def test_what_the_server_says_is_logged_once_and_the_post_tried_again(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture, status: int, answer: bytes, words: str
) -> None:
    peer.answer = (status, answer)
    send_to(peer.address).send(POST, 0)
    wait_until(lambda: len(peer.posts) >= 3)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert words in lines[0]
    assert len(lines[0]) < 420
    assert "canary" not in caplog.text


@pytest.mark.usefixtures("soon")
def test_a_post_that_is_refused_for_good_is_not_repeated(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    peer.answer = (400, b'{"success": false, "msg": "no hostname"}')
    sender = send_to(peer.address)
    sender.send(POST, 0)
    wait_until(lambda: "no hostname" in caplog.text)
    time.sleep(0.2)
    assert len(peer.posts) == 1
    peer.answer = (200, b'{"success": true, "msg": "stored result"}')
    sender.send(POST, 5)
    wait_until(lambda: "posts lost: 1" in caplog.text)


def test_a_redirect_is_not_followed(peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture) -> None:
    peer.answer, peer.extra_headers = (301, b""), {"Location": "http://elsewhere/"}
    send_to(peer.address).send(POST, 0)
    wait_until(lambda: "redirects to http://elsewhere/: put the final address in address_in" in caplog.text)


def test_a_server_that_never_answers_blocks_nobody(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comms, "TIMEOUT_S", 0.3)
    peer.may_answer.clear()
    sender = send_to(peer.address)
    started = time.monotonic()
    for number in range(100):
        sender.send(POST, number)
    assert time.monotonic() - started < 0.2
    wait_until(lambda: "no answer within 0.3 s" in caplog.text)


def test_closing_does_not_wait_for_a_server_that_never_answers(
    peer: Peer, send_to: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comms, "TIMEOUT_S", 1.0)
    peer.may_answer.clear()
    sender = send_to(peer.address)
    sender.send(POST, 0)
    wait_until(lambda: peer.posts)
    started = time.monotonic()
    sender.close()
    assert time.monotonic() - started < 0.5


def test_proxies_of_the_environment_are_not_used(peer: Peer, send_to: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    send_to(peer.address).send(POST, 0)
    wait_until(lambda: peer.posts)


def test_a_number_that_is_not_json_is_never_sent(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    sender = send_to(peer.address)
    sender.send({**POST, "x": float("nan")}, 0)
    wait_until(lambda: "could not be sent" in caplog.text)
    sender.send(POST, 5)
    wait_until(lambda: peer.posts)
    assert len(peer.posts) == 1


class Pipe:
    """A pipe, or a terminal, that a StdOutLogger writes to."""

    def __init__(self, ends: tuple[int, int]) -> None:
        self.read_end, self.write_end = ends
        self.logger = StdOutLogger(StdOutLoggerSettings(True, 0), 1, self.write_end)

    def close(self) -> None:
        self.logger.close()
        wait_until(lambda: not any(thread.name == "StdOutLogger" for thread in threading.enumerate()))
        os.close(self.read_end)
        os.close(self.write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe(os.pipe())
    yield pipe
    pipe.close()


def test_a_pipe_gets_one_json_object_a_line(pipe: Pipe) -> None:
    pipe.logger.send(POST, 0)
    line = os.read(pipe.read_end, 65536)
    assert line.endswith(b"}\n")
    assert json.loads(line) == {"hostname": "h", "mole": {"id": "x", "seq": 1, "interval_s": 1}}


def test_a_reader_that_does_not_read_blocks_nobody(pipe: Pipe) -> None:
    started = time.monotonic()
    for number in range(20):
        pipe.logger.send({**POST, "ballast": "x" * 100_000}, number)
    assert time.monotonic() - started < 1
    os.set_blocking(pipe.read_end, False)
    # let the writer's thread go
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        try:
            os.read(pipe.read_end, 1_000_000)
        except BlockingIOError:
            time.sleep(0.01)


def test_a_reader_that_goes_away_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_end, write_end = os.pipe()
    pipe = Pipe((os.open(tmp_path, os.O_RDONLY), write_end))
    os.close(read_end)
    for number in range(3):
        pipe.logger.send(POST, number)
        wait_until(lambda: pipe.logger._waiting is None)  # pyright: ignore[reportPrivateUsage]
    wait_until(lambda: "stdout can't be written" in caplog.text)
    pipe.close()
    assert caplog.text.count("stdout can't be written") == 1


def test_a_terminal_gets_a_table() -> None:
    pipe = Pipe(pty.openpty())
    pipe.logger.send({**table_post(name="\x1b[31mred"), "mole": {}}, 0)
    text = os.read(pipe.read_end, 65536)
    assert b"molgpu02" in text
    assert b"\x1b" not in text
    pipe.close()
