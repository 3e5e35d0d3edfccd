"""Headless Chromium of the system, and a page that fails its test on any error of the browser's console."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import posts
import pytest
from browser_page import Watched, watch
from playwright.sync_api import Browser, expect, sync_playwright
from processes import LONG_S, Server

QUIET = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


expect.set_options(timeout=1000 * LONG_S)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "the browser tests need Chromium; `make test` says how to install it"
    arguments = [*QUIET, "--no-sandbox"] if os.geteuid() == 0 else QUIET
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real waitress process."""
    with Server(tmp_path) as running:
        yield running


@pytest.fixture
def watched(browser: Browser, server: Server) -> Iterator[Watched]:
    """A page over a server of this test's own."""
    with watch(browser, server) as page:
        yield page


@pytest.fixture(scope="module")
def filled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Six hosts with three posts each, for tests that only look."""
    with Server(tmp_path_factory.mktemp("filled")) as server:
        for _ in range(3):
            for index in range(6):
                server.post(posts.host_post(f"gpu{index}")).raise_for_status()
        yield server


@pytest.fixture
def looking(browser: Browser, filled_server: Server) -> Iterator[Watched]:
    """A page over the filled server."""
    with watch(browser, filled_server) as page:
        yield page
