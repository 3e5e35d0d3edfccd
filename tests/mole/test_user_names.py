"""Names of users, whatever their directory server does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from cluster_dash_mole.user_names import UserNames
from mole.peers import LONG_S, PROMPT_S, ManualClock, wait_until


class Directory:
    """A directory server that a test may let hang."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.asked: list[int] = []

    def look_up(self, uid: int) -> str:
        self.asked.append(uid)
        assert self.answers.wait(LONG_S)
        if uid == 404:
            raise KeyError(uid)
        if uid == 500:
            raise RuntimeError("the directory is broken")
        return f"user{len(self.asked)}"


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory()
    yield directory
    directory.answers.set()


def test_a_uid_without_a_name_is_shown_as_its_number() -> None:
    assert UserNames().name_of(3_000_000_001) == "3000000001"


def test_names_are_looked_up_again_only_after_ten_minutes(directory: Directory) -> None:
    clock = ManualClock()
    names = UserNames(clock, directory.look_up, patience_s=LONG_S)
    assert [names.name_of(5), names.name_of(5)] == ["user1", "user1"]
    clock.now += 601
    assert names.name_of(5) == "user2"


def test_a_uid_without_a_name_is_asked_again_after_a_minute(directory: Directory) -> None:
    clock = ManualClock()
    names = UserNames(clock, directory.look_up, patience_s=LONG_S)
    assert [names.name_of(404), names.name_of(404)] == ["404", "404"]
    clock.now += 61
    names.name_of(404)
    assert directory.asked == [404, 404]


def test_a_lookup_that_fails_costs_its_own_name_only(directory: Directory) -> None:
    names = UserNames(ManualClock(), directory.look_up, patience_s=LONG_S)
    assert [names.name_of(500), names.name_of(5)] == ["500", "user2"]


def test_a_directory_that_hangs_delays_nothing_and_the_name_comes_later(directory: Directory) -> None:
    directory.answers.clear()
    names = UserNames(ManualClock(), directory.look_up, patience_s=0.01)
    started = time.monotonic()
    assert [names.name_of(uid) for uid in (5, 6, 5, 7)] == ["5", "6", "5", "7"]
    assert time.monotonic() - started < PROMPT_S
    wait_until(lambda: directory.asked)
    assert directory.asked == [5], "a second lookup was started beside the one that hangs"
    directory.answers.set()
    wait_until(lambda: [names.name_of(uid) for uid in (5, 6, 7)] == ["user1", "user2", "user3"])


def test_an_old_name_stays_while_it_is_looked_up_again(directory: Directory) -> None:
    clock = ManualClock()
    names = UserNames(clock, directory.look_up, patience_s=LONG_S)
    names.name_of(5)
    directory.answers.clear()
    clock.now += 601
    names._patience_s = 0.01  # pyright: ignore[reportPrivateUsage]
    assert names.name_of(5) == "user1"


def test_after_a_slow_lookup_the_next_ones_are_not_waited_for(directory: Directory) -> None:
    others = set(threading.enumerate())
    directory.answers.clear()
    names = UserNames(ManualClock(), directory.look_up, patience_s=0.05)
    names.name_of(5)
    directory.answers.set()
    wait_until(lambda: names.name_of(5) == "user1")
    wait_until(lambda: set(threading.enumerate()) <= others)
    directory.answers.clear()
    names._patience_s = LONG_S  # pyright: ignore[reportPrivateUsage]
    started = time.monotonic()
    assert names.name_of(6) == "6"
    assert time.monotonic() - started < PROMPT_S
