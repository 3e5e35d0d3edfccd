"""A page of headless Chromium, and what went wrong on it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request
from processes import LONG_S, Server


class Watched:
    """A page and what went wrong on it."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self._own = server.url
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._requested)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self._own, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def open(self, path: str) -> Page:
        self.page.goto(self._own + path)
        return self.page


@contextmanager
def watch(browser: Browser, server: Server, **options: Any) -> Generator[Watched]:
    """Fails on an error in the console and on a request that leaves the server. `options` are those of the context."""
    context = browser.new_context(**options)
    context.set_default_timeout(1000 * LONG_S)
    watched = Watched(context.new_page(), server)
    try:
        yield watched
    finally:
        context.close()
    assert watched.complaints == []
    assert watched.elsewhere == []
