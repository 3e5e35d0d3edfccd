"""The system's clock is set while the server runs, as NTP or a person does: the real process with a clock that the test
sets (clock_standin.c), of which the clocks that nobody sets are no part.
"""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from clock_standin import DAY_S, HOUR_S, YEAR_S, ClockStandin
from processes import LONG_S, PROMPT_S, SERVE, WAITRESS, Program, Server, until

pytestmark = pytest.mark.slow

STEPS = [HOUR_S, -HOUR_S, DAY_S, -DAY_S, 10 * YEAR_S, -10 * YEAR_S]
NAMES = ("gpu1", "gpu2", "gpu3", "gpu4")
STALE_AFTER_S, END_S = 15, 6.0
BOTH = pytest.mark.parametrize("command", [SERVE, WAITRESS], ids=["serve", "waitress"])


class Senders:
    """Hosts with right clocks, each posting four times a second until the end; every post must be taken."""

    def __init__(self, server: Server) -> None:
        self.taken = 0
        self.failed: list[str] = []
        self._server = server
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(name,)) for name in NAMES]

    def _send(self, name: str) -> None:
        with requests.Session() as session:
            while not self._ending.wait(0.25):
                post = posts.host_post(name, gpus=1)
                try:
                    try:
                        answer = session.post(self._server.url, json=post, timeout=LONG_S)
                    except requests.ConnectionError:  # bare waitress cuts connections that its clock calls idle
                        answer = requests.post(self._server.url, json=post, timeout=LONG_S)
                    self.failed += [] if answer.json()["success"] else [answer.text]
                    self.taken += 1
                except (requests.RequestException, ValueError) as error:
                    self.failed.append(str(error))

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def go_on(self, posts_each: int = 4) -> None:
        """Until so many more have been taken of each host, about."""
        enough = self.taken + posts_each * len(NAMES)
        until(lambda: self.taken >= enough or self.failed)
        assert not self.failed

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def times_of(server: Server, name: str) -> list[float]:
    """Of the points in the host's CPU chart, in Unix seconds."""
    answer = requests.get(f"{server.url}/host/{name}", headers={"Accept": "application/json"}, timeout=LONG_S)
    (chart,) = [figure for figure in answer.json() if figure["layout"]["meta"]["title"] == "CPU"]
    return [at / 1000 for at in chart["data"][0]["x"]]


def facts(server: Server) -> dict[str, Any]:
    return server.get("/health?verbose").json()["clock"]


@BOTH
def test_the_server_really_reads_the_clock_that_the_test_sets(
    tmp_path: Path, clock: ClockStandin, command: list[str]
) -> None:
    """Else everything else here would pass without a step."""
    with Server(tmp_path, clock.env, command=command) as server:
        for off_s in (0.0, *STEPS):
            clock.set(off_s)
            before = clock.now()
            told = server.get("/api/dashboard-data").json()["timestamp"]
            dated = server.get("/health").headers["Date"]
            at = datetime.datetime.strptime(dated, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=datetime.UTC)
            for each in (told, at.timestamp()):
                assert before - 2 < each < clock.now() + 2


@BOTH
def test_hosts_that_post_stay_up_and_no_post_is_lost(tmp_path: Path, clock: ClockStandin, command: list[str]) -> None:
    with Server(tmp_path, clock.env, command=command) as server, Senders(server) as senders:
        for off_s in STEPS:
            clock.set(off_s)
            for _ in range(2):
                hosts = server.get("/api/dashboard-data").json()["servers"]
                assert {
                    name: (host["status"], host["last_seen_mins"]) for name, host in hosts.items()
                } == dict.fromkeys(NAMES, ("online", 0))
                assert f"{len(NAMES)} of {len(NAMES)} hosts up" in server.get("/").text
                assert server.get("/health").json()["status"] == "ok"
                senders.go_on(2)
        assert "Traceback" not in server.log


