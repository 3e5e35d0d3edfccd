"""The recent history of a host: columns of one length, gaps where nothing came, bounded in rows, age and series."""

from __future__ import annotations

import math

import pytest

from cluster_dash_server.live import history as module
from cluster_dash_server.live.history import RecentHistory, SeriesKey
from cluster_dash_server.points import NO_DEVICE, Points

CPU = SeriesKey("cpu", NO_DEVICE, "")
GAP_AFTER_S = 15.0


def points(**values: float) -> Points:
    rows = len(values)
    return Points(
        metric=list(values), value=list(values.values()), unit=["%"] * rows,
        device=[NO_DEVICE] * rows, tags_json=[""] * rows,
    )  # fmt: skip


def shown(history: RecentHistory, name: str) -> list[float | None]:
    return [None if math.isnan(value) else value for value in history.columns[SeriesKey(name, NO_DEVICE, "")]]


def filled(*times: float, max_rows: int = 100, max_age_s: float = 1e9) -> RecentHistory:
    history = RecentHistory(max_rows, max_age_s)
    for time in times:
        history.append(time, time, points(cpu=time), GAP_AFTER_S)
    return history


def test_a_series_that_starts_late_or_pauses_is_missing_there() -> None:
    history = RecentHistory(100, 1e9)
    history.append(1, 1, points(a=1), GAP_AFTER_S)
    history.append(2, 2, points(a=2, b=20), GAP_AFTER_S)
    history.append(3, 3, points(b=30), GAP_AFTER_S)
    assert shown(history, "a") == [1, 2, None]
    assert shown(history, "b") == [None, 20, 30]


def test_a_pause_of_the_host_leaves_a_row_without_values() -> None:
    history = filled(10, 15, 100, 105)
    assert list(history.time) == [10, 15, 22.5, 100, 105]
    assert shown(history, "cpu") == [10, 15, None, 100, 105]


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, 315_360_000.0])
def test_when_the_servers_clock_is_set_the_rows_before_move_with_it(step_s: float) -> None:
    history = filled(10, 15, 20)
    history.append(25 + step_s, 25, points(cpu=25), GAP_AFTER_S)
    history.append(30 + step_s, 30, points(cpu=30), GAP_AFTER_S)
    assert list(history.time) == [10 + step_s, 15 + step_s, 20 + step_s, 25 + step_s, 30 + step_s]
    assert shown(history, "cpu") == [10, 15, 20, 25, 30]


def test_a_small_step_back_of_the_clock_keeps_the_order() -> None:
    history = filled(10, 12)
    history.append(11, 12.5, points(cpu=1), GAP_AFTER_S)
    assert list(history.time) == [10, 12, 12]


def test_the_oldest_rows_go_when_there_are_too_many() -> None:
    history = filled(*range(1000), max_rows=80)
    assert 80 <= len(history.time) <= 90
    assert history.time[-1] == 999
    assert all(len(column) == len(history.time) for column in history.columns.values())


def test_rows_that_are_too_old_go() -> None:
    history = filled(*range(100), max_age_s=60)
    history.append(200, 200, points(cpu=1), GAP_AFTER_S)
    assert history.time[0] >= 140
    history.forget_before(1000)
    assert len(history.time) == 0


def test_a_series_without_a_value_left_is_forgotten() -> None:
    history = RecentHistory(10, 1e9)
    history.append(0, 0, points(gone=1, cpu=1), GAP_AFTER_S)
    for time in range(1, 40):
        history.append(time, time, points(cpu=1), GAP_AFTER_S)
    assert set(history.columns) == {CPU}
    assert set(history.units) == {"cpu"}


def test_invented_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SERIES", 3)
    history = RecentHistory(100, 1e9)
    for index in range(50):
        history.append(index, index, points(**{"cpu": 1, f"invented_{index}": 1}), GAP_AFTER_S)
    assert len(history.columns) == 3
    assert history.left_out == 48
    assert shown(history, "cpu") == [1] * 50
