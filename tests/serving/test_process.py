"""`cluster-dash-server serve` as a process: its start, its end, what it tells systemd, whom it believes."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
from pathlib import Path

import posts
import pytest
import requests
from processes import LONG_S, PROMPT_S, SERVE, Server, until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_with_idle_connections_open(tmp_path: Path, with_signal: signal.Signals) -> None:
    with Server(tmp_path, command=SERVE) as server:
        server.post(posts.host_post())
        with socket.create_connection(("127.0.0.1", server.port)) as idle:
            code, seconds = server.end(with_signal)
            assert idle.recv(1) == b""
        assert (code, "Traceback" in server.log) == (0, False)
        assert seconds < PROMPT_S


def test_what_was_asked_before_the_end_is_answered(tmp_path: Path) -> None:
    """Eight large answers by one thread: most of them wait, some aren't even read, when the signal comes."""
    with Server(tmp_path, {"CLUSTER_DASH_SERVE_THREADS": "1"}, command=SERVE) as server, contextlib.ExitStack() as held:
        page = server.get("/gpu-data", "text/html").text
        asset = page[page.index("/assets/") :].split('"')[0]
        asking = [held.enter_context(socket.create_connection(("127.0.0.1", server.port), LONG_S)) for _ in range(8)]
        for each in asking:
            each.sendall(f"GET {asset} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        ending = threading.Thread(target=server.end)
        ending.start()
        sizes = [sum(len(part) for part in iter(lambda c=each: c.recv(65536), b"")) for each in asking]
        ending.join()
        assert len(set(sizes)) == 1
        assert sizes[0] > 4_000_000


def test_systemd_hears_when_it_is_ready_alive_and_ending(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(LONG_S)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
        with Server(tmp_path, environ, command=SERVE) as server:
            assert systemd.recv(100) == b"READY=1"
            assert server.get("/health").status_code == 200
            assert [systemd.recv(100), systemd.recv(100)] == [b"WATCHDOG=1"] * 2
            server.end()
            told = b""
            while told != b"STOPPING=1":
                told = systemd.recv(100)


def test_an_abstract_address_of_systemd_is_known(tmp_path: Path) -> None:
    name = f"cluster-dash-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name)
        systemd.settimeout(LONG_S)
        with Server(tmp_path, {"NOTIFY_SOCKET": "@" + name}, command=SERVE):
            assert systemd.recv(100) == b"READY=1"


def test_it_listens_on_each_address_of_both_families(tmp_path: Path) -> None:
    command = [*SERVE[:4], "--listen", "127.0.0.1:{port}", "--listen", "[::1]:0"]
    with Server(tmp_path, command=command) as server:
        addresses = [word for word in server.log.split() if word.startswith("http://")]
        assert len(addresses) == 2
        for address in addresses:
            assert requests.post(address, json=posts.host_post(), timeout=LONG_S).status_code == 200


def test_every_address_means_ipv4_and_ipv6_and_an_ipv4_client_is_known_as_one(tmp_path: Path) -> None:
    with Server(tmp_path, command=[*SERVE[:4], "--listen", "*:0"]) as server:
        for name in ("127.0.0.1", "[::1]"):
            answer = requests.post(
                f"http://{name}:{server.port}/", json=posts.host_post(auth_code="no"), timeout=LONG_S
            )
            assert answer.status_code == 401
        for address in ("127.0.0.1", "::1"):
            until(lambda seen=address: f'refused a post from "{seen}": 401' in server.log)


def test_only_the_trusted_proxy_is_believed(tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "dash.example"}
    for trusted, seen in (("", '"127.0.0.1"'), ("127.0.0.1", '"192.0.2.7"'), ("192.0.2.99", '"127.0.0.1"')):
        folder = tmp_path / (trusted or "none")
        folder.mkdir()
        with Server(folder, {"CLUSTER_DASH_SERVE_TRUSTED_PROXY": trusted}, command=SERVE) as server:
            answer = requests.post(server.url, json=posts.host_post(auth_code="no"), headers=forwarded, timeout=LONG_S)
            assert answer.status_code == 401
            until(lambda s=server, a=seen: f"refused a post from {a}" in s.log)
            text = requests.get(server.url, headers=forwarded, timeout=LONG_S).text
            assert ("https://dash.example/" in text) is (trusted == "127.0.0.1")


def test_its_log_can_be_lines_of_json(tmp_path: Path) -> None:
    with Server(tmp_path, command=[*SERVE, "--log-format", "json"]) as server:
        server.post(posts.host_post(auth_code="wrong"))
        until(lambda: "refused" in server.log)
        events = [json.loads(line) for line in server.log.splitlines()]
    assert {"time", "level", "logger", "message"} == set(events[0])
    assert [event["level"] for event in events if "refused a post" in event["message"]] == ["warning"]


def test_the_pages_and_the_log_say_what_a_bare_waitress_lacks(tmp_path: Path) -> None:
    for name, command, says in (("bare", None, True), ("serve", SERVE, False)):
        (tmp_path / name).mkdir()
        with Server(tmp_path / name, command=command) as server:
            assert ("runs without the limits of" in server.get("/", "text/html").text) is says
            assert ("cluster-dash-server serve" in server.log) is says


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("SERVE_LISTEN", "nowhere", "'nowhere' is no address to listen on: write host:port"),
        ("SERVE_LISTEN", "1.2.3.4:99999", "is no address to listen on"),
        ("SERVE_LISTEN", "::1:80", "an IPv6 address stands in brackets"),
        ("SERVE_LISTEN", "192.0.2.1:0", "can't listen on 192.0.2.1:0: "),
        ("SERVE_LISTEN", "192.0.2.1:1", "can't listen on 192.0.2.1:1: cannot assign requested address\n"),
        ("SERVE_THREADS", "0", "CLUSTER_DASH_SERVE_THREADS = '0': expected a whole number >= 1"),
        ("SERVE_HEADER_TIMEOUT_S", "soon", "CLUSTER_DASH_SERVE_HEADER_TIMEOUT_S = 'soon': expected a number"),
        ("LOG_FORMAT", "xml", "CLUSTER_DASH_LOG_FORMAT = 'xml': must be one of text, json"),
        ("SERVE_PORT", "80", "CLUSTER_DASH_SERVE_PORT is no setting; there are: "),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path: Path, setting: str, value: str, words: str) -> None:
    done = subprocess.run(
        SERVE[:4], env={f"CLUSTER_DASH_{setting}": value}, capture_output=True, text=True, timeout=LONG_S, check=False
    )
    assert done.returncode == (1 if "listen on" in words or "IPv6" in words else 2)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