@BOTH
def test_the_history_keeps_its_order_and_its_points(tmp_path: Path, clock: ClockStandin, command: list[str]) -> None:
    """Also that of a host that posts no more, and by the minute."""
    began = time.monotonic()
    with Server(tmp_path, clock.env, command=command) as server, Senders(server) as senders:
        server.post(posts.host_post("gone", gpus=1))
        for off_s in (*STEPS, 0.0):
            clock.set(off_s)
            senders.go_on(2)
            began_at = clock.now() - (time.monotonic() - began)
            for name in (*NAMES, "gone"):
                times = times_of(server, name)
                assert times == sorted(times)
                assert began_at - 2 < times[0] <= times[-1] < clock.now() + 2
            fleet = server.get("/api/history-data?hours=1").json()["series"]
            assert {name for bucket in fleet for name in bucket["servers"]} == {*NAMES, "gone"}
            assert began_at - 300 < fleet[0]["timestamp"] <= fleet[-1]["timestamp"] <= clock.now() + 2
        assert len(times_of(server, "gpu1")) >= 2 * len(STEPS)


@pytest.mark.parametrize("off_s", STEPS)
def test_the_server_tells_that_its_clock_was_set_and_blames_no_host(
    tmp_path: Path, clock: ClockStandin, off_s: float
) -> None:
    with Server(tmp_path, clock.env, command=SERVE) as server, Senders(server) as senders:
        server.post(posts.host_post("truly-wrong", gpus=1, timestamp=time.time() - 600))
        assert "truly-wrong: its clock is 10 min behind" in server.get("/").text
        assert facts(server)["steps"] == 0
        clock.set(off_s)
        senders.go_on(2)
        text, page = server.get("/").text, server.get("/cpu-data", "text/html").text
        how = "forward" if off_s > 0 else "back"
        off = "ahead" if off_s > 0 else "behind"
        for told in (text, page, *server.get("/health").json()["notes"][1:]):
            assert re.search(rf"This server(?:'|&#39;)s clock was set {how} by .*, \d+ s ago", told)
        assert re.search(rf"This server's own clock is .* {off} by the clocks of 4 of the 5 hosts that are up", text)
        blamed = [line.split(" (for ")[0] for line in text.splitlines() if "its clock is" in line]
        assert blamed == ["truly-wrong: its clock is 10 min behind"]
        assert facts(server)["ahead_of_hosts_s"] == pytest.approx(off_s, abs=10)
        clock.set(0)
        set_at = time.monotonic()
        senders.go_on(2)
        assert "own clock" not in server.get("/").text
        assert facts(server) | {"time": 0} == {
            "time": 0,
            "steps": 2,
            "last_step_s": pytest.approx(-off_s, abs=2),
            "last_step_ago_s": pytest.approx(0, abs=time.monotonic() - set_at + 1),
            "ahead_of_hosts_s": None,
        }
        told = [line for line in server.log.splitlines() if "clock was set by" in line]
        assert len(told) == 2


def test_a_server_that_boots_without_a_battery_is_right_as_soon_as_its_clock_is(
    tmp_path: Path, clock: ClockStandin
) -> None:
    """In 1970 at first; hosts that posted only then are shown at the right time later."""
    clock.set(60 - time.time())
    with Server(tmp_path, clock.env, command=SERVE) as server, Senders(server) as senders:
        server.post(posts.host_post("gone", gpus=1))
        assert "own clock is" in server.get("/").text
        assert server.log.startswith("1970-01-01T")
        clock.set(0)
        senders.go_on()
        text = server.get("/").text
        assert "own clock is" not in text
        assert "its clock" not in text
        assert "dated" not in text
        assert abs(times_of(server, "gone")[0] - time.time()) < LONG_S
        line = until(lambda: [line for line in server.log.splitlines() if "clock was set" in line])[0]
        assert line.startswith(time.strftime("%Y-"))


def test_a_silent_host_gets_stale_in_its_time_and_not_before(tmp_path: Path, clock: ClockStandin) -> None:
    with Server(tmp_path, clock.env, command=SERVE) as server:
        began = time.monotonic()
        server.post(posts.host_post("gpu1", gpus=1))
        steps = iter(STEPS * 2)
        while time.monotonic() - began < 14:
            is_up = "1 of 1 hosts up" in server.get("/").text
            assert is_up or time.monotonic() - began >= STALE_AFTER_S
            clock.set(next(steps, 0.0))
            time.sleep(1)
        until(lambda: "0 of 1 hosts up" in server.get("/").text)
        assert time.monotonic() - began >= STALE_AFTER_S


