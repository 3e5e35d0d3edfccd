"""`cluster-dash-mole simulate` as a person types it, against a server that keeps what it gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mole.peers import LONG_S, PROMPT_S, Peer, free_port, wait_until

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-W", "error", "-m", "cluster_dash_mole", "simulate"]
PASSCODE = "CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_AUTH_CODE"


class Simulator:
    """A process of the command; its log goes to a file."""

    def __init__(self, folder: Path, words: tuple[str, ...], env: Mapping[str, str]) -> None:
        self.log_path = folder / f"simulate{len(list(folder.glob('simulate*')))}.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *words], cwd=folder, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=log
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def wait(self) -> int:
        return self.process.wait(LONG_S)

    def end(self, number: signal.Signals) -> float:
        """Seconds until it was gone."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(LONG_S)
        return time.monotonic() - began


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Starts the command in an empty folder."""
    started: list[Simulator] = []

    def start(*words: str, **env: str) -> Simulator:
        started.append(Simulator(tmp_path, words, env))
        return started[-1]

    yield start
    for simulator in started:
        simulator.process.kill()
        simulator.process.wait(LONG_S)
        if simulator.process.stdout:
            simulator.process.stdout.close()


def test_once_sends_one_post_of_each_host_with_the_passcode(simulate: Callable[..., Simulator], peer: Peer) -> None:
    simulator = simulate("--once", "--server", peer.address, **{PASSCODE: "canary"})
    assert simulator.wait() == 0
    assert len({post["hostname"] for post in peer.posts}) == len(peer.posts) == 24
    assert {post["auth_code"] for post in peer.posts} == {"canary"}
    assert {request["path"] for request in peer.requests} == {"/"}
    assert "24 hosts with 158 GPUs" in simulator.log
    assert "24 posts taken, 0 refused, 0 missed" in simulator.log
    assert "canary" not in simulator.log


def test_many_hosts_go_together(simulate: Callable[..., Simulator], peer: Peer) -> None:
    words = ("--once", "--scenario", "plain", "--hosts", "2300", "--gpus-per-host", "1", "--server", peer.address)
    assert simulate(*words, "--auth-code", "canary").wait() == 0
    posts = [post for batch in peer.posts for post in batch["posts"]]
    assert len({post["hostname"] for post in posts}) == len(posts) == 2300
    assert max(len(batch["posts"]) for batch in peer.posts) == 50
    assert {(batch["auth_code"], request["path"]) for batch, request in zip(peer.posts, peer.requests)} == {
        ("canary", "/batch")
    }


def test_a_batch_stays_below_what_servers_take(simulate: Callable[..., Simulator], peer: Peer) -> None:
    words = ("--once", "--scenario", "plain", "--hosts", "40", "--gpus-per-host", "64", "--batch", "40")
    assert simulate(*words, "--server", peer.address).wait() == 0
    assert sum(len(batch["posts"]) for batch in peer.posts) == 40
    assert max(int(request["Content-Length"]) for request in peer.requests) < 2**20


def test_it_goes_on_at_its_pace_and_its_posts_are_of_now(simulate: Callable[..., Simulator], peer: Peer) -> None:
    began_at = time.time()
    simulator = simulate("--hosts", "3", "--interval", "0.2", "--server", peer.address)
    wait_until(lambda: len(peer.posts) >= 30)
    first = [post for post in peer.posts if post["hostname"] == "h100-01"]
    moments = [(post["mole"]["seq"], post["timestamp"]) for post in first]
    assert moments == sorted(set(moments))
    (seq, at), (last_seq, last_at) = moments[0], moments[-1]
    assert last_at - at == pytest.approx(0.2 * (last_seq - seq), abs=0.02)  # a busy machine misses some moments
    assert began_at - 1 < at < last_at < time.time() + 1
    assert len({request.get("Connection") for request in peer.requests}) == 1
    assert simulator.end(signal.SIGTERM) < PROMPT_S


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("hosts", ["24", "3000"])
def test_it_ends_within_a_second(
    simulate: Callable[..., Simulator], peer: Peer, number: signal.Signals, hosts: str
) -> None:
    simulator = simulate("--hosts", hosts, "--server", peer.address)
    wait_until(lambda: peer.posts)
    peer.may_answer.clear()  # also while the server hangs
    assert simulator.end(number) < PROMPT_S
    assert simulator.process.returncode == 0
    assert "Traceback" not in simulator.log


def test_a_server_that_is_away_is_told_once_and_found_again(simulate: Callable[..., Simulator]) -> None:
    port = free_port()
    words = ("--hosts", "2500", "--gpus-per-host", "0", "--scenario", "plain", "--interval", "1")
    simulator = simulate(*words, "--server", f"http://127.0.0.1:{port}/")
    wait_until(lambda: "Connection refused" in simulator.log)
    time.sleep(1.5)
    peer = Peer(port)
    try:
        wait_until(lambda: "works again" in simulator.log)
        assert simulator.log.count("Connection refused") == 1
        simulator.end(signal.SIGTERM)
    finally:
        peer.close()


def test_a_refusal_of_one_host_costs_the_others_nothing(simulate: Callable[..., Simulator], peer: Peer) -> None:
    peer.answer = (409, b'{"success": false, "msg": "another machine reports under this name"}')
    simulator = simulate("--once", "--server", peer.address)
    assert simulator.wait() == 1
    assert len(peer.posts) == 24
    assert simulator.log.count("another machine reports under this name") == 1
    assert "0 posts taken, 24 refused" in simulator.log


def test_what_a_batch_refuses_is_told_once(simulate: Callable[..., Simulator], peer: Peer) -> None:
    results = [{"success": False, "msg": "schema violation"}, {"success": True}]
    peer.answer = (200, json.dumps({"success": True, "results": results}).encode())
    simulator = simulate("--once", "--hosts", "2", "--batch", "2", "--server", peer.address)
    assert simulator.wait() == 1
    assert simulator.log.count("schema violation") == 1
    assert "1 posts taken, 1 refused" in simulator.log


def test_once_without_a_server_is_a_failure(simulate: Callable[..., Simulator]) -> None:
    simulator = simulate("--once", "--server", f"http://127.0.0.1:{free_port()}/")
    assert simulator.wait() == 1
    assert "Connection refused" in simulator.log


def test_print_shows_posts_as_lines_and_sends_nothing(simulate: Callable[..., Simulator], peer: Peer) -> None:
    simulator = simulate("--once", "--print", "--hosts", "5", "--server", peer.address)
    assert simulator.process.stdout
    posts = [json.loads(line) for line in simulator.process.stdout]
    assert simulator.wait() == 0
    assert [post["hostname"] for post in posts] == ["h100-01", "h100-02", "h100-03", "h100-04", "a100-01"]
    assert not any("auth_code" in post for post in posts)
    assert peer.posts == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--hosts", "0"), "argument --hosts: '0': must be a whole number from 1 to 100000"),
        (("--speed", "fast"), "argument --speed: 'fast': must be a number from 0.001 to 10000"),
        (("--start", "noon"), "argument --start: 'noon': must be a day and a time, as \"tue 10:00\""),
        (("--server", "ftp://x"), "ADDRESS_IN = 'ftp://x': must be an address"),
        (("--scenario", "calm"), "invalid choice: 'calm'"),
    ],
)
def test_what_cannot_be_is_told(simulate: Callable[..., Simulator], words: tuple[str, str], told: str) -> None:
    simulator = simulate(*words)
    assert simulator.wait() == 2
    assert told in simulator.log
    assert "Traceback" not in simulator.log
