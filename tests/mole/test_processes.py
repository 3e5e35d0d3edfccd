"""Whose a process is."""

from __future__ import annotations

import os
from pathlib import Path

from cluster_dash_mole.processes import Process, UserNames, parse_process, read_process
from mole.peers import ManualClock

TICKS = os.sysconf("SC_CLK_TCK")


def test_a_name_may_hold_blanks_and_brackets() -> None:
    stat = f"77 (a) b (c)) S 1 1 1 0 -1 4194560 0 0 0 0 7 {3 * TICKS} 0 0 20"
    assert parse_process("Name:\ta\nUid:\t1000\t0\t0\t0\n", stat) == Process(1000, "a) b (c)", 3.0)


def test_a_process_that_is_gone_is_none(tmp_path: Path) -> None:
    assert read_process(77, tmp_path) is None


def test_our_own_process_is_ours() -> None:
    process = read_process(os.getpid())
    assert process is not None
    assert process.uid == os.getuid()


def test_a_uid_without_a_name_is_shown_as_its_number() -> None:
    assert UserNames().name_of(3_000_000_001) == "3000000001"


def test_names_are_looked_up_again_only_after_ten_minutes() -> None:
    clock, asked = ManualClock(), list[int]()

    def look_up(uid: int) -> str:
        asked.append(uid)
        return f"user{len(asked)}"

    names = UserNames(clock, look_up)
    assert [names.name_of(5), names.name_of(5)] == ["user1", "user1"]
    clock.now += 601
    assert names.name_of(5) == "user2"