@pytest.fixture(params=STEPS[:4])
def held(request: pytest.FixtureRequest, tmp_path: Path, clock: ClockStandin) -> Iterator[tuple[Server, float]]:
    """A server with short deadlines, and the step."""
    names = ("HEADER", "BODY", "IDLE", "SEND")
    environ = {f"CLUSTER_DASH_SERVE_{name}_TIMEOUT_S": str(END_S) for name in names}
    with Server(tmp_path, {**environ, **clock.env}, command=SERVE) as server:
        yield server, request.param


def test_connections_live_through_a_step_and_end_in_their_time(held: tuple[Server, float], clock: ClockStandin) -> None:
    server, off_s = held
    asset = server.get("/gpu-data", "text/html").text.partition("/assets/")[2].split('"')[0]
    body = json.dumps(posts.host_post()).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    ask, post = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", head.encode() + body
    begun = {
        "new": b"",
        "pausing": ask,
        "headers": ask[:20],
        "body": post[:-1],
        "reading": f"GET /assets/{asset} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    }
    rests = {"new": ask, "pausing": ask, "headers": ask[20:], "body": post[-1:], "reading": b""}
    with contextlib.ExitStack() as open_ones:

        def begin() -> dict[str, socket.socket]:
            found = {name: socket.create_connection(("127.0.0.1", server.port), LONG_S) for name in begun}
            for name, first in begun.items():
                open_ones.enter_context(found[name])
                found[name].sendall(first)
            assert answer_of(found["pausing"])[0] == 200
            return found

        began = time.monotonic()
        finished, left = begin(), begin()
        clock.set(off_s)
        time.sleep(1)  # in which the server looks at its connections
        for name, rest in rests.items():
            finished[name].sendall(rest)
            status, length = answer_of(finished[name])
            assert (status, length > 4_000_000) == (200, name == "reading"), name
        ended = {name: seconds_to_the_end(left[name], began) for name in rests if name != "reading"}
        assert all(END_S <= seconds < PROMPT_S for seconds in ended.values()), ended


def answer_of(connection: socket.socket) -> tuple[int, int]:
    """(status, bytes), all of which must come."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    with answer:
        return answer.status, len(answer.read())


def seconds_to_the_end(connection: socket.socket, began: float) -> float:
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(2**20):
            pass
    return time.monotonic() - began


def test_the_file_of_tokens_is_read_again_though_the_clock_went_back(tmp_path: Path, clock: ClockStandin) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path), **clock.env}

    def make() -> str:
        words = [*SERVE[:3], "token", "gpu1"]
        done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=LONG_S, check=True)
        return re.findall(r"cdash_\S+", done.stdout)[0]

    with Server(tmp_path, environ, command=SERVE) as server:
        for off_s in (DAY_S, -DAY_S):
            clock.set(off_s)
            token, post = make(), posts.host_post("gpu1", gpus=1)
            until(lambda t=token, p=post: server.post({**p, "auth_code": t}).status_code == 200)


def test_the_watchdog_hears_on(tmp_path: Path, clock: ClockStandin) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(LONG_S)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000", **clock.env}
        with Server(tmp_path, environ, command=SERVE):
            assert systemd.recv(100) == b"READY=1"
            for off_s in STEPS[:3]:
                clock.set(off_s)
                assert [systemd.recv(100), systemd.recv(100)] == [b"WATCHDOG=1"] * 2


def test_it_ends_in_order_after_a_step(tmp_path: Path, clock: ClockStandin) -> None:
    with Server(tmp_path, clock.env_of_old_python, command=SERVE) as server:
        clock.set(-DAY_S)
        code, seconds = server.end()
        assert (code, seconds < PROMPT_S) == (0, True)


STEPPING = """
import time
from cluster_dash_server.background import Background
background = Background("step", lambda: print("stepped", flush=True) or 0.5)
background.start()
time.sleep(600)
"""


@pytest.mark.parametrize("old_python", [False, True])
def test_background_steps_go_on_when_the_clock_goes_back(tmp_path: Path, clock: ClockStandin, old_python: bool) -> None:
    """Under a Python whose locks wait by the wall clock, as uv's, they would stop for as long as it was set back."""
    environ = clock.env_of_old_python if old_python else clock.env
    command = [sys.executable, "-c", STEPPING]
    with Program(command, tmp_path / "log", environ) as program:
        until(lambda: "stepped" in program.log)
        clock.set(-DAY_S)
        before = program.log.count("stepped")
        until(lambda: program.log.count("stepped") >= before + 3)
