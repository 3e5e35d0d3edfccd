"""Rollups in a real engine: in whatever order the points came, they say what a recount of the points says."""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import queue
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import posts
import pytest
import requests
from clickhouse_connect.driver.httputil import close_managers
from engine import PASSWORD, USER, EngineServer
from processes import LONG_S, SERVE, Server, until

from cluster_dash_server.points import points_of_post
from cluster_dash_server.store import NobodyWaits, StoreAway, TooSlow
from cluster_dash_server.store.journal import Journal
from cluster_dash_server.store.kept import Coming, Parts
from cluster_dash_server.store.known import MOST_METRICS, read_metrics, read_metrics_of
from cluster_dash_server.store.numbers import Numbers
from cluster_dash_server.store.series import Grid, Selection, TooMuch, grid_of, read_series
from cluster_dash_server.store.store import Store
from cluster_dash_server.store.tables import TIERS, Days
from cluster_dash_server.store.target import Client, Target, target_of

DAYS = Days(14, 31, 90, 730)
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
START_S = int(time.time()) // HOUR_S * HOUR_S - DAY_S
"""ClickHouse removes by the real clock what is too old."""
METRIC = "sys.load_1m"
Rows = dict[tuple[Any, ...], tuple[Any, ...]]
_databases = itertools.count()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Target]:
    """The engine within this process, which takes one folder only: each test has a database of its own."""
    target = target_of(f"chdb://{tmp_path_factory.mktemp('engine')}", Path())
    assert target
    client = target.connect()
    client.command("SELECT 1")
    yield target
    client.close()


@pytest.fixture
def target(engine: Target) -> Target:
    return engine._replace(database=f"history_{next(_databases)}")


def restore_nothing(_post: dict[str, Any], _received_s: float, _numbers: Numbers) -> None: ...


