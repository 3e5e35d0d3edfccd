"""A host's charts over a real server with a store: what a person reads there is what was posted."""

from __future__ import annotations

import csv
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from browser_page import Watched, watch
from playwright.sync_api import Browser, Locator, Page, Route, expect
from processes import SERVE, Server, until

pytestmark = pytest.mark.browser

AXE = posts.ROOT / "node_modules" / "axe-core" / "axe.min.js"
EVERY_S, LASTS_S = 10, 3 * 3600
GAP_S = (6000, 4800)
"""Before the end: from when to when nothing came."""
SPIKE_S = 9000
WAIT_MS = 30_000
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


def with_store(folder: Path) -> Server:
    return Server(folder, {"STATE_DIRECTORY": str(folder / "state"), "CLUSTER_DASH_STORE_URL": ""}, command=SERVE)


def post_of(at: float, busy: float = 50.0, host: str = "gpu01") -> posts.Post:
    gpu = {f"{index}_A100_{index:06}": posts.busy_gpu(index, "alice", util=busy + index) for index in range(2)}
    post = posts.host_post(host, gpu=gpu, timestamp=at, metrics={})
    post["mole"]["interval_s"] = EVERY_S
    return post


@pytest.fixture(scope="module")
def ended_at() -> float:
    return time.time() // 60 * 60


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, ended_at: float) -> Iterator[Server]:
    """Three hours of one host with two GPUs at 50 and 51 %, one reading at 90, and twenty minutes
    without any, at whose end its mole starts.
    """
    with with_store(tmp_path_factory.mktemp("charts")) as server:
        until(lambda: server.get("/api/metrics").ok, 30)
        times = [ended_at - ago for ago in range(LASTS_S, 0, -EVERY_S) if not GAP_S[1] < ago < GAP_S[0]]
        sent = [post_of(at, 90 if at == ended_at - SPIKE_S else 50) for at in times]
        for post in sent:
            post["mole"]["epoch"] = "boot.1" if post["timestamp"] < ended_at - GAP_S[0] + 1 else "boot.2"
        for first in range(0, len(sent), 100):
            batch = {"auth_code": posts.PASSCODE, "posts": [without_code(each) for each in sent[first : first + 100]]}
            requests.post(server.url + "/batch", json=batch, timeout=30).raise_for_status()
        # What came hours late is in the buckets of a long range once its minutes are rolled up.
        asked = f"/api/series?metric=sys.gpu.util_percent&device=0&from={times[0]}&to={ended_at}&points=200"
        until(lambda: any(90 in each["max"] for each in server.get(asked).json().get("series", ())), 60)
        yield server


def without_code(post: posts.Post) -> posts.Post:
    return {name: value for name, value in post.items() if name != "auth_code"}


@pytest.fixture
def looking(browser: Browser, filled: Server) -> Iterator[Watched]:
    with watch(browser, filled, **DESK) as watched:
        yield watched


def chart(page: Page, title: str) -> Locator:
    return page.locator("#charts figure").filter(has=page.get_by_label(f"Menu of {title}", exact=True))


def open_charts(watched: Watched, search: str) -> Page:
    page = watched.open(f"/host/gpu01{search}")
    page.locator("#charts").scroll_into_view_if_needed()
    shown(page)
    return page


