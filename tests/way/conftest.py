"""A real server process for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real waitress process."""
    with Server(tmp_path) as running:
        yield running