class History:
    """A store whose clock a test sets, and a look past it into its tables."""

    def __init__(
        self, target: Target, folder: Path, days: Days, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.now_s = START_S + 3 * HOUR_S
        self.store = Store(target, Journal(folder / "journal", 2**24), days, monotonic, lambda: self.now_s)
        self.client: Client = target.connect()
        self.database = target.database

    def put(self, host: str, at_s: float, value: float) -> None:
        cpu = {"cpu_percent": 50, "load_avgs": [value, 0, 0], "num_cpus": 8}
        post = posts.host_post(host, gpus=0, timestamp=at_s, cpu=cpu, disk={}, memory={})
        self.store.keep([Coming(Parts(orjson.dumps(post), b"{}"), points_of_post(post), None, True, None)])

    def carry(self) -> None:
        self.store.step(restore_nothing)

    def roll(self, steps: int = 6) -> None:
        for _ in range(steps):
            self.store.rollups.step()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.client.query_arrow(sql.replace("DB", self.database), {}).to_pylist()

    def close(self) -> None:
        self.store.close()
        self.client.close()


@pytest.fixture
def history(target: Target, tmp_path: Path) -> Generator[Callable[..., History]]:
    """Opens it; again after what was open is closed."""
    opened: list[History] = []

    def open_one(days: Days = DAYS, monotonic: Callable[[], float] = time.monotonic) -> History:
        while opened:
            opened.pop().close()
        opened[:] = [History(target, tmp_path, days, monotonic)]
        return opened[0]

    yield open_one
    for each in opened:
        each.close()


def tiers(ask: Callable[[str], list[dict[str, Any]]]) -> Rows:
    found: Rows = {}
    for tier in TIERS:
        columns = "points, numbers, least, most, total, last, toUnixTimestamp64Milli(last_time) AS at"
        table = f"DB.{tier.table} FINAL"
        for row in ask(f"SELECT toUnixTimestamp(bucket) AS b, host, metric, {columns} FROM {table}"):  # noqa: S608
            key = (tier.bucket_s, row["b"], row["host"], row["metric"])
            numbers = (row["least"], row["most"], row["total"]) if row["numbers"] else ()
            found[key] = (row["points"], row["numbers"], *map(plain, numbers), plain(row["last"]), row["at"])
    return found


def recount(ask: Callable[[str], list[dict[str, Any]]], until_s: int) -> Rows:
    """What `tiers` should say of buckets that end until then, from the points alone."""
    series: dict[tuple[Any, ...], dict[int, float]] = defaultdict(dict)
    for row in ask("SELECT toUnixTimestamp64Milli(event_time) AS at, host, metric, value FROM DB.metric_points"):
        for tier in TIERS:
            bucket_s = row["at"] // 1000 // tier.bucket_s * tier.bucket_s
            if bucket_s + tier.bucket_s <= until_s:
                series[tier.bucket_s, bucket_s, row["host"], row["metric"]][row["at"]] = row["value"]
    found: Rows = {}
    for key, points in series.items():
        finite = [value for value in points.values() if math.isfinite(value)]
        numbers = (min(finite), max(finite), sum(finite)) if finite else ()
        found[key] = (len(points), len(finite), *map(plain, numbers), plain(points[max(points)]), max(points))
    return found


def plain(value: float) -> float | str:
    return float(f"{value:.9g}") if math.isfinite(value) else str(value)


def assert_right(history: History) -> None:
    found = tiers(history.rows)
    assert found
    assert found == recount(history.rows, history.store.rollups.ends[0])


@pytest.mark.slow
def test_they_say_what_a_recount_says_after_points_in_time_repeated_and_late(
    history: Callable[..., History],
) -> None:
    here, chance = history(), random.Random(4)
    here.now_s = START_S + 1
    here.carry()
    held: list[tuple[str, float, float]] = []
    for at_s in range(START_S, START_S + 2 * HOUR_S + 600, 20):
        here.now_s = at_s
        for host in ("gpu01", "gpu02", "gpu03"):
            point = (host, at_s + 0.25, chance.randrange(1000))
            if chance.random() < 0.2:
                held.append(point)
            else:
                here.put(*point)
                held += [point] if chance.random() < 0.05 else []  # it comes again
        if at_s % 1200 == 0:
            here.carry()
            here.roll(2)
    here.carry()
    here.roll()
    assert here.store.rollups.ends == [START_S + 2 * HOUR_S + 540, START_S + 2 * HOUR_S, START_S + 2 * HOUR_S]
    assert_right(here)
    chance.shuffle(held)
    for part in (held[: len(held) // 2], held):
        for point in part:
            here.put(*point)
        here.carry()
        here.roll(1)
    here.roll(12)
    assert_right(here)
    assert tiers(here.rows)[HOUR_S, START_S, "gpu01", METRIC][0] == 180


@pytest.mark.slow
def test_late_minutes_far_from_each_other_are_made_within_one_step(history: Callable[..., History]) -> None:
    """Of a clock that stands still, since how many there are goes by time."""
    now = history(monotonic=lambda: 0.0)
    now.carry()
    now.roll(1)
    late = [START_S - at * 3 * HOUR_S for at in range(1, 6)]
    for at_s in late:
        now.put("a", at_s, 5)
        now.put("b", at_s + 1, 6)
    now.carry()
    now.roll(1)
    found = now.rows(f"SELECT DISTINCT toUnixTimestamp(bucket) AS b FROM DB.{TIERS[0].table} ORDER BY b DESC")  # noqa: S608
    assert [row["b"] for row in found] == late


@pytest.mark.slow
def test_scattered_late_minutes_of_a_host_are_one_piece_of_work(history: Callable[..., History]) -> None:
    """Of a clock that goes on by a second at each look: a step does one piece."""
    now = history(monotonic=itertools.count().__next__)
    now.carry()
    now.roll(1)
    for at in range(1, 10):
        now.put("a", START_S - at * 2400, 5)
        now.put("b", START_S - 5 * HOUR_S - at, 6)
    now.carry()
    now.roll(1)
    assert_right(now)


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "lost"])
def test_what_is_due_outlives_the_process(history: Callable[..., History], is_kept: bool) -> None:
    """And without the table that says it, late points would stay outside: so this can fail."""
    here = history()
    here.carry()
    here.roll()
    here.put("gpu01", START_S + 5, 1.0)
    here.carry()
    here.roll()
    here.put("gpu01", START_S + 10, 2.0)
    here.carry()
    if not is_kept:
        here.client.command(f"TRUNCATE TABLE {here.database}.rollups_due")
    here = history()
    here.carry()
    here.roll()
    [points, *_] = tiers(here.rows)[HOUR_S, START_S, "gpu01", METRIC]
    assert points == (2 if is_kept else 1)


@pytest.mark.slow
def test_a_clock_that_was_ahead_leaves_no_bucket_half_made(history: Callable[..., History]) -> None:
    here = history()
    here.carry()
    here.now_s = START_S + 9 * HOUR_S
    here.roll()
    here.now_s = START_S + 3 * HOUR_S
    for at in range(5):
        here.put("gpu01", START_S + 3 * HOUR_S - 300 + at * 60, at)
    here.carry()
    here.now_s += HOUR_S
    here.roll()
    assert_right(here)
    assert here.store.rollups.ends[0] == START_S + 4 * HOUR_S - MINUTE_S


@pytest.mark.slow
def test_what_a_backup_brings_back_while_the_server_runs_is_rolled_up(history: Callable[..., History]) -> None:
    here = history()
    here.carry()
    here.roll()
    columns = "event_time, host, metric, value"
    row = f"SELECT toDateTime64({START_S}, 3, 'UTC'), 'gpu01', '{METRIC}', 1"
    here.client.command(f"INSERT INTO {here.database}.metric_points ({columns}) {row}")
    here.client.command(f"INSERT INTO {here.database}.rollups_until SELECT 0, toDateTime({START_S}, 'UTC')")
    here.now_s += MINUTE_S
    here.roll()
    assert_right(here)
    assert here.store.rollups.ends[0] == here.now_s - MINUTE_S


@pytest.mark.slow
def test_a_bucket_whose_points_are_gone_stays_when_a_late_one_comes(history: Callable[..., History]) -> None:
    here = history()
    for at in range(10):
        here.put("gpu01", START_S + at, at)
    here.carry()
    here.roll()
    before = tiers(here.rows)
    here.client.command(f"TRUNCATE TABLE {here.database}.metric_points")
    here.put("gpu01", START_S + 30, 1000.0)
    here.put("gpu02", START_S + 30, 7.0)
    here.carry()
    here.roll()
    after = tiers(here.rows)
    assert after.items() >= before.items()
    assert after[HOUR_S, START_S, "gpu02", METRIC][0] == 1  # one that wasn't there is made


def test_points_that_come_later_than_they_are_kept_are_rolled_up(history: Callable[..., History]) -> None:
    """Half of them a while after the first half is gone, one of them twice."""
    here = history()
    here.carry()
    here.roll(1)
    at_s = START_S - 20 * DAY_S
    for part in ((0, 10, 20), (20, 30, 40)):
        for at in part:
            here.put("gpu01", at_s + at, at)
        here.carry()
        here.client.command(f"OPTIMIZE TABLE {here.database}.metric_points FINAL")
        assert here.rows("SELECT value FROM DB.metric_points") == []
        here.roll(2)
    found = tiers(here.rows)
    assert [found[tier.bucket_s, at_s, "gpu01", METRIC][:5] for tier in TIERS] == [(5, 5, 0, 40, 100)] * 3


@pytest.mark.slow
def test_servers_with_one_store_roll_up_for_each_other(tmp_path: Path) -> None:
    """One brings a point whose minute the other has made already, and is killed before it makes any."""
    at_s = START_S + HOUR_S
    with EngineServer(tmp_path / "engine") as engine:
        url = f"http://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{engine.port}/shared"
        target = target_of(url, tmp_path)
        assert target

        def open_one(name: str, now_s: int) -> History:
            here = History(target, tmp_path / name, DAYS)
            here.now_s = now_s
            here.carry()
            return here

        first, second = open_one("first", at_s), open_one("second", at_s)
        first.now_s = second.now_s = at_s + 90
        first.put("gpu01", at_s + 5, 1.0)
        first.carry()
        first.roll(1)
        second.put("gpu01", at_s + 30, 2.0)
        second.carry()
        second.close()
        second = open_one("second", at_s + 2 * HOUR_S)
        second.roll(1)
        first.now_s = second.now_s
        first.roll(1)
        assert tiers(first.rows)[HOUR_S, at_s, "gpu01", METRIC][0] == 2
        for here in (first, second):
            assert here.store.rollups.ends[0] == at_s + 2 * HOUR_S - MINUTE_S
            here.close()
    close_managers()  # else a connection to the engine stays open


@pytest.mark.slow
def test_what_is_not_finite_leaves_least_greatest_and_mean_alone(history: Callable[..., History]) -> None:
    here = history()
    here.carry()
    values = {0: "1", 7: "nan", 14: "inf", 21: "3", 28: "-inf", 90: "nan"}
    for at, value in values.items():
        row = f"SELECT toDateTime64({START_S + at}, 3, 'UTC'), 'r', 'loss', {value}"
        here.client.command(f"INSERT INTO {here.database}.metric_points (event_time, run_id, metric, value) {row}")
    here.client.command(f"INSERT INTO {here.database}.rollups_until SELECT 0, toDateTime({START_S}, 'UTC')")
    here = history()
    here.carry()
    by_points: Callable[[], Any] = lambda: read_series(  # noqa: E731
        here.store, Selection(("loss",), START_S, START_S + HOUR_S, points=2), here.now_s
    )[0]
    unrolled = by_points()
    here.roll()
    assert_right(here)
    for found in (unrolled, by_points()):
        [series] = found
        assert (series.min.tolist(), series.max.tolist(), series.mean.tolist()) == ([1], [3], [2])
        assert (series.count.tolist(), series.not_finite.tolist()) == ([6], [4])
        assert math.isnan(series.value[0])


@pytest.mark.slow
def test_an_answer_is_the_same_from_the_points_and_from_each_tier(history: Callable[..., History]) -> None:
    here = history()
    here.now_s = START_S
    here.carry()
    here.now_s = START_S + 3 * HOUR_S
    for at in range(0, 3 * HOUR_S, 10):
        here.put("gpu01", START_S + at, at % 77)
    here.carry()
    asked = [(180, 60), (60, 240), (18, 600), (3, 3600), (2, 7200)]
    answers: list[list[Any]] = []
    for _ in range(2):
        answers.append([])
        for points, bucket_s in asked:
            wanted = Selection((METRIC,), START_S + 30, START_S + 3 * HOUR_S + 30, points=points)
            [series], length = read_series(here.store, wanted, here.now_s)
            assert length == bucket_s
            assert (series.time % bucket_s == 0).all()
            columns = (series.time, series.value, series.min, series.max, series.mean, series.count)
            answers[-1].append([column.tolist() for column in columns])
        here.now_s += HOUR_S
        here.roll()
    assert here.store.rollups.ends[2] >= START_S + 3 * HOUR_S
    assert answers[0] == answers[1]
    here.client.command(f"TRUNCATE TABLE {here.database}.metric_points")
    [series], _ = read_series(here.store, Selection((METRIC,), START_S, here.now_s, points=4), here.now_s)
    assert series.count.sum() == 3 * 360  # so the second answers came from the tiers


@pytest.mark.slow
def test_days_that_are_set_anew_count_for_our_tables_and_not_for_others(history: Callable[..., History]) -> None:
    def ttl(name: str) -> str:
        tables = here.rows("SELECT name, engine_full AS made FROM system.tables WHERE database = 'DB'")
        [made] = [table["made"] for table in tables if table["name"] == name]
        return made.partition("TTL ")[2].partition(" SETTINGS")[0]

    here = history()
    here.carry()
    assert [ttl(tier.table) for tier in TIERS] == [f"bucket + toIntervalDay({days})" for days in DAYS.tiers]
    other = "(bucket DateTime, run_id String) ENGINE = ReplacingMergeTree ORDER BY bucket TTL bucket + INTERVAL 3 DAY"
    here.client.command(f"DROP TABLE {here.database}.metric_points_1h")
    here.client.command(f"CREATE TABLE {here.database}.metric_points_1h {other}")
    here = history(Days(5, 6, 90, 8))
    here.carry()
    assert ttl("metric_points") == "toDateTime(event_time) + toIntervalDay(5)"
    assert ttl("metric_points_1m") == "bucket + toIntervalDay(6)"
    assert ttl("metric_points_10m") == "bucket + toIntervalDay(90)"
    assert ttl("metric_points_1h") == "bucket + toIntervalDay(3)"


@pytest.mark.slow
def test_a_question_that_takes_too_long_is_ended_and_keeps_no_other_waiting(target: Target, tmp_path: Path) -> None:
    store = Store(target, Journal(tmp_path / "journal", 2**20), DAYS, longest_question_s=4)

    def ask_much() -> None:
        with pytest.raises(TooSlow, match="takes longer than 4 s: ask for a shorter time"):
            store.ask("SELECT sum(cityHash64(number)) FROM numbers(1000000000000)", {})
        ended.append("much")

    ended: list[str] = []
    asking = threading.Thread(target=ask_much)
    try:
        store.step(restore_nothing)
        asking.start()
        assert store.ask("SELECT 1 AS one", {})["one"].to_pylist() == [1]
        ended.append("little")
        asking.join()
        assert ended == ["little", "much"]
    finally:
        store.close()
    with pytest.raises(StoreAway):
        store.ask("SELECT 1 AS one", {})


@pytest.mark.slow
def test_questions_are_broken_off_when_the_server_ends(target: Target, tmp_path: Path) -> None:
    store = Store(target, Journal(tmp_path / "journal", 2**20), DAYS, longest_question_s=100)
    failed: list[str] = []

    def ask_much() -> None:
        try:
            store.ask("SELECT sum(cityHash64(number)) FROM numbers(10000000000000)", {})
        except (StoreAway, TooSlow) as error:
            failed.append(str(error))

    def is_asked() -> bool:
        sql = "SELECT count() AS n FROM system.processes WHERE query LIKE '%numbers(10000000000000)%'"
        return store.ask(f"{sql} AND query_id != queryID()", {})["n"].to_pylist() == [1]

    asking = threading.Thread(target=ask_much)
    try:
        store.step(restore_nothing)
        asking.start()
        until(is_asked)
        store.end_questions()
        asking.join()
        assert len(failed) == 1
        assert "cancelled" in failed[0]
        with pytest.raises(StoreAway, match="the server ends"):
            store.ask("SELECT 1 AS one", {})
    finally:
        store.close()


@pytest.mark.slow
def test_of_names_without_end_those_are_told_that_most_hosts_have(history: Callable[..., History]) -> None:
    here = history()
    here.carry()
    row = "SELECT now(), arrayJoin(['gpu01', 'gpu02']), 'sys.cpu_percent', 5, '%'"
    ever_new = f"SELECT now(), 'gpu01', concat('new.', toString(number)), 5, '' FROM numbers({MOST_METRICS})"  # noqa: S608
    for rows in (row, ever_new):
        here.client.command(f"INSERT INTO {here.database}.metric_points (event_time, host, metric, value, unit) {rows}")
    known = read_metrics(here.store)
    assert (len(known.metrics), known.has_more) == (MOST_METRICS, True)
    assert known.metrics[-1] | {"newest": 0} == {"name": "sys.cpu_percent", "unit": "%", "hosts": 2, "newest": 0}
    of_host = read_metrics_of(here.store, "gpu01")
    assert (len(of_host.metrics), of_host.has_more) == (MOST_METRICS, True)
    assert [each["name"] for each in read_metrics_of(here.store, "gpu01", ("new.7",)).metrics] == ["new.7"]
    assert not read_metrics_of(here.store, "gpu02").has_more


@pytest.mark.slow
def test_what_nobody_waits_for_is_broken_off_and_all_else_goes_on(target: Target, tmp_path: Path) -> None:
    store = Store(target, Journal(tmp_path / "journal", 2**20), DAYS, longest_question_s=100)
    left, failed = threading.Event(), queue.Queue[Exception]()

    def ask_much(has_left: Callable[[], bool]) -> None:
        with store.asked_by(has_left):
            try:
                store.ask("SELECT sum(cityHash64(number)) FROM numbers(10000000000000)", {})
            except (StoreAway, TooSlow) as error:
                failed.put(error)

    def asked() -> int:
        sql = "SELECT count() AS n FROM system.processes WHERE query LIKE '%numbers(10000000000000)%'"
        [number] = store.ask(f"{sql} AND query_id != queryID()", {})["n"].to_pylist()
        return number

    asking = [threading.Thread(target=ask_much, args=(has_left,)) for has_left in (left.is_set, lambda: False)]
    try:
        store.step(restore_nothing)
        for each in asking:
            each.start()
        until(lambda: asked() == 2)
        store.end_unwanted_questions()
        left.set()
        assert asked() == 2
        store.end_unwanted_questions()
        asking[0].join()
        assert isinstance(failed.get_nowait(), NobodyWaits)
        assert asked() == 1
    finally:
        store.end_questions()
        asking[1].join()
        store.close()


@pytest.mark.slow
def test_more_points_than_an_answer_may_have_are_refused_without_reading_them(history: Callable[..., History]) -> None:
    here = history()
    here.carry()
    columns = "bucket, run_id, host, metric, points"
    row = f"SELECT toDateTime({START_S}, 'UTC'), '', 'gpu01', '{METRIC}', 500001"
    here.client.command(f"INSERT INTO {here.database}.metric_points_1h ({columns}) {row}")
    wanted = Selection((METRIC,), START_S, START_S + 2 * HOUR_S)
    with pytest.raises(TooMuch, match="more than 500000 points: ask for a shorter time"):
        read_series(here.store, wanted, here.now_s)
    assert read_series(here.store, replace(wanted, end_s=START_S + 3599), here.now_s) == ([], 0)


DAYS_KEPT = (14, 31, 90, 730)


@pytest.mark.parametrize(
    ("range_s", "points", "age_s", "right"),
    [
        (HOUR_S, 2000, HOUR_S, Grid(0, 2)),
        (HOUR_S, 61, HOUR_S, Grid(0, 64)),
        (HOUR_S, 60, HOUR_S, Grid(1, 60)),
        (DAY_S, 500, DAY_S, Grid(1, 240)),
        (DAY_S, 144, DAY_S, Grid(2, 600)),
        (30 * DAY_S, 500, 30 * DAY_S, Grid(3, 7200)),
        (365 * DAY_S, 2000, 365 * DAY_S, Grid(3, 28_800)),
        (HOUR_S, 2000, 14 * DAY_S + 1, Grid(1, 60)),  # every value is gone
        (HOUR_S, 2000, 31 * DAY_S + 1, Grid(2, 600)),
        (HOUR_S, 2000, 90 * DAY_S + 1, Grid(3, 3600)),
        (HOUR_S, 2000, 9999 * DAY_S, Grid(3, 3600)),
    ],
)
def test_the_longest_tier_that_is_fine_enough_and_goes_back_so_far(
    range_s: float, points: int, age_s: float, right: Grid
) -> None:
    assert grid_of(range_s, points, age_s, DAYS_KEPT) == right


def test_a_table_that_keeps_all_is_always_there() -> None:
    assert grid_of(HOUR_S, 2000, 9999 * DAY_S, (None, *DAYS_KEPT[1:])) == Grid(0, 2)


@pytest.mark.slow
def test_after_kill_9_at_any_moment_they_are_right_again(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    chance, end_s = random.Random(9), time.time() // HOUR_S * HOUR_S
    server, ending = Server(tmp_path, environ, command=SERVE), threading.Event()

    def send() -> None:
        """All are late: up to three hours."""
        for number in itertools.count():
            if ending.wait(0.005):
                return
            cpu = {"cpu_percent": 1, "load_avgs": [number % 1000, 0, 0], "num_cpus": 8}
            at_s = end_s - 3 * HOUR_S * chance.random()
            with contextlib.suppress(requests.RequestException):
                server.post(posts.host_post(gpus=0, timestamp=at_s, cpu=cpu))

    def ask(**asked: float) -> list[dict[str, Any]]:
        params = {"metric": METRIC, "from": end_s - 3 * HOUR_S, "to": end_s, **asked}
        answer = requests.get(server.url + "/api/series", params=params, timeout=LONG_S)
        return answer.json()["series"] if answer.ok else []

    def are_right() -> bool:
        """Buckets of each tier against all points."""
        points = ask()
        return bool(points) and all(
            buckets_of(ask(points=3 * HOUR_S // tier.bucket_s)) == counted(points, tier.bucket_s) for tier in TIERS
        )

    sender = threading.Thread(target=send)
    try:
        server.start()
        sender.start()
        for _ in range(3):
            until(ask)
            before = sum(len(each["time"]) for each in ask())
            until(lambda before=before: sum(len(each["time"]) for each in ask()) > before + 70)
            time.sleep(chance.random() / 2)
            server.kill()
            server.port = 0
            server.start()
        ending.set()
        sender.join()
        assert sum(len(each["time"]) for each in until(ask)) > 180  # else they come raw
        until(are_right)
    finally:
        ending.set()
        server.kill()
        gc.collect()  # a request that failed keeps its socket in a cycle


Buckets = dict[tuple[str, float], tuple[float, ...]]


def buckets_of(series: list[dict[str, Any]]) -> Buckets:
    names = ("value", "min", "max", "count")
    return {
        (each["host"], at_s): tuple(each[name][at] for name in names)
        for each in series
        for at, at_s in enumerate(each["time"])
    }


def counted(series: list[dict[str, Any]], bucket_s: int) -> Buckets:
    found: dict[tuple[str, float], list[float]] = defaultdict(list)
    for each in series:
        for at_s, value in zip(each["time"], each["value"], strict=True):
            found[each["host"], at_s // bucket_s * bucket_s].append(value)
    return {key: (values[-1], min(values), max(values), len(values)) for key, values in found.items()}
