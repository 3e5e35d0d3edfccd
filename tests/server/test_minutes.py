"""The headline by the minute: the mean of what is busy, the highest of what fills up, a gap where there was one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from cluster_dash_server.live.history import RecentHistory
from cluster_dash_server.live.minutes import HEADLINE, HIGHEST, MEAN, OF_A_GPU
from cluster_dash_server.live.rows import SeriesColumns, columns
from cluster_dash_server.points import NO_DEVICE, Layout, Points, SeriesKey

CPU, MEMORY = SeriesKey("sys.cpu_percent", NO_DEVICE, ""), SeriesKey("sys.mem_used_bytes", NO_DEVICE, "")
GPU0, GPU1 = SeriesKey("sys.gpu.util_percent", 0, ""), SeriesKey("sys.gpu.util_percent", 1, "")
OTHERS = [
    SeriesKey("sys.load_1m", NO_DEVICE, ""),
    SeriesKey("sys.cpu_percent", 3, ""),
    SeriesKey("sys.gpu.util_percent", NO_DEVICE, ""),
    SeriesKey("sys.gpu.util_percent", 0, '{"mig":"1"}'),
]
START = 1_200_000_000.0  # begins a minute


def history_of(*posts: tuple[float, Mapping[SeriesKey, float]], headline_s: float = 86_400.0) -> RecentHistory:
    history, layouts = RecentHistory(900.0, headline_s), dict[tuple[SeriesKey, ...], Layout]()
    for second, values in posts:
        layout = layouts.setdefault(tuple(values), Layout(values, ["%"] * len(values)))
        history.append(START + second, Points("gpu01", 0, layout, list(values.values())), 15.0)
    return history


def minutes(history: RecentHistory, key: SeriesKey) -> dict[float, float | None]:
    """By the second since START."""
    column = all_of(history)[key]
    return {
        time - START: None if math.isnan(value) else value
        for time, value in zip(column.time, column.value, strict=True)
    }


def all_of(history: RecentHistory) -> dict[SeriesKey, SeriesColumns]:
    return {column.key: column for column in columns(history.minute_segments(), HEADLINE)}


def test_a_minute_is_the_mean_of_what_is_busy_and_the_highest_of_what_fills_up() -> None:
    history = history_of(*[(second, {CPU: second, MEMORY: 100 - second}) for second in range(0, 120, 10)])
    assert minutes(history, CPU) == {50: 25, 110: 85}
    assert minutes(history, MEMORY) == {50: 100, 110: 40}


def test_the_minute_that_goes_on_is_shown_as_far_as_it_is() -> None:
    history = history_of((0, {CPU: 10}), (60, {CPU: 20}), (65, {CPU: 40}))
    assert minutes(history, CPU)[65] == 30
    assert minutes(history, CPU)[65] == 30, "looking changes nothing"


def test_only_the_headline_of_a_host_is_kept() -> None:
    history = history_of((0, {CPU: 1, GPU0: 5, GPU1: 6, **dict.fromkeys(OTHERS, 9.0)}))
    assert set(all_of(history)) == {CPU, GPU0, GPU1}
    assert not MEAN & HIGHEST
    assert OF_A_GPU < HEADLINE


def test_a_value_that_is_missing_spoils_no_minute_and_none_at_all_is_a_gap() -> None:
    history = history_of(
        (0, {CPU: math.nan, MEMORY: 1}), (5, {CPU: 10, MEMORY: math.nan}), (60, {CPU: math.nan, MEMORY: 7}),
        (120, {CPU: 30, MEMORY: 8}),
    )  # fmt: skip
    assert list(minutes(history, CPU).values()) == [10, None, None, None, 30]
    assert [value for value in minutes(history, MEMORY).values() if value is not None] == [1, 7, 8]


def test_a_series_that_comes_or_goes_within_a_minute_counts_as_far_as_it_was_there() -> None:
    history = history_of((0, {GPU0: 10}), (5, {GPU0: 20, GPU1: 50}), (10, {GPU0: 30, GPU1: 70}))
    assert minutes(history, GPU0) == {10: 20}
    assert minutes(history, GPU1) == {10: 60}


def test_a_pause_of_the_host_is_a_gap() -> None:
    history = history_of((0, {CPU: 1}), (5, {CPU: 3}), (600, {CPU: 5}))
    assert minutes(history, CPU) == {5: 2, 12.5: None, 600: 5}


def test_a_change_elsewhere_in_the_post_starts_no_block_of_minutes() -> None:
    history = history_of(*[(60 * each, {CPU: 1, SeriesKey(f"m{each}", NO_DEVICE, ""): 1}) for each in range(30)])
    assert len({segment.layout for segment in history.minutes.segments()}) == 1


def test_the_minutes_go_on_when_everything_else_is_forgotten() -> None:
    history = history_of(*[(second, {CPU: 50}) for second in range(0, 30 * 3600, 60)], headline_s=6 * 3600)
    times = list(minutes(history, CPU))
    assert times[-1] - times[0] == pytest.approx(6 * 3600, abs=3600)


def test_the_last_minute_of_a_silent_host_is_not_lost() -> None:
    history = history_of((0, {CPU: 10}), (5, {CPU: 30}))
    history.forget(START + 600)
    history.share = 0.001
    history.recent.forget(START + 1e6, 0, 0)
    assert minutes(history, CPU) == {5: 20}
