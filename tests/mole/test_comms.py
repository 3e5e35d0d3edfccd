"""Posts on their way out, with servers and readers that are slow, wrong or away."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole import backend
from cluster_dash_mole.comms import JsonSenderLogger
from cluster_dash_mole.config import JsonSenderLoggerSettings
from cluster_dash_mole.exchange import read_retry_after
from mole.certificates import Authority
from mole.peers import LONG_S, PROMPT_S, STORED, ManualClock, Peer, free_port, wait_until

POST: dict[str, Any] = {"hostname": "h", "mole": {"id": "x"}}


@pytest.fixture
def send_to(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., JsonSenderLogger]]:
    caplog.set_level(logging.INFO)
    started: list[JsonSenderLogger] = []

    def start(address: str, min_interval_s: float = 5, poll_interval_s: float = 5, **more: Any) -> JsonSenderLogger:
        clock = more.pop("clock", time.monotonic)
        more.setdefault("timeout_in_secs", LONG_S)
        settings = JsonSenderLoggerSettings(True, min_interval_s, address, "canary", **more)
        started.append(JsonSenderLogger(settings, poll_interval_s, clock))
        return started[-1]

    yield start
    for sender in started:
        sender.close()


Sending = Callable[..., JsonSenderLogger]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off that tests can wait for."""
    monkeypatch.setattr(backend, "LONGEST_BACK_OFF_S", 0.05)


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
        (403, b'{"success": false, "msg": "not from there"}', "answers 403: not from there"),
        (404, b"", "answers 404, but not as a cluster-dash server does"),
        (500, b"<html>oh</html>", "answers 500, but not as a cluster-dash server does"),
        (200, b"<html>please log in</html>", "answers 200, but not as a cluster-dash server does"),
        (200, b"", "answers 200, but not"),
        (200, b'{"success": true, "msg": "' + b"x" * 70_000 + b'"}', "answers 200, but not"),
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
@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_post_that_is_refused_for_good_is_not_repeated(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    peer.answer = (status, b'{"success": false, "msg": "schema violation: cpu.x must be of type number"}')
    sender = send_to(peer.address)
    for number in range(3):
        sender.send(POST, number)
        wait_until(lambda count=number + 1: len(peer.posts) == count and not sender._busy)  # pyright: ignore
    time.sleep(0.2)
    assert len(peer.posts) == 3
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        f"{peer.address}: answers {status}: schema violation: cpu.x must be of type number; "
        "this post is dropped, the next one is tried (said once an hour; posts lost: 1)"
    )
    peer.answer = STORED
    sender.send(POST, 5)
    wait_until(lambda: "works again after 3 failures; posts lost: 3" in caplog.text)


