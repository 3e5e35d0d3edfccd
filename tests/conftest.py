"""What all tests share: the application, a real server process, and the guard against leaks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient
from processes import Server

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """A thread, a socket or a process that a test leaves behind fails that test."""
    before = all_held()
    yield
    deadline = time.monotonic() + 2
    while (left := all_held() - before) and time.monotonic() < deadline:
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
    for name in [name for name in os.environ if name.startswith("CLUSTER_DASH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def app() -> Flask:
    """No passcode configured: the published one, from loopback."""
    return create_app(Config(), start=False)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def guarded_client() -> FlaskClient:
    """Of a server whose passcode is `secret-canary`."""
    return create_app(Config(access=Access(passcode="secret-canary")), start=False).test_client()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real waitress process."""
    with Server(tmp_path) as running:
        yield running
