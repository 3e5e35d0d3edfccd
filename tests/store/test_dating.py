"""When a post was made whose host has no clock to go by, and that waited in its mole's outbox."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import orjson
import posts
import pytest
import requests
from clock_standin import DAY_S, HOUR_S
from processes import LONG_S, SERVE, Server, until

from cluster_dash_server.points import points_of_post
from cluster_dash_server.store.carried import Carried, Portion
from cluster_dash_server.store.dating import BOOTS, MOST_OFF_S, Dates, load_dates
from cluster_dash_server.store.kept import Kept, Parts
from cluster_dash_server.store.numbers import Number

NOW = 1_795_000_000.0
NEVER_SET = 1000.0


def number(seq: int, boot: str = "boot") -> Number:
    return Number("mole", f"{boot}.1", seq)


def newest(dates: Dates, up_s: float, came_s: float, own_s: float = NEVER_SET) -> float:
    return dates.date(own_s, number(int(up_s)), up_s, came_s, is_newest=True).at_s


def late(dates: Dates, up_s: float | None, came_s: float, own_s: float = NEVER_SET, boot: str = "boot") -> float:
    return dates.date(own_s, number(int(up_s or 0), boot), up_s, came_s, is_newest=False).at_s


@pytest.mark.parametrize(
    ("ahead_s", "is_kept"), [(599, True), (601, False), (1e9, False), (-30 * DAY_S, True), (-NOW, False)]
)
def test_a_clock_that_was_never_set_does_not_date_a_point(ahead_s: float, is_kept: bool) -> None:
    at_s = NOW + ahead_s if is_kept else NOW
    assert Dates().date(NOW + ahead_s, None, None, NOW, is_newest=True) == (at_s, is_kept)
    assert newest(Dates(), 100.0, NOW, NOW + ahead_s) == at_s


def test_a_post_that_waited_was_made_as_long_ago_as_its_host_was_up_less() -> None:
    dates = Dates()
    assert newest(dates, 5000.0, NOW) == NOW
    assert late(dates, 4400.0, NOW + 7) == NOW - 600
    assert late(dates, 4500.5, NOW + 7) == NOW - 499.5
    assert late(dates, 9000.0, NOW + 11) == NOW + 11 + MOST_OFF_S, "never far ahead"


def test_whether_a_hosts_clock_is_right_is_told_by_when_the_post_was_made() -> None:
    """Of a host an hour ahead each post of an outage of hours has been wrong by an hour: none comes before another."""
    dates = Dates()
    newest(dates, 9 * HOUR_S, NOW, NOW + HOUR_S)
    for ago_s in (7 * HOUR_S, HOUR_S, 60.0):
        assert late(dates, 9 * HOUR_S - ago_s, NOW + 5, NOW - ago_s + HOUR_S) == NOW - ago_s


def test_posts_come_sooner_or_later_and_keep_their_order() -> None:
    dates = Dates()
    came = [NOW + at + way for at, way in enumerate((4.2, 0.9, 0.0, 25.0, 0.1))]
    made = [newest(dates, 5000.0 + at, came_s) for at, came_s in enumerate(came)]
    assert made == pytest.approx([made[0] + at for at in range(5)])
    assert made == [late(dates, 5000.0 + at, NOW + 90) for at in range(5)], "a boot keeps its date"


def test_one_post_that_was_long_on_its_way_dates_no_other() -> None:
    dates = Dates()
    newest(dates, 5000.0, NOW)
    newest(dates, 5300.0, NOW + 540)
    assert late(dates, 5100.0, NOW + 541) == NOW + 100
    newest(dates, 5600.0, NOW + 600)
    assert late(dates, 5200.0, NOW + 601) == NOW + 200


def test_newest_posts_that_come_at_once_have_times_of_their_own() -> None:
    dates = Dates()
    times = [newest(dates, 5000.0 + 5 * seq, NOW + seq / 10_000) for seq in range(50)]
    assert times == sorted(set(times))


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S])
def test_the_servers_clock_that_was_set_counts_from_then_on(off_s: float) -> None:
    dates = Dates()
    newest(dates, 100.0, NOW)
    for up_s in (110.0, 120.0):
        newest(dates, up_s, NOW + off_s + up_s - 100)
    assert late(dates, 105.0, NOW + off_s + 21) == NOW + off_s + 5
    assert newest(dates, 130.0, NOW + off_s + 30) == NOW + off_s + 30


def test_what_was_right_before_the_servers_clock_was_set_stays_where_it_is() -> None:
    """Set back by an hour, the server takes right clocks for wrong ones: only what it gets from then on counts so."""
    dates = Dates()
    assert newest(dates, 100.0, NOW, NOW) == NOW
    back_s = NOW - HOUR_S
    assert newest(dates, 120.0, back_s + 20, NOW + 20) == NOW + 20
    assert late(dates, 90.0, back_s + 21, NOW - 10) == NOW - 10
    assert newest(dates, 130.0, back_s + 30, NOW + 30) == back_s + 30


@pytest.mark.parametrize("up_s", [None, 50.0])
def test_those_of_boots_of_which_nothing_is_known_keep_their_order(up_s: float | None) -> None:
    dates = Dates()
    newest(dates, 70.0, NOW)
    times = [late(dates, up_s, NOW + 1, boot=boot) for boot in ("older", "old") for _ in range(50)]
    assert times == sorted(set(times))
    assert NOW + 1 <= times[0] <= times[-1] < NOW + 1.2


def test_what_is_known_of_boots_is_the_same_when_it_is_read_again() -> None:
    dates = Dates()
    newest(dates, 100.0, NOW + 0.1)
    newest(dates, 110.0, NOW - HOUR_S)
    newest(dates, 120.0, NOW)
    again = load_dates(orjson.loads(orjson.dumps(dates.dump())))
    assert again.dump() == dates.dump()
    for up_s in (90.0, 105.0, 118.0):
        assert late(again, up_s, NOW + 60) == late(dates, up_s, NOW + 60)
    assert newest(again, 130.0, NOW) == newest(dates, 130.0, NOW)


@pytest.mark.parametrize(
    "dumped", [7, [], {}, {"last_s": 0, "boots": [["a", "b"]]}, {"last_s": "x", "boots": []}, {"last_s": 0, "boots": 1}]
)
def test_what_was_no_dump_is_told_as_that(dumped: object) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        load_dates(dumped)


def test_boots_are_bounded_and_the_newest_stay() -> None:
    dates = Dates()
    for boot in range(3 * BOOTS):
        dates.date(NEVER_SET, number(1, str(boot)), 10.0, NOW + boot, is_newest=True)
    assert [late(dates, 5.0, NOW + 90, boot=str(boot)) for boot in range(2 * BOOTS, 3 * BOOTS)] == [
        NOW + boot - 5 for boot in range(2 * BOOTS, 3 * BOOTS)
    ]
    assert len(dates.dump()["boots"]) == BOOTS


def test_what_came_before_the_servers_clock_was_set_may_be_there_by_another_time() -> None:
    dates = Dates()
    newest(dates, 100.0, NOW, NOW)
    newest(dates, 120.0, NOW - HOUR_S, NOW + 20)
    older, newer = ((up_s, NOW - HOUR_S + 60) for up_s in (90.0, 121.0))
    assert not dates.date(NOW - HOUR_S - 10, number(1), *older, is_newest=False).is_fixed
    assert dates.date(NOW - HOUR_S + 1, number(2), *newer, is_newest=False).is_fixed


def kept(seq: int, own_s: float, came_s: float, *, is_newest: bool = False) -> Kept:
    points = points_of_post(posts.host_post("gpu01", timestamp=own_s))
    return Kept(Parts(b"{}", b"{}"), points, came_s, number(seq), is_newest, 100.0 + seq)


def times(portion: Portion) -> dict[int, float]:
    """By number."""
    return {each.number.seq: each.points.event_time for each in portion.kept if each.number}


def test_what_is_carried_is_dated_alike_until_it_is_there_and_then_only_where_no_other_time_is_possible() -> None:
    carried = Carried()
    timeless = [kept(9, NEVER_SET, NOW, is_newest=True), kept(3, NEVER_SET, NOW + 5), kept(3, NEVER_SET, NOW + 6)]
    portion = carried.dated([*timeless, kept(4, NOW - 5, NOW + 5)])
    assert times(portion) == {9: NOW, 3: NOW - 6, 4: NOW - 5}
    assert len(portion.kept) == 3, "one that came twice at once is one"
    again = carried.dated([*timeless, kept(4, NOW - 5, NOW + 5), kept(5, NEVER_SET, NOW + 7)])
    assert times(again) == times(portion) | {5: NOW - 4}
    carried.note(portion)
    assert times(carried.dated([*timeless, kept(4, NOW - 5, NOW + 90), kept(5, NEVER_SET, NOW + 90)])) == {
        4: NOW - 5,
        5: NOW - 4,
    }
    restarted, post = Carried(), orjson.loads(orjson.dumps(carried.dump("gpu01")))
    restarted.load("gpu01", post, NOW, is_whole=True)
    assert times(restarted.dated([kept(3, NEVER_SET, NOW + 90), kept(5, NEVER_SET, NOW + 90)])) == {5: NOW - 4}
    assert post == {}


@pytest.mark.parametrize("said", [{"kept_numbers": 7}, {"kept_dates": []}, {"kept_dates": {"last_s": 0}}])
def test_what_the_store_says_and_nobody_understands_costs_no_start(said: dict[str, Any]) -> None:
    carried = Carried()
    carried.load("gpu01", {**posts.host_post("gpu01"), **said}, NOW, is_whole=True)
    assert times(carried.dated([kept(9, NEVER_SET, NOW, is_newest=True)])).keys() == {9}


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    with Server(tmp_path, environ, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok, 40)
        yield server


def send(server: Server, batch: list[posts.Post]) -> None:
    """All that waited on a host, the newest before the others."""
    assert server.post(batch[-1]).json()["success"]
    body = {"auth_code": posts.PASSCODE, "posts": [{**post, "auth_code": ""} for post in batch[:-1]]}
    answer = requests.post(server.url + "/batch", json=body, timeout=LONG_S).json()
    assert all(result["success"] for result in answer["results"])


def stored(server: Server) -> list[tuple[float, float]]:
    """(time, load) of all points, in the order of their times."""
    asked: dict[str, Any] = {"metric": "sys.load_1m", "from": 0, "to": 4e9}
    answer = requests.get(server.url + "/api/series", params=asked, timeout=LONG_S)
    series: list[dict[str, list[float]]] = answer.json()["series"] if answer.ok else []
    return [pair for each in series for pair in zip(each["time"], each["value"], strict=True)]


def made(seq: int, ago_s: float, off_s: float) -> posts.Post:
    """By a host whose clock is so far ahead; its load says which one it is."""
    cpu = {"cpu_percent": 1, "load_avgs": [seq, 0, 0], "num_cpus": 8}
    post = posts.host_post("gpu01", gpus=1, seq=seq, timestamp=time.time() - ago_s + off_s, cpu=cpu)
    post["mole"]["mono_s"] = 10_000 - ago_s
    return post


@pytest.mark.slow
@pytest.mark.parametrize("off_s", [HOUR_S, -365 * DAY_S])
def test_what_waited_on_a_host_whose_clock_is_wrong_is_all_there_once_and_in_order(
    server: Server, off_s: float
) -> None:
    """Each outage's posts come in one batch: all at one time, many of them were one point. An hour ahead, half of them
    have an own time that may be one.
    """
    now_s, count = time.time(), 60
    send(server, [made(seq, 100.0 * (count - seq), off_s) for seq in range(1, count + 1)])
    until(lambda: len(stored(server)) >= count, message="posts are lost")
    assert [value for _, value in stored(server)] == list(range(1, count + 1))
    assert [time for time, _ in stored(server)] == pytest.approx(
        [now_s - 100 * (count - seq) for seq in range(1, count + 1)], abs=30
    )


@pytest.mark.slow
@pytest.mark.parametrize("off_s", [HOUR_S, -365 * DAY_S])
def test_what_comes_again_after_a_kill_is_there_once_at_its_time(server: Server, off_s: float) -> None:
    """Whether it was carried before or not, and though the server doesn't know yet what it has when it comes again."""
    older = [made(seq, 900.0 - seq, off_s) for seq in range(1, 11)]
    for post in older:
        post["mole"] |= {"epoch": "older boot.1", "mono_s": 500.0 + post["mole"]["seq"]}
    newer = [made(seq, 1.9 * (40 - seq), off_s) for seq in range(11, 41)]
    send(server, newer[:15])
    until(lambda: len(stored(server)) >= 15)
    server.kill()
    server.start()
    send(server, newer[:20])
    send(server, [*older, newer[20]])
    server.kill()
    server.start()
    send(server, [*older, *newer])
    until(lambda: len(stored(server)) >= 40, message="posts are lost")
    first = stored(server)
    assert sorted(value for _, value in first) == list(range(1, 41))
    assert [value for _, value in first if value > 10] == list(range(11, 41))
    server.kill()
    server.start()
    until(lambda: stored(server) == first)
    send(server, [*older, *newer, made(41, 0, off_s)])
    until(lambda: any(value == 41 for _, value in stored(server)))
    assert [pair for pair in stored(server) if pair[1] < 41] == first
