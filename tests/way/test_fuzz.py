"""A short run of tests/fuzz.py; by hand it runs for as long as wanted."""

from __future__ import annotations

from pathlib import Path

import fuzz
import pytest


@pytest.mark.slow
def test_ten_seconds_of_mutated_posts_do_no_harm(tmp_path: Path) -> None:
    said: list[str] = []
    statuses = fuzz.run(10, seed=1, folder=tmp_path, tell=said.append)
    assert min(statuses[200], statuses[400]) > 5  # of a hundred a second
