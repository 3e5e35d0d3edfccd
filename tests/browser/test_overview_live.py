"""The overview while things change: posts come, hosts fall silent, the server goes away; many hosts; hostile names."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from browser_page import Watched, watch
from lab import ClockedServer
from playwright.sync_api import Browser, Page, Route, expect
from processes import until

pytestmark = pytest.mark.browser

SCREENSHOTS = posts.ROOT / "tests" / "screenshots"
VIEW: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
SHORTEST_RETRY_S = 1.7
"""Of one stream."""
HOSTILE = [
    "<img src=x onerror=window.pwned=1>",
    "\"'><script>window.pwned=1</script>",
    "x" * 256,
    "emoji-🚀-ホスト",
    "a/b?c#d%2e",
]


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[ClockedServer]:
    with ClockedServer(tmp_path) as server:
        yield server


@pytest.fixture
def watched(browser: Browser, clocked: ClockedServer) -> Iterator[Watched]:
    with watch(browser, clocked, **VIEW) as page:
        yield page


def post(server: ClockedServer, *names: str, **sections: Any) -> None:
    for name in names:
        server.post(posts.host_post(name, **sections)).raise_for_status()


def hide(page: Page, hidden: bool) -> None:
    """As a browser does with a tab that is not looked at."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_the_first_host_appears_by_itself(watched: Watched, clocked: ClockedServer) -> None:
    page = watched.open("/")
    expect(page.get_by_role("heading", name="No host has reported yet")).to_be_visible()
    expect(page.locator("#no-host")).to_contain_text(f"-X POST {clocked.url}/")
    post(clocked, "gpu01")
    expect(page.get_by_role("link", name="gpu01")).to_be_visible()
    expect(page.locator("#no-host")).to_be_hidden()


def test_a_free_instance_of_mig_is_where_one_can_run(watched: Watched, clocked: ClockedServer) -> None:
    sizes: dict[str, Any] = {"total_mem": 9728.0, "used_mem": 12.0, "pids": []}
    instance = {"name": "NVIDIA A100-SXM4-80GB MIG 1g.10gb", "uuid": "MIG-of-mine", **sizes}
    post(clocked, "split", gpu={"0": posts.gpu(0, name="NVIDIA A100-SXM4-80GB", gpu_util=None, mig=[instance])})
    page = watched.open("/")
    expect(page.locator("#where-answer")).to_contain_text("split: MIG 1g.10gb of GPU 0, A100-SXM4-80GB")
    expect(page.locator("#where-line")).to_have_text("ssh split\nexport CUDA_VISIBLE_DEVICES=MIG-of-mine")
    page.locator("#where-gpus").select_option("2")
    expect(page.locator("#where-answer")).to_contain_text("No host has 2 such GPUs free")


def test_a_post_changes_its_own_row_and_keeps_its_elements(watched: Watched, clocked: ClockedServer) -> None:
    post(clocked, "gpu01", "gpu02")
    page = watched.open("/")
    tile = page.locator(".tile").nth(1)
    expect(tile).to_have_text("free")
    page.evaluate("document.querySelectorAll('.host, .tile').forEach((each) => { each.kept = true; })")
    taken = posts.host_post("gpu01")
    entry = next(entry for entry in taken["gpu"].values() if entry["index"] == 1)
    entry |= posts.busy_gpu(1, "newcomer", util=77)
    clocked.post(taken).raise_for_status()
    expect(tile).to_have_text(re.compile("newcomer.*77 %"))
    assert page.evaluate("[...document.querySelectorAll('.host, .tile')].every((each) => each.kept)")
    expect(page.locator("#users-body")).to_contain_text("newcomer")