def shown(page: Page) -> None:
    """The first chart is drawn, and nothing is on its way."""
    expect(chart(page, "GPU utilisation").locator("canvas")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#charts .loading")).to_have_count(0, timeout=WAIT_MS)


def place_of(page: Page, title: str, share: float) -> tuple[float, float]:
    """Within the plot itself, whose left edge is 0 and right edge 1."""
    over = chart(page, title).locator(".u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box
    return box["x"] + box["width"] * share, box["y"] + box["height"] / 2


def point(page: Page, title: str, share: float) -> None:
    page.mouse.move(*place_of(page, title, share))
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def drag(page: Page, title: str, start: float, end: float) -> None:
    point(page, title, start)
    page.mouse.down()
    page.mouse.move(*place_of(page, title, end), steps=4)
    page.mouse.up()


def values(page: Page, title: str) -> list[str]:
    return chart(page, title).locator(".legend button").all_inner_texts()


def test_a_long_range_shows_mean_and_band_and_none_of_its_spikes_is_lost(looking: Watched, ended_at: float) -> None:
    asked: list[str] = []
    looking.page.on("request", lambda request: asked.append(request.url) if "/api/series" in request.url else None)
    page = open_charts(looking, f"?from={ended_at - LASTS_S}&to={ended_at}")
    assert asked
    assert all(100 <= int(re.findall(r"points=(\d+)", each)[0]) <= 2000 for each in asked)
    bands: list[str] = []
    for step in range(-20, 21):  # the bucket with the spike is two or three pixels wide
        point(page, "GPU utilisation", 1 - SPIKE_S / LASTS_S + step * 0.0008)
        bands += values(page, "GPU utilisation")
    assert any(re.match(r"GPU 0\s+[5-8][\d.]* \(50–90\)", each) for each in bands), bands


def test_a_gap_says_why_it_is_there_and_cursors_go_together(looking: Watched, ended_at: float) -> None:
    page = open_charts(looking, f"?from={ended_at - LASTS_S}&to={ended_at}")
    point(page, "GPU utilisation", 1 - sum(GAP_S) / 2 / LASTS_S)
    expect(chart(page, "GPU utilisation").locator(".when")).to_contain_text(re.compile("the mole was off, (19|20) min"))
    expect(chart(page, "GPU memory used").locator(".when")).to_contain_text(re.compile("the mole was off, (19|20) min"))
    assert values(page, "GPU memory used") == ["GPU 0", "GPU 1"]
    point(page, "GPU memory used", 0.1)
    when = chart(page, "GPU memory used").locator(".when").inner_text()
    expect(chart(page, "GPU utilisation").locator(".when")).to_have_text(when)
    assert [each.split()[:3] for each in values(page, "GPU utilisation")] == [["GPU", "0", "50"], ["GPU", "1", "51"]]


def test_what_is_dragged_over_is_asked_for_in_full_and_back_leads_back(looking: Watched, ended_at: float) -> None:
    page = open_charts(looking, "?range=6h")
    with page.expect_response(re.compile(r"/api/series\?.*metric=sys.gpu.util_percent")) as asked:
        drag(page, "GPU utilisation", 0.94, 0.97)
    answer = asked.value.json()
    assert answer["bucket_s"] == 0
    times: list[float] = answer["series"][0]["time"]
    assert {later - sooner for sooner, later in itertools.pairwise(times)} == {EVERY_S}
    expect(page).to_have_url(re.compile(r"\?from=\d+&to=\d+$"))
    search = page.url.split("?")[1]
    shown(page)
    drag(page, "CPU", 0.2, 0.6)
    expect(page).not_to_have_url(re.compile(re.escape(search)))
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(re.escape(search)))
    page.reload()
    shown(page)
    expect(page).to_have_url(re.compile(re.escape(search)))
    expect(page.locator("#shown-span")).to_contain_text(" to ")
    page.get_by_role("button", name="Back").click()
    expect(page).to_have_url(re.compile(r"\?range=6h$"))
    expect(page.locator("#presets [aria-current]")).to_have_text("6 h")
    page.get_by_role("link", name="24 h").click()
    expect(page).to_have_url(re.compile(r"\?range=24h$"))
    page.go_back()
    expect(page.locator("#presets [aria-current]")).to_have_text("6 h")


def test_a_chart_is_saved_as_a_picture_and_as_a_table(looking: Watched, ended_at: float) -> None:
    page = open_charts(looking, f"?from={ended_at - 3600}&to={ended_at}")
    menu = page.get_by_label("Menu of GPU utilisation")
    menu.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    with page.expect_download() as picture:
        page.keyboard.press("Enter")
    assert picture.value.suggested_filename == "gpu01 GPU utilisation.png"
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")
    menu.click()
    with page.expect_download() as table:
        chart(page, "GPU utilisation").get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(table.value.path().read_text("utf-8").splitlines()))
    assert {(row["metric"], row["device"], row["value"]) for row in rows} == {
        ("sys.gpu.util_percent", "0", "50.0"),
        ("sys.gpu.util_percent", "1", "51.0"),
    }
    assert len(rows) == 2 * 3600 / EVERY_S


