"""What the mole itself takes."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from cluster_dash_mole.cost import Cost, Use, parse_use

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def stat(user: int, system: int, pages: int) -> str:
    return f"77 (a) b (c)) S 1 1 1 0 -1 4194560 0 0 0 0 {user} {system} 0 0 20 0 1 0 5000 99999 {pages} 18446744\n"


def test_a_name_may_hold_blanks_and_brackets() -> None:
    assert parse_use(stat(TICKS, 2 * TICKS, 3)) == Use(3.0, 3 * PAGE)
    assert parse_use("77 (a) S 1") is None


def test_child_processes_are_included_while_they_live(tmp_path: Path) -> None:
    for pid, text in (("self", stat(0, 0, 10)), ("5", stat(50 * TICKS, 50 * TICKS, 7))):
        Path(tmp_path, pid).mkdir()
        Path(tmp_path, pid, "stat").write_text(text)
    cost = Cost(lambda: [5, None, 6], tmp_path).read()
    assert cost["rss_bytes"] == 17 * PAGE
    assert cost["cpu_s"] == pytest.approx(100 + sum(os.times()[:4]), abs=1)


def test_our_own_memory_is_what_psutil_says() -> None:
    assert Cost(lambda: ()).read()["rss_bytes"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)