def test_a_host_that_falls_silent_turns_stale_then_offline_then_comes_back(
    watched: Watched, clocked: ClockedServer
) -> None:
    post(clocked, "gpu01", "gpu02")
    page = watched.open("/")
    row = page.locator(".host").first
    expect(row).to_have_class(re.compile(r"\bup\b"))
    for seconds, state in ((20, "stale"), (700, "offline")):
        clocked.pass_time(seconds)
        post(clocked, "gpu02")
        expect(row).to_have_class(re.compile(rf"\b{state}\b"))
        expect(row.locator(".is")).to_have_text(state)
        expect(row.locator(".tile.off")).to_have_count(8)
    expect(page.locator("#hosts-up")).to_contain_text("1 of 2")
    expect(page.locator("#gpus-free b")).to_have_text("4")
    post(clocked, "gpu01")
    expect(row.locator(".tile.busy")).to_have_count(4)


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"index": 0, "name": "X", "state": "lost", "error": "fell off the bus"}, "lost"),
        ({"index": 0, "name": "X", "state": "hung", "error": "no answer"}, "hung"),
        ({**posts.gpu(0), "state": "error", "error": "power: unknown error"}, "error"),
        ({**posts.gpu(0), "gpu_util": None}, "unknown"),
        ({**posts.gpu(0), "used_mem": None, "gpu_util": None}, "unknown"),
    ],
)
def test_what_a_gpu_lacks_is_never_drawn_as_0(
    watched: Watched, clocked: ClockedServer, entry: dict[str, Any], kind: str
) -> None:
    post(clocked, "gpu01", gpu={"0_X": entry}, metrics={}, cpu={}, memory={}, disk={})
    page = watched.open("/")
    tile = page.locator(".tile")
    expect(tile).to_have_class(re.compile(rf"\b{kind}\b"))
    if kind != "error":
        assert not re.search(r"\d", tile.inner_text())
    for place in (".cpu", ".mem", ".disk"):
        expect(page.locator(f".host {place}")).to_have_text("–")
    page.get_by_role("button", name="power", exact=True).click()
    until(lambda: "look=power" in page.url)
    page.wait_for_timeout(100)
    assert not re.search(r"\d", tile.inner_text())
    tile.hover()
    expect(page.get_by_role("tooltip").locator(".said")).not_to_be_empty()


def test_two_machines_of_one_name_are_told(watched: Watched, clocked: ClockedServer) -> None:
    post(clocked, "gpu01")
    other = posts.host_post("gpu01", gpu={"0_X": posts.gpu(0, uuid="GPU-of-another")})
    other["mole"] |= {"id": "of-another", "epoch": "boot.7"}
    assert clocked.post(other).status_code == 409
    page = watched.open("/")
    expect(page.locator(".notes.bad")).to_contain_text("two machines report under this name")
    page.locator(".notes").focus()
    page.locator(".notes").click()
    expect(page.get_by_role("tooltip")).to_contain_text("Give one of them another name")


def test_a_server_that_goes_away_is_told_and_comes_back_by_itself(watched: Watched, clocked: ClockedServer) -> None:
    post(clocked, "gpu01")
    page = watched.open("/")
    words = page.locator("#freshness-words")
    expect(words).to_have_text(re.compile(r"^live · newest \d+ s old$"))
    port = clocked.port
    clocked.end()
    expect(words).to_have_text("reconnecting…")
    expect(page.locator("#not-live")).to_contain_text("what is shown are the last values")
    expect(words).to_have_text(re.compile(r"^server away since \d+:\d+"))
    age = page.locator(".ago").inner_text()
    until(lambda: page.locator(".ago").inner_text() != age, message="the age stands still")
    expect(page.locator(".host")).to_have_count(1)
    with ClockedServer(clocked.folder, port=port) as again:
        post(again, "returned")
        expect(page.get_by_role("link", name="returned")).to_be_visible()
        expect(words).to_have_text(re.compile("^live"))
        expect(page.locator("#not-live")).to_be_hidden()
        expect(page.locator(".host")).to_have_count(1)


def rests(server: ClockedServer) -> bool:
    """Whether nobody asks for longer than the longest pause of the stream."""
    before = len(server.streams)
    time.sleep(3)
    return len(server.streams) == before


def test_tabs_share_one_stream_that_rests_while_nobody_looks(watched: Watched, clocked: ClockedServer) -> None:
    post(clocked, "gpu01")
    first = watched.open("/")
    expect(first.locator(".host")).to_have_count(1)
    second = first.context.new_page()
    second.goto(clocked.url)
    expect(second.locator(".host")).to_have_count(1)
    before, began = len(clocked.streams), time.monotonic()
    until(lambda: len(clocked.streams) >= before + 4)
    assert time.monotonic() - began > 3 * SHORTEST_RETRY_S - 0.1
    post(clocked, "gpu02")
    for page in (first, second):
        expect(page.locator(".host")).to_have_count(2)
        hide(page, True)
    until(lambda: rests(clocked))
    post(clocked, "gpu03")
    assert rests(clocked)
    expect(first.locator(".host")).to_have_count(2)
    hide(first, False)
    expect(first.locator(".host")).to_have_count(3)
    assert all("hold=0" in query for query in clocked.streams)