def test_a_line_is_hidden_by_its_name(looking: Watched, ended_at: float) -> None:
    page = open_charts(looking, f"?from={ended_at - 3600}&to={ended_at}")
    name = chart(page, "GPU utilisation").get_by_role("button", name="GPU 1")
    expect(name).to_have_attribute("aria-pressed", "true")
    name.click()
    expect(name).to_have_attribute("aria-pressed", "false")
    name.click(modifiers=["Shift"])
    expect(name).to_have_attribute("aria-pressed", "true")
    expect(chart(page, "GPU utilisation").get_by_role("button", name="GPU 0")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_an_empty_range_says_since_when_there_is_something(looking: Watched, ended_at: float) -> None:
    page = looking.open("/host/gpu01?from=1700000000&to=1700003600")
    expect(page.locator("#charts-state")).to_contain_text("No points in this range; the first is from", timeout=WAIT_MS)
    page.get_by_role("link", name="6 h", exact=True).click()
    shown(page)
    expect(page.locator("#charts-state")).to_contain_text(re.compile("^Its history begins on "))


def test_the_time_before_the_first_point_is_a_gap_that_says_so(looking: Watched) -> None:
    page = open_charts(looking, "?range=6h")
    held: list[Route] = []
    page.route("**/api/series*", lambda route: held.append(route))
    page.get_by_role("link", name="7 d", exact=True).click()
    until(lambda: page.evaluate("1") and held, message="nothing was asked")
    point(page, "CPU", 0.5)
    expect(chart(page, "CPU").locator(".when")).to_have_text(re.compile(r"^\d+ \w+, \d\d:\d\d:\d\d$"))  # it isn't known
    for route in held:
        route.continue_()
    page.unroute("**/api/series*")
    shown(page)
    point(page, "CPU", 0.51)
    expect(chart(page, "CPU").locator(".when")).to_contain_text(", no data before ")
    expect(page.locator("#charts-state")).to_contain_text("Its history begins on ")


def test_what_a_host_ever_sent_is_known_from_when_to_when(filled: Server, ended_at: float) -> None:
    asked = "/api/metrics?host=gpu01&metric=sys.cpu_percent&metric=sys.gpu.power_w"
    [cpu] = filled.get(asked).json()["metrics"]
    assert (cpu["name"], cpu["unit"], cpu["newest"]) == ("sys.cpu_percent", "%", ended_at - EVERY_S)
    assert 0 <= ended_at - LASTS_S - cpu["oldest"] < 3600
    assert "sys.gpu.util_percent" in {each["name"] for each in filled.get("/api/metrics?host=gpu01").json()["metrics"]}
    assert filled.get("/api/metrics?host=nobody").json() == {"metrics": []}


def test_what_the_host_never_sent_has_no_chart(looking: Watched) -> None:
    page = open_charts(looking, "?range=6h")
    titles = [each.split("\n")[0] for each in page.locator("#charts figure:visible figcaption > b").all_inner_texts()]
    sent = ["GPU utilisation %", "GPU memory used GiB", "CPU %", "Memory used GiB", "Load, 1 minute processes"]
    assert titles == [*sent, "Disks % used"]
    expect(page.locator("#charts-state")).not_to_contain_text("Nothing in this range")


def test_the_keys_move_the_cursor_choose_a_range_and_lead_back(looking: Watched, ended_at: float) -> None:
    page = open_charts(looking, f"?from={ended_at - 3600}&to={ended_at}")
    plot = chart(page, "CPU").get_by_role("slider")
    plot.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(plot).to_have_attribute("aria-valuenow", str(int(ended_at - 2 * EVERY_S)))
    expect(plot).to_have_attribute("aria-valuetext", re.compile(": busy 37.5"))
    assert values(page, "GPU utilisation") == ["GPU 0\n50", "GPU 1\n51"]
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"from={ended_at - 12 * EVERY_S:.0f}&to={ended_at - 2 * EVERY_S:.0f}"))
    shown(page)
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(f"from={ended_at - 95:.0f}"))
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(f"from={ended_at - 12 * EVERY_S:.0f}"))
    page.keyboard.press("-")
    expect(page).to_have_url(re.compile(f"from={ended_at - 170:.0f}"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_charts(browser: Browser, filled: Server, scheme: Any) -> None:
    with watch(browser, filled, color_scheme=scheme, **DESK) as watched:
        page = open_charts(watched, "?range=6h")
        page.get_by_label("Menu of GPU utilisation").click()
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate("axe.run({include: [['.ranges'], ['#charts']]}, {resultTypes: ['violations']})")
        assert [(each["id"], each["help"]) for each in found["violations"] if each["impact"] != "minor"] == []


def test_on_a_phone_a_finger_chooses_a_range_and_scrolls(browser: Browser, filled: Server) -> None:
    with watch(browser, filled, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as watched:
        page = open_charts(watched, "?range=6h")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        left, middle = place_of(page, "GPU utilisation", 0.6)
        swipe(page, (left, middle), (left, middle - 60))
        assert page.url.endswith("?range=6h")
        swipe(page, place_of(page, "GPU utilisation", 0.6), place_of(page, "GPU utilisation", 0.9))
        expect(page).to_have_url(re.compile(r"\?from=\d+&to=\d+$"))
        page.get_by_role("button", name="Back").click()
        expect(page).to_have_url(re.compile(r"\?range=6h$"))


def swipe(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """As fingers come from the system: the browser decides whether the page scrolls."""
    session: Any = page.context.new_cdp_session(page)
    for step in range(9):
        x, y = (a + (b - a) * step / 8 for a, b in zip(start, end, strict=True))
        kind = "touchMove" if step else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_paper_is_light_and_has_the_charts_below_the_screen_too(browser: Browser, filled: Server) -> None:
    with watch(browser, filled, color_scheme="dark", viewport={"width": 700, "height": 400}) as watched:
        page = watched.open("/host/gpu01?range=6h")
        chart(page, "GPU utilisation").scroll_into_view_if_needed()
        shown(page)
        expect(chart(page, "Disks").locator("canvas")).to_have_count(0)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(chart(page, "Disks").locator("canvas")).to_have_count(1, timeout=WAIT_MS)
        paper = "getComputedStyle(document.documentElement).getPropertyValue('--card')"
        assert page.evaluate(paper) == "#fff"
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(paper) != "#fff"


def test_a_store_that_is_away_is_told_and_asked_again(browser: Browser, filled: Server) -> None:
    page = browser.new_page()
    told = {"success": False, "msg": "the store is away"}
    page.route("**/api/series*", lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json=told))
    page.goto(filled.url + "/host/gpu01?range=6h")
    expect(page.locator("#charts-state")).to_contain_text("the store is away. Asked again in 1 s")
    page.unroute("**/api/series*")
    shown(page)
    expect(page.locator("#charts-state")).not_to_contain_text("away")
    page.close()


def test_new_points_appear_by_themselves_and_stay_over_a_restart(browser: Browser, tmp_path: Path) -> None:
    with with_store(tmp_path) as server:
        until(lambda: server.get("/api/metrics").ok, 30)
        for ago in (180, 120, 60):  # the page may take a minute on a busy machine before that is a gap
            server.post(post_of(time.time() - ago)).raise_for_status()
        with watch(browser, server, **DESK) as watched:
            page = open_charts(watched, "?range=15m")
            expect(chart(page, "GPU utilisation").locator(".legend button").first).to_have_text("GPU 050")
            server.post(post_of(time.time() - 1, busy=77)).raise_for_status()
            first = chart(page, "GPU utilisation").locator(".legend button").first
            expect(first).to_have_text("GPU 077", timeout=WAIT_MS)
        server.end()
        server.port = 0
        server.start()
        until(lambda: server.get("/api/metrics").ok, 30)
        with watch(browser, server, **DESK) as watched:
            page = open_charts(watched, "?range=15m")
            point(page, "GPU utilisation", 0.999)
            assert values(page, "GPU utilisation")
