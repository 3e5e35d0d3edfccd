"""A person with the viewing password in headless Chromium: signs in by keyboard, comes to the page that was asked for,
signs out; without scripts too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import posts
import pytest
from browser_page import watch
from playwright.sync_api import Browser, Page, expect
from processes import SERVE, Server, until

pytestmark = pytest.mark.browser

SCREENSHOTS = posts.ROOT / "tests" / "screenshots"
PASSWORD = "open sesame"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    environ = {"CLUSTER_DASH_ACCESS_VIEWING_PASSWORD": PASSWORD, "STATE_DIRECTORY": str(tmp_path)}
    with Server(tmp_path, environ, command=SERVE) as running:
        assert running.post(posts.host_post("gpu01")).ok
        yield running


def sign_in(page: Page, password: str = PASSWORD) -> None:
    """The field takes the focus by itself, which may come after the page."""
    expect(page.get_by_label("Viewing password")).to_be_focused()
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def test_a_person_signs_in_by_keyboard_looks_around_and_signs_out(browser: Browser, server: Server) -> None:
    with watch(browser, server) as watched:
        page = watched.open("/host/gpu01")
        expect(page).to_have_title("Sign in · cluster-dash")
        expect(page.get_by_label("Viewing password")).to_be_focused()
        expect(page.get_by_role("navigation")).to_have_count(0)
        sign_in(page)
        expect(page).to_have_url(server.url + "/host/gpu01")
        expect(page.get_by_role("heading", name="gpu01")).to_be_visible()
        server.post(posts.host_post("gpu02"))
        page.get_by_role("link", name="Fleet").click()
        expect(page.locator(".host", has_text="gpu02")).to_be_visible()
        server.post(posts.host_post("newcomer"))
        expect(page.locator(".host", has_text="newcomer")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_title("Sign in · cluster-dash")
        page.go_back()
        expect(page.get_by_text("gpu02")).to_have_count(0)


def test_a_tab_that_is_open_follows_who_signs_out_in_another(browser: Browser, server: Server) -> None:
    with watch(browser, server) as watched:
        page = watched.open("/")
        sign_in(page)
        expect(page.locator(".host", has_text="gpu01")).to_be_visible()
        other = page.context.new_page()
        other.goto(server.url + "/history")
        other.get_by_role("button", name="Sign out").click()
        expect(page).to_have_title("Sign in · cluster-dash")
        watched.complaints = [text for text in watched.complaints if "401" not in text]


def test_a_wrong_password_is_told_and_the_page_asked_for_is_not_forgotten(browser: Browser, server: Server) -> None:
    with watch(browser, server) as watched:
        page = watched.open("/history?x=1")
        sign_in(page, "wrong")
        expect(page.get_by_role("alert")).to_have_text("That is not the password.")
        sign_in(page)
        expect(page).to_have_url(server.url + "/history?x=1")
        watched.complaints = [text for text in watched.complaints if "403" not in text]


@pytest.mark.parametrize("path", ["/", "/cpu-data", "/gpu-data"])
def test_a_page_whose_cookie_is_gone_leads_to_sign_in_by_itself(browser: Browser, server: Server, path: str) -> None:
    with watch(browser, server) as watched:
        page = watched.open(path)
        sign_in(page)
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.context.clear_cookies()
        expect(page).to_have_title("Sign in · cluster-dash")
        sign_in(page)
        expect(page).to_have_url(server.url + path)
        watched.complaints = [text for text in watched.complaints if "401" not in text]


def test_it_works_without_scripts(browser: Browser, server: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.url + "/host/gpu01")
    page.get_by_label("Viewing password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="gpu01")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Viewing password")).to_be_visible()
    context.close()


def test_a_restart_signs_nobody_out_and_another_password_everybody(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    port = server.port
    server.end()
    for number, password in enumerate((PASSWORD, "another")):
        folder = tmp_path / str(number)
        folder.mkdir()
        environ = {"CLUSTER_DASH_ACCESS_VIEWING_PASSWORD": password, "STATE_DIRECTORY": str(tmp_path)}
        with Server(folder, environ, port, SERVE) as again:
            page.goto(again.url)
            expect(page).to_have_title(f"{'Fleet' if password == PASSWORD else 'Sign in'} · cluster-dash")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_screenshots_for_the_eye(browser: Browser, server: Server, scheme: Any, width: int) -> None:
    """Nothing is compared but the width: tests/screenshots/ is for a person to look at after a change."""
    SCREENSHOTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server.url)
    for name, password in (("sign-in", "wrong"), ("sign-in-wrong", PASSWORD), ("signed-in", "")):
        until(lambda: page.evaluate("document.readyState") == "complete")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        target = SCREENSHOTS / f"{name}-{scheme}-{width}.png"
        assert target.write_bytes(page.screenshot()) > 5_000
        if password:
            with page.expect_navigation():
                sign_in(page, password)
    context.close()