def test_hostile_names_are_text_cut_short_and_whole_in_the_card(watched: Watched, clocked: ClockedServer) -> None:
    for name in HOSTILE:
        user = f"{name[:200]}\u202e"  # no host is taken under such a name, a user is
        users = {user: {"1": {"mem": 30000.0, "time": 1, "name": name, "command": name}}}
        gpu = {name: posts.gpu(0, name=name, uuid=name, used_mib=30000, util=50, users=users)}
        disk = {name: {"mount_point": name, "percent_used": 50}}
        post(clocked, name, gpu=gpu, disk=disk)
    page = watched.open("/")
    expect(page.locator(".host")).to_have_count(len(HOSTILE))
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    long = page.locator(".host").filter(has_text="x" * 256)
    assert long.locator("a").evaluate("(link) => link.scrollWidth > link.clientWidth")
    long.locator(".name").hover()
    expect(page.get_by_role("tooltip")).to_contain_text("x" * 256)
    card = page.get_by_role("tooltip").bounding_box()
    assert card
    assert card["x"] + card["width"] <= 1440
    for user in page.locator("#users-body button").all():
        user.click()
        expect(page.locator(".host")).to_have_count(1)
        user.click()
        expect(page.locator(".host")).to_have_count(len(HOSTILE))
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img, main script").count() == 0
    assert "\u202e" not in page.content()
    page.get_by_role("link", name=HOSTILE[0]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE[0])


def test_a_large_fleet_comes_in_portions_and_the_page_says_while_it_is_not_whole(
    watched: Watched, clocked: ClockedServer
) -> None:
    names = [f"gpu{number:03}" for number in range(450)]
    for first in range(0, len(names), 50):
        documents = [posts.host_post(name) for name in names[first : first + 50]]
        for document in documents:
            del document["auth_code"]
        body = {"auth_code": posts.PASSCODE, "posts": documents}
        requests.post(f"{clocked.url}/batch", json=body, timeout=30).raise_for_status()
    page = watched.page
    page.add_init_script("delete window.SharedWorker")  # whose requests can't be held up here
    held: list[Route] = []
    page.route(re.compile("since="), lambda route: route.continue_() if held else held.append(route))
    watched.open("/")
    expect(page.locator("#hosts-up small")).to_have_text("of 200")
    expect(page.locator("#reading")).to_have_text("Reading 200 of 450 hosts: the sums aren't whole yet.")
    SCREENSHOTS.mkdir(exist_ok=True)
    (SCREENSHOTS / "overview-reading.png").write_bytes(page.screenshot())
    until(lambda: held)
    held[0].continue_()
    expect(page.locator("#hosts-up small")).to_have_text("of 450")
    expect(page.locator("#reading")).to_be_hidden()
    assert page.locator(".reading").count() == 0


def test_of_many_hosts_only_those_in_view_are_drawn(watched: Watched, clocked: ClockedServer) -> None:
    post(clocked, *(f"gpu{number:03}" for number in range(300)))
    page = watched.open("/")
    expect(page.locator(".host").first).to_be_visible()
    assert page.locator(".host").count() < 60
    table = page.get_by_role("table", name="Hosts")
    expect(table).to_have_attribute("aria-rowcount", "301")

    def is_at_the_end() -> bool:
        """Heights of what comes into view are learned on the way."""
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(100)
        return page.locator(".host").last.get_attribute("aria-rowindex") == "301"

    until(is_at_the_end)
    expect(page.get_by_role("link", name="gpu299")).to_be_in_viewport()
    assert page.locator(".host").count() < 60
    bottoms = page.locator(".host").evaluate_all(
        "(rows) => rows.map((row) => [row.offsetHeight, row.getBoundingClientRect().top])"
    )
    gaps = [after[1] - before[1] - before[0] for before, after in pairwise(bottoms)]
    assert all(abs(gap) < 1 for gap in gaps), gaps
    page.evaluate("scrollTo(0, 0)")
    page.locator(".tile").first.focus()
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    focused = page.locator(".host").filter(has=page.locator(".tile:focus"))
    expect(focused).to_contain_text("gpu040")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_timeout(200)
    expect(focused).to_contain_text("gpu040")


def test_an_error_of_the_stream_is_survived(browser: Browser, clocked: ClockedServer) -> None:
    """As behind a proxy that answers 502 for a moment: EventSource gives up for good on it."""
    post(clocked, "gpu01")
    with watch(browser, clocked, **VIEW) as watched:
        page = watched.page
        page.add_init_script("delete globalThis.SharedWorker")
        failing = [True, True, True]
        page.route(
            re.compile(r"/stream\?"),
            lambda route: route.fulfill(status=502) if failing and failing.pop() else route.continue_(),
        )
        watched.open("/")
        expect(page.locator(".host")).to_have_count(1)
        assert not failing
        watched.complaints = [text for text in watched.complaints if "502" not in text]
