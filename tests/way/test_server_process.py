"""The server as a user starts it: waitress-serve and flask run, the documented curl, signals, wrong settings."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import posts
import pytest
import requests
from processes import LONG_S, PROMPT_S, ROOT, WAITRESS, Server

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
COMMANDS = {
    "waitress-serve": [str(BIN / "waitress-serve"), *WAITRESS[3:]],
    "flask run": [str(BIN / "flask"), "--app", "cluster_dash_server", "run", "--port", "0"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_the_documented_commands_serve_and_take_the_documented_curl(tmp_path: Path, command: list[str]) -> None:
    curl = shutil.which("curl")
    assert curl, "the README's example needs curl"
    with Server(tmp_path, command=command) as server:
        words = ["-sS", "-d", "@etc/example_data1.json", "-H", "Content-Type: application/json", "-X", "POST"]
        done = subprocess.run([curl, *words, server.url], cwd=ROOT, capture_output=True, timeout=LONG_S, check=True)
        assert done.stdout == b'{"msg":"stored result","success":true}\n'
        assert "molgpu02" in server.get("/").text


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_in_order_and_at_once(server: Server, with_signal: signal.Signals) -> None:
    server.post(posts.host_post())
    code, seconds = server.end(with_signal)
    assert code == 0
    assert seconds < PROMPT_S
    assert "Traceback" not in server.log


def test_the_log_tells_that_no_passcode_is_configured(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert server.log.count("No passcode is configured") == 1
    (tmp_path / "other").mkdir()
    with Server(tmp_path / "other", {"CLUSTER_DASH_PASSCODE": "secret-canary"}) as server:
        assert "passcode" not in server.log
        assert server.post(posts.host_post()).status_code == requests.codes.unauthorized
        assert server.post(posts.host_post(auth_code="secret-canary")).status_code == requests.codes.ok
        assert "secret-canary" not in server.log


def test_a_request_that_a_proxy_passed_on_is_not_from_this_machine(server: Server) -> None:
    """Waitress drops X-Forwarded-For of a proxy it wasn't told of; the name that was asked for stays."""
    for headers in ({"Host": "dash.lab.example"}, {"X-Real-IP": "192.0.2.7"}, {"Via": "1.1 proxy"}):
        answer = requests.post(server.url, json=posts.host_post(), headers=headers, timeout=LONG_S)
        assert answer.status_code == requests.codes.unauthorized


def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path: Path) -> None:
    command = [word.format(port=0) for word in WAITRESS]
    done = subprocess.run(
        command, env={"CLUSTER_DASH_LIVE_MAX_HOSTS": "many"}, capture_output=True, timeout=LONG_S, check=False
    )
    assert done.returncode == 1
    assert b"CLUSTER_DASH_LIVE_MAX_HOSTS = 'many': expected a whole number\n" in done.stderr
    assert b"Traceback" not in done.stderr


def test_hostile_bodies_over_a_socket_are_refused_and_the_next_good_post_is_taken(server: Server) -> None:
    for body in (b"", b"{", b"\xff" * 1000, b"[" * 200_000, b"null", b"x" * (2**20 + 1)):
        answer = requests.post(server.url, data=body, headers={"Content-Type": "application/json"}, timeout=LONG_S)
        assert 400 <= answer.status_code < 500
        assert answer.json()["success"] is False
    assert server.post(posts.host_post()).status_code == requests.codes.ok
    assert "Traceback" not in server.log


@pytest.mark.slow
def test_many_hosts_at_once_are_all_kept_while_pages_are_read(server: Server) -> None:
    failed: list[str] = []
    stop = threading.Event()

    def read_pages() -> None:
        while not stop.is_set():
            for path in ("/", "/cpu-data", "/api/history-data", "/data-out/gpu-data-simple"):
                answer = server.get(path, "text/html")
                if answer.status_code != requests.codes.ok:
                    failed.append(f"{path}: {answer.status_code}")

    def send(number: int) -> int:
        return server.post(posts.host_post(f"gpu{number % 40}", seq=number)).status_code

    reader = threading.Thread(target=read_pages)
    reader.start()
    with ThreadPoolExecutor(8) as senders:
        assert set(senders.map(send, range(400))) == {requests.codes.ok}
    stop.set()
    reader.join(LONG_S)
    assert failed == []
    assert len(server.get("/api/dashboard-data").json()["servers"]) == 40
    assert "Traceback" not in server.log
