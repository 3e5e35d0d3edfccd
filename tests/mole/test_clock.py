"""A host's clock is set while its mole runs, as by NTP: a real process with a clock that the test sets, of which the
clocks that nobody sets are no part (clock_standin.c).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clock_standin import DAY_S, HOUR_S, YEAR_S, ClockStandin
from nvml_standin import Gpu, NvmlStandin

from mole.peers import LONG_S, PROMPT_S, MoleProcess, Peer, free_port, wait_until
from mole.store_peer import StorePeer

pytestmark = pytest.mark.slow

Start = Callable[..., MoleProcess]
STEPS = [HOUR_S, -HOUR_S, DAY_S, -DAY_S, 10 * YEAR_S, -10 * YEAR_S, 0.0]
INTERVAL_S = 0.3
MOST_PER_S = 1e12
RATES = "_per_s"


def settings(address: str) -> dict[str, str]:
    return {
        "JSON_SENDER_LOGGER_ADDRESS_IN": address,
        "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": str(INTERVAL_S),
    }


def write(path: Path) -> None:
    """Through to the disk, so that its counters grow."""
    with path.open("wb", buffering=0) as file:
        file.write(os.urandom(65536))
        os.fsync(file.fileno())


def rates_of(post: dict[str, Any]) -> list[float]:
    columns = [column for name, column in post["metrics"].items() if name.endswith(RATES)]
    return [value for column in columns for value in column["value"] if value is not None]


def test_posts_go_on_at_their_pace_and_are_dated_by_the_clock_as_it_is(
    peer: Peer, standin: NvmlStandin, clock: ClockStandin, start_mole: Start, tmp_path: Path
) -> None:
    standin.set(Gpu(), Gpu())
    disks = Path("/proc/diskstats").read_text()
    write(tmp_path / "busy")
    has_disk = Path("/proc/diskstats").read_text() != disks
    mole = start_mole(**settings(peer.address), **clock.env_of_old_python)
    wait_until(lambda: len(peer.posts) >= 3)
    for off_s in STEPS:
        clock.set(off_s)
        set_at, said = clock.now(), time.time()
        peer.answer = 200, json.dumps({"success": True, "server_time": said}).encode()
        for _ in range(5):
            write(tmp_path / "busy")
            already = len(peer.posts)
            wait_until(lambda before=already: len(peer.posts) > before)
        newest = peer.posts[-1]
        assert set_at - 1 < newest["timestamp"] < clock.now() + 1
        (skew_s,) = newest["metrics"]["sys.time.skew_s"]["value"]
        assert off_s - 1 < skew_s < off_s + time.time() - said + 1
    posts = list(peer.posts)
    assert [post["mole"]["seq"] for post in posts] == list(range(1, len(posts) + 1))
    pauses = [after["mole"]["mono_s"] - before["mole"]["mono_s"] for before, after in zip(posts, posts[1:])]
    # A busy machine may hold up some of them, a step of the clock would all.
    assert INTERVAL_S / 3 < sorted(pauses)[len(pauses) // 2] < 3 * INTERVAL_S
    rates = [rate for post in posts for rate in rates_of(post)]
    assert (max(rates) > 0) is has_disk
    assert min(rates) >= 0
    assert max(rates) < MOST_PER_S
    assert all(post["cpu"]["cpu_percent"] is None or 0 <= post["cpu"]["cpu_percent"] <= 100 for post in posts)
    assert all(set(post["mole"]["errors"]) <= {"nvml"} for post in posts[3:])  # which a busy machine makes slow
    assert "Traceback" not in mole.log
    assert mole.end() < PROMPT_S


def test_a_mole_that_backs_off_tries_on_when_the_clock_goes_back(
    clock: ClockStandin, standin: NvmlStandin, start_mole: Start
) -> None:
    """As when a host's clock runs on local time until NTP sets it, and the network comes after the mole."""
    port = free_port()
    mole = start_mole(**settings(f"http://127.0.0.1:{port}/"), **clock.env_of_old_python)
    wait_until(lambda: "no connection" in mole.log)
    clock.set(-2 * HOUR_S)
    peer = Peer(port)
    try:
        wait_until(lambda: peer.posts)
        assert peer.posts[-1]["timestamp"] == pytest.approx(clock.now(), abs=LONG_S)
        assert mole.end() < PROMPT_S
    finally:
        peer.close()


def test_what_waits_is_sent_when_the_clock_goes_back(
    clock: ClockStandin, standin: NvmlStandin, start_mole: Start
) -> None:
    peer = StorePeer()
    peer.judge_batch = lambda _: 503
    peer.judge = lambda post: 503 if post["mole"]["seq"] < 3 else 200
    try:
        auth = {"JSON_SENDER_LOGGER_AUTH_CODE": "canary"}
        mole = start_mole(**settings(peer.address), **auth, **clock.env_of_old_python)
        wait_until(lambda: "/batch: " in mole.log)
        time.sleep(0.1)  # so that it waits until it tries again
        clock.set(-2 * HOUR_S)
        peer.judge_batch = lambda _: 200
        wait_until(lambda: peer.from_batches)
        assert mole.end() < PROMPT_S
    finally:
        peer.close()


def test_a_post_that_was_on_its_way_while_the_host_slept_tells_no_wrong_clock(
    peer: Peer, clock: ClockStandin, standin: NvmlStandin, start_mole: Start
) -> None:
    def answer_right() -> None:
        peer.answer = 200, json.dumps({"success": True, "server_time": clock.now()}).encode()

    answer_right()
    start_mole(**settings(peer.address), **clock.env_of_old_python)
    wait_until(lambda: len(peer.posts) >= 3)
    peer.may_answer.clear()
    already = len(peer.posts)
    wait_until(lambda: len(peer.posts) > already)
    clock.sleep(HOUR_S)
    answer_right()
    peer.may_answer.set()
    wait_until(lambda: len(peer.posts) > already + 4)
    told = [post["metrics"]["sys.time.skew_s"]["value"] for post in peer.posts if "sys.time.skew_s" in post["metrics"]]
    assert told
    assert all(abs(skew_s) < HOUR_S / 4 for (skew_s,) in told)


LOOKING_UP = """
import time
from cluster_dash_mole.user_names import UserNames
print("asks", flush=True)
UserNames(look_up=lambda uid: time.sleep(600), patience_s=2).name_of(1000)
"""


def test_a_directory_that_hangs_delays_no_longer_when_the_clock_goes_back(clock: ClockStandin) -> None:
    """A lock's time-out goes by the wall clock under Python before 3.11 and one built for an old C library."""
    words = [sys.executable, "-c", LOOKING_UP]
    with subprocess.Popen(words, env={**os.environ, **clock.env_of_old_python}, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == b"asks\n"
        time.sleep(1)
        clock.set(-HOUR_S)
        try:
            assert asking.wait(LONG_S) == 0
        finally:
            asking.kill()
