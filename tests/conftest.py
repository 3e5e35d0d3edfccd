"""What all tests share, the mole's under old Pythons too: the guard against leaks, and a clean environment."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from clock_standin import ClockStandin, compile_clock

SETTINGS = ("CLUSTER_DASH_", "CH_")
NO_STORE = {"CLUSTER_DASH_STORE_URL": "none"}
"""What a server costs with a store, only its own tests pay."""


def pytest_configure() -> None:
    """For servers that outlive a test; see `_clean_environment` for the others."""
    os.environ.update(NO_STORE)
    # A shell has what it runs in the background ignore Ctrl-C, and so would all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with tests that take long come first: none is left for the end, when others have nothing to do any more. By
    their own names, as those of a folder take the same: the processor, or only time.
    """
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: (item.path not in long, item.path.name, item.path))


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """A thread, a socket or a process that a test leaves behind fails that test."""
    before = all_held()
    yield
    deadline = time.monotonic() + 20
    while (left := all_held() - before) and time.monotonic() < deadline:
        gc.collect()  # a request that failed keeps its socket in a cycle
        time.sleep(0.02)
    assert not left, f"left behind: {left}"


def all_held() -> set[str]:
    threads = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    processes = {f"process {child.pid}" for child in psutil.Process().children()}
    return threads | processes | open_sockets()


def open_sockets() -> set[str]:
    """Of this process; a descriptor that closes while we look is none."""
    found: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """No setting of the person who runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith(SETTINGS) and name not in NO_STORE]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def clock(clock_library: Path, tmp_path: Path) -> ClockStandin:
    """The wall clock of the programs that this test starts with it; right at first."""
    return ClockStandin(clock_library, tmp_path)
