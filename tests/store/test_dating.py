"""When a post was made whose host has no clock to go by, and that waited in its mole's outbox."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from clock_standin import DAY_S, HOUR_S
from processes import SERVE, Server, until

from cluster_dash_server.store.dating import Dates
from cluster_dash_server.store.numbers import Number

NOW = 1_795_000_000.0


def number(seq: int, boot: str = "boot") -> Number:
    return Number("mole", f"{boot}.1", seq)


def test_a_post_that_waited_was_made_as_long_ago_as_its_host_was_up_less() -> None:
    dates = Dates()
    dates.note(number(9), 5000.0, NOW + 0.3)
    assert dates.made_at(number(9), 5000.0, NOW + 0.3, is_newest=False) == NOW
    assert dates.made_at(number(3), 4400.0, NOW + 7, is_newest=False) == NOW - 600
    assert dates.made_at(number(4), 4500.5, NOW + 7, is_newest=False) == NOW - 499.5
    assert dates.made_at(number(5), 9000.0, NOW + 11, is_newest=False) == NOW + 12, "never far ahead"


def test_a_post_that_comes_twice_was_made_at_one_time() -> None:
    """Also where the server was started again in between, and knows the host's newest post to the millisecond."""
    dates = Dates()
    came = [NOW + at + late for at, late in enumerate((0.002, 0.9, -0.01, 1.2, 0.004))]
    made: list[float] = []
    for seq, at in enumerate(came):
        dates.note(number(seq), 5000.0 + seq, at)
        made.append(dates.made_at(number(seq), 5000.0 + seq, at, is_newest=True))
    again = Dates()
    again.note(number(5), 5005.0, NOW + 6.5)
    again.restore(number(4), 5004.0, math.floor(made[-1] * 1000) / 1000)
    assert [again.made_at(number(seq), 5000.0 + seq, NOW + 90, is_newest=False) for seq in range(5)] == made


def test_newest_posts_that_come_at_once_have_times_of_their_own() -> None:
    dates = Dates()
    times: list[float] = []
    for seq in range(50):
        dates.note(number(seq), 5000.0 + 5 * seq, NOW + seq / 10_000)
        times.append(dates.made_at(number(seq), 5000.0 + 5 * seq, NOW + seq / 10_000, is_newest=True))
    assert times == sorted(set(times))


def test_the_servers_clock_that_was_set_counts_from_then_on() -> None:
    dates = Dates()
    dates.note(number(1), 100.0, NOW)
    dates.note(number(3), 110.0, NOW + HOUR_S + 10)
    assert dates.made_at(number(2), 105.0, NOW + HOUR_S + 11, is_newest=False) == NOW + HOUR_S + 5


@pytest.mark.parametrize("up_s", [None, 50.0])
def test_those_of_a_boot_of_which_nothing_is_known_keep_their_order(up_s: float | None) -> None:
    dates = Dates()
    dates.note(number(1, "new"), 70.0, NOW)
    times = [dates.made_at(number(seq, "old"), up_s, NOW + 1, is_newest=False) for seq in range(1, 100)]
    assert times == sorted(set(times))
    assert NOW + 1 <= times[0] <= times[-1] < NOW + 1.2
    assert dates.made_at(None, None, NOW, is_newest=False) == NOW


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    with Server(tmp_path, environ, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok, 40)
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("off_s", [HOUR_S, -365 * DAY_S])
def test_what_waited_on_a_host_whose_clock_is_wrong_is_all_there_once_and_in_order(
    server: Server, off_s: float
) -> None:
    """Each outage's posts come in one batch: all at one time, many of them were one point."""
    now_s, count = time.time(), 60

    def made(seq: int) -> posts.Post:
        ago_s = 10.0 * (count - seq)
        cpu = {"cpu_percent": 1, "load_avgs": [seq, 0, 0], "num_cpus": 8}
        post = posts.host_post("gpu01", gpus=1, seq=seq, timestamp=now_s - ago_s + off_s, cpu=cpu)
        post["mole"]["mono_s"] = 10_000 - ago_s
        return post

    assert server.post(made(count)).json()["success"], "the live one comes first"
    batch = [{**made(seq), "auth_code": ""} for seq in range(1, count)]
    answer = requests.post(server.url + "/batch", json={"auth_code": posts.PASSCODE, "posts": batch}, timeout=30).json()
    assert all(result["success"] for result in answer["results"])

    def stored() -> list[tuple[float, float]]:
        asked: dict[str, Any] = {"metric": "sys.load_1m", "from": 0, "to": now_s + DAY_S}
        answer = requests.get(server.url + "/api/series", params=asked, timeout=30)
        return [pair for each in answer.json()["series"] for pair in zip(each["time"], each["value"])]

    until(lambda: len(stored()) >= count, 30, "posts are lost")
    assert [value for _, value in stored()] == list(range(1, count + 1))
    assert [time for time, _ in stored()] == pytest.approx(
        [now_s - 10 * (count - seq) for seq in range(1, count + 1)], abs=30
    )
