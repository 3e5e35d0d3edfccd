"""The recent history of a host: rows of one length, gaps where nothing came, bounded in rows, age and series."""

from __future__ import annotations

import math

import pytest

from cluster_dash_server.live import history as module
from cluster_dash_server.live.history import FEWEST_ROWS, RecentHistory
from cluster_dash_server.live.rows import SeriesColumns, columns
from cluster_dash_server.points import NO_DEVICE, Layout, Points, SeriesKey


class Sender:
    """Posts rows of named values; the same names are the same layout."""

    def __init__(self, recent_s: float = 900.0, headline_s: float = 86_400.0, gap_after_s: float = 15.0) -> None:
        self.history = RecentHistory(recent_s, headline_s)
        self._gap_after_s = gap_after_s
        self._layouts: dict[tuple[str, ...], Layout] = {}

    def post(self, time: float, **values: float) -> None:
        names = tuple(values)
        series = [SeriesKey(name.removesuffix("_again"), NO_DEVICE, "") for name in names]
        layout = self._layouts.setdefault(names, Layout(series, ["%"] * len(names)))
        points = Points("gpu01", time, layout, list(values.values()))
        self.history.append(time, points, self._gap_after_s)

    def column(self, name: str) -> SeriesColumns:
        (found,) = columns(self.history.recent_segments(), [name])
        return found

    def minutes(self, name: str) -> SeriesColumns:
        (found,) = columns(self.history.minute_segments(), [name])
        return found

    def names(self) -> set[str]:
        segments = self.history.recent_segments()
        series = {key for segment in segments for key in segment.layout.series}
        return {column.key.metric for column in columns(segments, [key.metric for key in series])}


def shown(column: SeriesColumns) -> list[float | None]:
    return [None if math.isnan(value) else value for value in column.value]


def filled(*times: float) -> Sender:
    sender = Sender()
    for time in times:
        sender.post(time, cpu=time)
    return sender


def test_a_series_that_starts_late_or_pauses_is_missing_there() -> None:
    sender = Sender()
    sender.post(1, a=1)
    sender.post(2, a=2, b=20)
    sender.post(3, b=30)
    assert shown(sender.column("a")) == [1, 2, None]
    assert shown(sender.column("b")) == [None, 20, 30]


def test_a_pause_of_the_host_leaves_a_row_without_values() -> None:
    sender = filled(10, 15, 100, 105)
    assert list(sender.column("cpu").time) == [10, 15, 22.5, 100, 105]
    assert shown(sender.column("cpu")) == [10, 15, None, 100, 105]


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, 315_360_000.0])
def test_when_the_servers_clock_is_set_the_history_moves_with_it(step_s: float) -> None:
    sender = filled(10, 70, 75)
    (column,) = columns(sender.history.recent_segments(), ["cpu"], step_s)
    assert list(column.time) == [time + step_s for time in (10, 17.5, 70, 75)]
    assert shown(column) == [10, None, 70, 75]


def test_two_posts_that_overtake_each_other_on_the_way_in_keep_the_order() -> None:
    assert list(filled(10, 12, 11.9, 13).column("cpu").time) == [10, 12, 12, 13]


def test_everything_is_kept_for_the_minutes_that_are_set() -> None:
    sender = filled(*range(0, 7200, 5))
    assert 900 <= 7195 - sender.column("cpu").time[0] <= 900 + 2 * 16 * 5
    assert list(sender.column("cpu").value)[-3:] == [7185, 7190, 7195]


def test_a_host_that_posts_seldom_keeps_its_last_posts() -> None:
    sender = Sender(gap_after_s=900)
    for time in range(0, 24 * 3600, 300):
        sender.post(time, cpu=time)
    assert FEWEST_ROWS <= len(sender.column("cpu").time) <= FEWEST_ROWS + 32
    assert sender.column("cpu").value[-1] == 86_100


def test_a_host_that_posts_too_often_has_less_time_and_no_more_memory() -> None:
    sender = Sender()
    for number in range(20_000):
        sender.post(number / 100, cpu=1)
    assert 900 <= len(sender.column("cpu").time) <= 900 + 2 * 16


def test_a_series_without_a_value_left_is_forgotten() -> None:
    sender = Sender(recent_s=60)
    sender.post(0, gone=1, cpu=1)
    for time in range(5, 1000, 5):
        sender.post(time, cpu=1)
    assert sender.names() == {"cpu"}


def test_a_series_that_was_never_there_is_none() -> None:
    sender = Sender()
    sender.post(0, absent=math.nan, cpu=1)
    assert sender.names() == {"cpu"}


def test_of_a_series_that_comes_twice_in_a_post_the_last_value_counts() -> None:
    sender = Sender()
    for time in (1, 2):
        sender.post(time, a=1, b=2, a_again=3)
    assert shown(sender.column("a")) == [3, 3]
    assert shown(sender.column("b")) == [2, 2]
    assert sender.history.left_out == 0


def test_invented_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SERIES", 3)
    sender = Sender()
    for index in range(50):
        sender.post(index, **{"cpu": 1, f"invented_{index}": 1})
    assert sender.names() == {"cpu", "invented_0", "invented_1"}
    assert sender.history.left_out == 48
    assert shown(sender.column("cpu")) == [1] * 50


def test_a_name_has_room_again_when_others_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SERIES", 3)
    sender = Sender(recent_s=60)
    for index in range(200):
        sender.post(5 * index, **{"cpu": 1, f"user_{index // 100}": 1, f"disk_{index // 100}": 1})
    assert sender.names() == {"cpu", "user_1", "disk_1"}


def test_series_that_come_and_go_are_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SERIES", 6)
    sender = Sender()
    for index in range(0, 600, 5):
        sender.post(index, **({"cpu": 1} if index % 2 else {"cpu": 1, "a": 1, "b": 2}))
    assert sender.names() == {"cpu", "a", "b"}
    assert sender.history.left_out == 0


def test_half_the_share_is_half_the_time() -> None:
    sender = filled(*range(0, 900, 5))
    sender.history.share = 0.5
    sender.history.forget(895)
    assert 450 <= 895 - sender.column("cpu").time[0] <= 450 + 16 * 5


def test_the_bytes_are_those_of_what_is_kept() -> None:
    sender = Sender(recent_s=60)
    for time in range(0, 4000, 5):
        sender.post(time, **{f"user_{time // 500}": 1, "cpu": 1})
    segments = sender.history.recent_segments()
    exact = sum(len(segment.values) * 4 for segment in segments)
    assert exact < sender.history.recent.bytes < exact + 800 * len(segments)
    sender.history.forget(1e9)
    assert sender.history.bytes == 0
    assert sender.history.recent.rows == sender.history.minutes.rows == 0
