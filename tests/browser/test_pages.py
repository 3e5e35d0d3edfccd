"""What a person sees: every page in headless Chromium over a real server, drawn, without an error in the console."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import posts
import pytest
from browser_page import Watched
from playwright.sync_api import Browser, Page, expect
from processes import Server, until

pytestmark = pytest.mark.browser

SCREENSHOTS = posts.ROOT / "tests" / "screenshots"
PLOTS = {
    "/cpu-data": 2,
    "/memory": 2,
    "/root_drive": 3,
    "/load-data-1": 2,
    "/history": 2,
    "/gpu-data": 1,
    "/host/gpu0": 7,
}
PAGES = ["/", *PLOTS, "/demo-plot", "/nowhere"]
HOSTILE = "<img src=x onerror=window.pwned=1><b>x</b>"


def fill(server: Server, hosts: int = 3, rounds: int = 3) -> None:
    for _ in range(rounds):
        for index in range(hosts):
            assert server.post(posts.host_post(f"gpu{index}")).ok


def count_drawn(page: Page) -> int:
    """Plots with at least one bar or line of data in them."""
    return page.evaluate("""[...document.querySelectorAll('.plot')].filter(
        (plot) => plot.querySelector('.cartesianlayer .point path, .cartesianlayer .js-line')).length""")


@pytest.mark.parametrize("path", PLOTS)
def test_every_figure_of_a_page_is_drawn(looking: Watched, path: str) -> None:
    page = looking.open(path)
    until(lambda: count_drawn(page) == PLOTS[path], message=f"not all figures of {path} were drawn")


def test_the_demo_plot_needs_no_host(watched: Watched) -> None:
    page = watched.open("/demo-plot")
    until(lambda: count_drawn(page) == 1)


def test_days_are_told_as_on_a_hosts_page(browser: Browser, server: Server) -> None:
    fill(server, hosts=1, rounds=1)
    context = browser.new_context(timezone_id="Europe/Berlin")
    page = context.new_page()
    page.goto(server.url + "/history")
    days = page.locator(".xtick text").filter(has_text=re.compile(r"\d\d:\d\d ?\d+ [A-Z][a-z]+$"))
    expect(days.first).to_be_visible()
    context.close()


def test_without_hosts_every_page_says_so(watched: Watched) -> None:
    expect(watched.open("/").get_by_text("No host has reported yet")).to_be_visible()
    for path in ("/cpu-data", "/gpu-data", "/history"):
        expect(watched.open(path).get_by_text("No data!")).to_be_visible()


def test_charts_grow_without_a_reload(watched: Watched, server: Server) -> None:
    fill(server, hosts=1, rounds=2)
    page = watched.open("/cpu-data")
    until(lambda: count_drawn(page) == 2)
    fill(server, hosts=4, rounds=1)
    until(lambda: page.evaluate("document.querySelector('.plot').data[0].y.length") == 4)


def test_hostile_names_are_text_on_every_page(watched: Watched, server: Server) -> None:
    users = {HOSTILE: {"1": {"mem": 30000.0, "time": 1, "name": HOSTILE, "command": HOSTILE}}}
    gpu = {HOSTILE: posts.gpu(0, name=HOSTILE, used_mib=30000, util=50, users=users)}
    disk = {HOSTILE: {"mount_point": HOSTILE, "percent_used": 50}}
    for _ in range(2):
        assert server.post(posts.host_post(HOSTILE, gpu=gpu, disk=disk, mole={"errors": {HOSTILE: HOSTILE}})).ok
    page = watched.open("/")
    page.get_by_role("link", name=re.compile("img src")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    for path in PLOTS:
        if not path.startswith("/host"):
            watched.open(path).wait_for_timeout(300)
        assert page.evaluate("window.pwned") is None
        assert page.locator(".plot b, .plot img, main img").count() == 0


def test_a_name_that_does_not_print_is_cleaned_in_a_chart_too(watched: Watched, server: Server) -> None:
    users = {f"a{sign}": {str(at): {"mem": 10000.0}} for at, sign in enumerate("\u202e\u200b")}
    gpu = {"x\u202e": posts.gpu(0, used_mib=30000, users=users), "y": posts.gpu(1, used_mib=1e15)}
    assert server.post(posts.host_post("gpu1", gpu=gpu)).ok
    page = watched.open("/gpu-data")
    until(lambda: count_drawn(page) == 1)
    drawn = page.evaluate("document.querySelector('#chart').data.map((trace) => [trace.name, trace.x])")
    (user, sizes), *_ = drawn
    assert (user, [round(size, 1) for size in sizes]) == ("a\ufffd 19.5 GiB", [19.5])
    expect(page.locator("#notes")).to_have_text("gpu1: GPU 1 error: it tells what can't be: 1e+15 MiB in use of 81920")


def test_the_keyboard_reaches_every_page(looking: Watched) -> None:
    page = looking.open("/cpu-data")
    seen: list[str] = []
    for _ in range(9):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent"))
    for name in ("Fleet", "GPUs", "CPU", "Memory", "Disk", "Load", "History"):
        assert name in seen


def test_a_phone_shows_the_fleet_without_scrolling_sideways(browser: Browser, server: Server) -> None:
    fill(server, hosts=2)
    server.post(posts.host_post("a-rather-long-hostname-of-a-machine-in-the-basement.cluster.example.org"))
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    for path in PAGES:
        page.goto(server.url + path)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.goto(server.url + "/cpu-data")
    expect(page.locator(".ytick text").first).to_have_text("a-rather-long…")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_screenshots_for_the_eye(browser: Browser, filled_server: Server, scheme: Any, width: int) -> None:
    """Nothing is compared: tests/screenshots/ is for a person to look at after a change."""
    SCREENSHOTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for path in PAGES:
        page.goto(filled_server.url + path)
        page.wait_for_timeout(300)
        name = Path(path.strip("/").replace("/", "-") or "fleet")
        target = SCREENSHOTS / f"{name}-{scheme}-{width}.png"
        assert target.write_bytes(page.screenshot(full_page=True)) > 5_000
    context.close()


def test_two_machines_of_one_name_are_shown_with_what_to_do(watched: Watched, server: Server) -> None:
    server.post(posts.host_post("gpu01"))
    other = posts.host_post("gpu01", gpu={"0_X": posts.gpu(0, uuid="GPU-of-another")})
    other["mole"] |= {"id": "of-another", "epoch": "boot.7"}
    assert server.post(other).status_code == 409
    page = watched.open("/host/gpu01")
    expect(page.get_by_role("heading", name="Two machines report as gpu01")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("of-another"[:8]))).to_contain_text("refused: another machine")
    expect(page.get_by_text("hostnamectl set-hostname NAME")).to_be_visible()