@pytest.mark.usefixtures("soon")
def test_a_trouble_that_lasts_is_said_again_after_a_while(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.answer = (400, b'{"success": false, "msg": "no"}')
    sender = send_to(peer.address)
    for number in range(6):
        if number == 4:
            monkeypatch.setattr(backend, "_SAY_AGAIN_AFTER_S", 0.0)
        sender.send(POST, number)
        wait_until(lambda count=number + 1: len(peer.posts) == count and not sender._busy)  # pyright: ignore
    lines = [record.getMessage() for record in caplog.records]
    assert [line.rpartition(" ")[2] for line in lines] == ["1)", "5)", "6)"], lines


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_so_the_passcode_goes_nowhere_else(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    elsewhere = Peer()
    try:
        peer.answer, peer.extra_headers = (status, b""), {"Location": elsewhere.address}
        send_to(peer.address).send(POST, 0)
        wait_until(lambda: f"redirects to {elsewhere.address}: put the final address in address_in" in caplog.text)
        assert elsewhere.requests == []
    finally:
        elsewhere.close()


def test_a_server_that_never_answers_blocks_nobody(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    peer.may_answer.clear()
    sender = send_to(peer.address, timeout_in_secs=0.3)
    started = time.monotonic()
    for number in range(1000):
        sender.send(POST, number)
    assert time.monotonic() - started < 0.3 * 1000 / 2
    wait_until(lambda: "no answer within 0.3 s" in caplog.text)


def test_closing_does_not_wait_for_a_server_that_never_answers(peer: Peer, send_to: Sending) -> None:
    peer.may_answer.clear()
    sender = send_to(peer.address, timeout_in_secs=LONG_S)
    sender.send(POST, 0)
    wait_until(lambda: peer.posts)
    started = time.monotonic()
    sender.close()
    assert time.monotonic() - started < PROMPT_S


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


def test_a_proxy_of_the_settings_is_used(peer: Peer, send_to: Sending) -> None:
    send_to("http://dash.invalid/x", proxy=peer.address).send(POST, 0)
    wait_until(lambda: peer.posts)
    assert peer.requests[0]["path"] == "http://dash.invalid/x"


class Raw:
    """A server that sends these bytes as they are, with a pause before each part; then it ends the connection, or sends
    `drip` for ever, each time soon enough for a timeout that starts anew. No bytes = it stays silent.
    """

    def __init__(
        self,
        *parts: bytes,
        pause_s: float = 0,
        drip: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._parts, self._pause_s, self._drip, self._tls = parts, pause_s, drip, tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
        with connection, contextlib.suppress(OSError):
            for part in self._parts:
                self._ended.wait(self._pause_s)
                connection.sendall(part)
            if self._drip is None:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            while not self._ended.wait(0.05):
                connection.sendall(self._drip or b"")

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._listening.close()


@pytest.fixture
def start_raw() -> Iterator[Callable[..., Raw]]:
    started: list[Raw] = []

    def start(*parts: bytes, **how: Any) -> Raw:
        started.append(Raw(*parts, **how))
        return started[-1]

    yield start
    for raw in started:
        raw.close()


CRLF = b"\r\n"
OK = b"HTTP/1.1 200 OK" + CRLF
TLS_RECORD = b"\x16\x03\x03\x40\x00"  # 16 KiB of a handshake are to follow


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("head", [OK + b"X-Long: ", OK + b"Content-Length: 60000\r\n\r\n"])
def test_the_timeout_holds_for_an_answer_as_a_whole_however_it_drips(
    start_raw: Callable[..., Raw],
    send_to: Sending,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    head: bytes,
    scheme: str,
) -> None:
    authority = Authority(tmp_path)
    tls = authority.server_context("127.0.0.1") if scheme == "https" else None
    address = f"{scheme}://{start_raw(head, drip=b'x', tls=tls).host}/"
    send_to(address, timeout_in_secs=0.4, ca_file=str(authority.file)).send(POST, 0)
    wait_until(lambda: "no answer within 0.4 s" in caplog.text)


@pytest.mark.parametrize(("parts", "drip"), [((), b""), ((TLS_RECORD,), b"x")])
def test_the_timeout_holds_for_a_tls_handshake(
    start_raw: Callable[..., Raw], send_to: Sending, caplog: pytest.LogCaptureFixture, parts: Any, drip: bytes
) -> None:
    address = f"https://{start_raw(*parts, drip=drip).host}/"
    send_to(address, timeout_in_secs=0.4).send(POST, 0)
    wait_until(lambda: "no answer within 0.4 s" in caplog.text)


@pytest.mark.parametrize(("parts", "drip"), [((), b""), ((OK + b"X-Long: ",), b"x")])
def test_the_timeout_holds_for_what_a_proxy_says_to_a_connect(
    start_raw: Callable[..., Raw], send_to: Sending, caplog: pytest.LogCaptureFixture, parts: Any, drip: bytes
) -> None:
    proxy = f"http://{start_raw(*parts, drip=drip).host}/"
    send_to("https://dash.invalid/", proxy=proxy, timeout_in_secs=0.4).send(POST, 0)
    wait_until(lambda: "no answer within 0.4 s" in caplog.text)


def test_a_proxy_and_a_handshake_have_one_timeout_together(
    start_raw: Callable[..., Raw], send_to: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    """Of three tries one is not held up by a busy machine."""

    def seconds_to_the_end() -> float:
        caplog.clear()
        proxy = f"http://{start_raw(OK + b'X: x' + 2 * CRLF, pause_s=1.5, drip=b'').host}/"
        started = time.monotonic()
        send_to("https://dash.invalid/", proxy=proxy, timeout_in_secs=2.0).send(POST, 0)
        wait_until(lambda: "no answer within 2 s" in caplog.text)
        return time.monotonic() - started

    assert any(seconds_to_the_end() < 3.3 for _ in range(3))


def test_a_proxy_that_refuses_says_so(
    start_raw: Callable[..., Raw], send_to: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = f"http://{start_raw(b'HTTP/1.1 407 Proxy Authentication Required' + 2 * CRLF).host}/"
    send_to("https://dash.invalid/", proxy=proxy).send(POST, 0)
    wait_until(lambda: "no connection: Tunnel connection failed: 407 Proxy Authentication Required;" in caplog.text)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "its compression is damaged"),
        (OK + b'Content-Length: 500\r\n\r\n{"success": true', "it ends too early, or its chunks are wrong"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", "it ends too early, or its chunks are wrong"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{}", "it ends too early, or its chunks are wrong"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "it is no HTTP"),
        (OK + b"X: x\r\n" * 10_001 + b"\r\n", "its headers are too many or too long"),  # a library allows 10,000
        (OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n", "its headers are too many or too long"),
        (OK + (b"X: " + b"x" * 30_000 + b"\r\n") * 3 + b"\r\n", "its headers are too many or too long"),
    ],
)
def test_an_answer_that_cannot_be_read_is_told_as_that(
    start_raw: Callable[..., Raw], send_to: Sending, caplog: pytest.LogCaptureFixture, answer: bytes, words: str
) -> None:
    send_to(f"http://{start_raw(answer).host}/").send(POST, 0)
    wait_until(lambda: f"its answer can't be read: {words};" in caplog.text)
    assert not [record for record in caplog.records if record.exc_info]


LONG: dict[str, Any] = {**POST, "ballast": "x" * 2000}


def test_a_long_post_is_compressed_only_once_the_server_has_said_that_it_takes_that(
    peer: Peer, send_to: Sending
) -> None:
    sender = send_to(peer.address)
    for number, (post, packed) in enumerate([(LONG, False), (LONG, False), (LONG, True), (POST, False)]):
        if number == 1:
            peer.extra_headers = {"Accept-Encoding": "gzip"}
        sender.send(post, number)
        wait_until(lambda count=number + 1: len(peer.posts) == count)
        wait_until(lambda: not sender._busy)  # pyright: ignore[reportPrivateUsage]
        assert ("Content-Encoding" in peer.requests[-1]) == packed
        assert peer.posts[-1].get("ballast") == post.get("ballast")


def test_compression_can_be_switched_off(peer: Peer, send_to: Sending) -> None:
    peer.extra_headers = {"Accept-Encoding": "gzip"}
    sender = send_to(peer.address, gzip=False)
    for number in range(2):
        sender.send(LONG, number)
        wait_until(lambda count=number + 1: len(peer.posts) == count)
    assert all("Content-Encoding" not in request for request in peer.requests)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("status", [400, 415])
def test_a_server_that_no_longer_takes_compressed_posts_gets_the_same_one_plain(
    peer: Peer, send_to: Sending, status: int
) -> None:
    peer.extra_headers = {"Accept-Encoding": "gzip"}
    sender = send_to(peer.address)
    sender.send(LONG, 0)
    wait_until(lambda: len(peer.posts) == 1)
    wait_until(lambda: not sender._busy)  # pyright: ignore[reportPrivateUsage]
    peer.answer = (status, b'{"success": false, "msg": "not JSON"}')
    sender.send(LONG, 5)
    wait_until(lambda: len(peer.posts) >= 3)
    assert ["Content-Encoding" in request for request in peer.requests[:3]] == [False, True, False]
    assert [post["mole"]["seq"] for post in peer.posts[:3]] == [1, 2, 2]


@pytest.mark.parametrize(
    ("asked", "interval_s"),
    [
        ("60", 60),
        ("7.5", 10),
        ("10", 10),
        ("2", 5),
        ("-3", 5),
        ("1e9", 3600),
        ("true", 5),
        ('"60"', 5),
        ("NaN", 5),
        ("null", 5),
    ],
)
def test_the_server_may_ask_for_fewer_posts_but_not_for_more_nor_for_none(
    peer: Peer, send_to: Sending, asked: str, interval_s: float
) -> None:
    peer.answer = (200, b'{"success": true, "next_post_s": %s}' % asked.encode())
    sender = send_to(peer.address)
    sender.send(POST, 100)
    wait_until(lambda: peer.posts)
    wait_until(lambda: not sender._busy)  # pyright: ignore[reportPrivateUsage]
    assert sender.interval_s == interval_s
    assert not sender.due(104)
    assert sender.due(100 + interval_s)


@pytest.mark.parametrize("said", [b"1" + b"0" * 400, b"[" * 60_000])
def test_an_answer_that_is_beyond_measure_costs_no_traceback(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    peer.answer = (200, b'{"success": true, "next_post_s": %s, "server_time": %s}' % (said, said))
    sender = send_to(peer.address)
    sender.send(POST, 0)
    wait_until(lambda: peer.posts and not sender._busy)  # pyright: ignore[reportPrivateUsage]
    assert not [record for record in caplog.records if record.exc_info]
    assert sender.read_skew() is None


def test_a_server_that_repeats_the_passcode_does_not_bring_it_into_the_log(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    peer.answer = (401, b'{"success": false, "msg": "you sent canary as auth_code"}')
    sender = send_to(peer.address)
    sender.send(POST, 0)
    wait_until(lambda: "you sent *** as auth_code" in caplog.text)
    assert "canary" not in caplog.text


def test_the_servers_time_tells_how_far_this_clock_is_ahead(peer: Peer, send_to: Sending) -> None:
    sender = send_to(peer.address)
    assert sender.read_skew() is None
    for said, skew_s in ((time.time() - 3600, 3600), (time.time() + 60, -60)):
        peer.answer = (200, b'{"success": true, "server_time": %f}' % said)
        sender.send(POST, 0)
        wait_until(lambda wanted=skew_s: abs((sender.read_skew() or 0) - wanted) < 50)
    peer.answer = STORED
    sender.send(POST, 0)
    wait_until(lambda: sender.read_skew() is None)


@pytest.mark.parametrize("said", [b"null", b"true", b'"12"', b"1e999", b"[]"])
def test_a_server_time_that_is_none_says_nothing(peer: Peer, send_to: Sending, said: bytes) -> None:
    peer.answer = (200, b'{"success": true, "server_time": %s}' % said)
    sender = send_to(peer.address)
    sender.send(POST, 0)
    wait_until(lambda: peer.posts and not sender._busy)  # pyright: ignore[reportPrivateUsage]
    assert sender.read_skew() is None


def test_a_server_that_stops_asking_gets_posts_at_the_moles_own_pace(peer: Peer, send_to: Sending) -> None:
    sender = send_to(peer.address)
    for answer, interval_s in ((b'{"success": true, "next_post_s": 60}', 60), (STORED[1], 5)):
        peer.answer = (200, answer)
        sender.send(POST, 0)
        wait_until(lambda wanted=interval_s: sender.interval_s == wanted)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("30", 30),
        (" 30 ", 30),
        ("999999", 3600),
        ("-5", 0),
        ("1.5", 0),
        ("²", 0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("soon", 0),
        ("Thu, 99 Jan 1970 00:02:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_more_than_an_hour(header: str | None, seconds: float) -> None:
    assert read_retry_after(header, 100.0) == seconds


@pytest.mark.usefixtures("soon")
def test_a_server_that_says_when_to_come_again_is_left_alone_until_then(peer: Peer, send_to: Sending) -> None:
    peer.answer, peer.extra_headers = (503, b'{"success": false, "msg": "full"}'), {"Retry-After": "1"}
    began = time.monotonic()
    send_to(peer.address).send(POST, 0)
    wait_until(lambda: len(peer.posts) == 2)
    assert time.monotonic() - began >= 1


def test_a_certificate_of_ones_own_authority_is_taken_and_others_are_not(
    send_to: Sending, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    peer = Peer(tls=ours.server_context("127.0.0.1"))
    try:
        for ca_file in ("", str(theirs.file)):
            caplog.clear()
            send_to(peer.address, ca_file=ca_file).send(POST, 0)
            wait_until(lambda: "TLS fails: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed" in caplog.text)
        assert peer.posts == []
        send_to(peer.address, ca_file=str(ours.file)).send(POST, 0)
        wait_until(lambda: peer.posts)
        assert peer.posts[0]["auth_code"] == "canary"
    finally:
        peer.close()


def test_a_certificate_for_another_name_or_one_that_ended_is_refused(
    send_to: Sending, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    for context in (authority.server_context("127.0.0.2"), authority.server_context("127.0.0.1", days=-1)):
        caplog.clear()
        peer = Peer(tls=context)
        try:
            send_to(peer.address, ca_file=str(authority.file)).send(POST, 0)
            wait_until(lambda: "TLS fails: [SSL: CERTIFICATE_VERIFY_FAILED]" in caplog.text)
            assert peer.posts == []
        finally:
            peer.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_before_version_1_2_is_refused(send_to: Sending, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path)
    context = authority.server_context("127.0.0.1")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    peer = Peer(tls=context)
    try:
        send_to(peer.address, ca_file=str(authority.file)).send(POST, 0)
        wait_until(lambda: "TLS fails: " in caplog.text)
        assert peer.posts == []
    finally:
        peer.close()


def test_whoever_switches_the_check_off_is_told_so_at_the_start_and_each_hour(
    send_to: Sending, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    peer = Peer(tls=Authority(tmp_path).server_context("127.0.0.1"))
    try:
        sender = send_to(peer.address, insecure=True, clock=clock)
        assert caplog.text.count("insecure = true: whoever answers there gets the auth_code") == 1
        for number, (passed_s, lines) in enumerate([(0, 1), (3599, 1), (3601, 2)]):
            clock.now = 1000 + passed_s
            sender.send(POST, number)
            wait_until(lambda count=number + 1: len(peer.posts) == count)
            assert caplog.text.count("insecure = true") == lines
    finally:
        peer.close()


def test_a_checked_connection_says_nothing_of_it(
    peer: Peer, send_to: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    send_to(peer.address).send(POST, 0)
    wait_until(lambda: peer.posts)
    assert "insecure" not in caplog.text
