"""The overview over the demo's simulated lab: what it shows is what the simulator did, and what a person does works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browser_page import Watched, watch
from lab import SETTINGS, ClockedServer, Lab
from playwright.sync_api import Browser, Locator, Page, expect
from processes import ROOT, until

from cluster_dash_mole.simulate import scenario, truth

pytestmark = pytest.mark.browser

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
DRAWN_AS = {
    truth.FREE: "free",
    truth.IN_USE: "busy",
    truth.SPINNING: "busy",
    truth.MIG: "busy",
    truth.LOST: "lost",
    truth.HUNG: "hung",
}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """For tests that only look."""
    with ClockedServer(tmp_path_factory.mktemp("lab"), SETTINGS) as server:
        yield Lab(server)


@pytest.fixture
def looking(browser: Browser, lab: Lab) -> Iterator[Watched]:
    with watch(browser, lab.server, viewport={"width": 1440, "height": 900}) as page:
        yield page


def open_overview(watched: Watched, path: str = "/") -> Page:
    page = watched.open(path)
    expect(page.locator("#overview")).to_be_visible()
    return page


def row_of(page: Page, name: str) -> Locator:
    return page.locator(".host").filter(has=page.get_by_role("link", name=name, exact=True))


def names_of(page: Page) -> list[str]:
    """As they stand, groups in brackets."""
    return page.evaluate("""[...document.querySelectorAll("#rows > *")].map((row) =>
        row.matches(".group") ? `[${row.querySelector("b").textContent}]` : row.querySelector("a").textContent)""")


def names_become(page: Page, *names: str) -> None:
    until(lambda: names_of(page) == list(names), message=f"not {names}")


def kinds_of(row: Locator) -> list[str]:
    """What each GPU of a row is drawn as."""
    return [
        str(name).split()[1] for name in row.locator(".tile").evaluate_all("(tiles) => tiles.map((t) => t.className)")
    ]


# What is drawn


def test_every_gpu_is_drawn_as_what_it_is(looking: Watched, lab: Lab) -> None:
    page = open_overview(looking)
    for name, host in lab.truths.items():
        expected: list[str] = []
        for index, gpu in enumerate(host.gpus):
            is_long_idle = set(lab.states(name, index)) == {truth.HELD_IDLE}
            drawn = DRAWN_AS.get(gpu.state) or ("idle" if is_long_idle else "busy")
            expected.append("off" if scenario.DOWN in host.conditions else drawn)
        assert kinds_of(row_of(page, name)) == expected, name


def test_a_tile_shows_user_utilisation_and_memory(looking: Watched, lab: Lab) -> None:
    page = open_overview(looking)
    for name, host in lab.truths.items():
        for gpu, tile in zip(host.gpus, row_of(page, name).locator(".tile").all(), strict=True):
            if gpu.state not in (truth.IN_USE, truth.SPINNING) or scenario.DOWN in host.conditions:
                continue
            assert gpu.util_percent is not None
            assert gpu.used_mib is not None
            assert gpu.total_mib is not None
            expect(tile).to_contain_text(gpu.users[0])
            expect(tile).to_contain_text(f"{gpu.util_percent:.0f} %")
            held = tile.locator(".held").evaluate("(bar) => parseFloat(bar.style.getPropertyValue('--share'))")
            assert held == pytest.approx(gpu.used_mib / gpu.total_mib * 100, abs=0.5)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (scenario.CLOCK_WRONG, "its clock is 1 h 30 min ahead"),
        (scenario.NFS_DEAD, "/home doesn't answer"),
        (scenario.DISK_FULL, "98 % full"),
        (scenario.DRIVER_HUNG, "GPUs hung"),
        (scenario.REBOOT_PENDING, "reboot pending"),
        (scenario.SEED_FORMAT, "the original's few values"),
        (scenario.NO_GPU, "no GPU"),
        (scenario.DOWN, "offline"),
    ],
)
def test_every_condition_of_a_host_is_told(looking: Watched, lab: Lab, condition: str, words: str) -> None:
    page = open_overview(looking)
    expect(row_of(page, lab.with_condition(condition))).to_contain_text(words)


def test_a_host_that_stopped_is_there_with_its_last_values_crossed_out(looking: Watched, lab: Lab) -> None:
    row = row_of(open_overview(looking), lab.with_condition(scenario.DOWN))
    expect(row.locator(".ago")).to_have_text(re.compile(r"^1\d min$"))
    decoration = "(node) => getComputedStyle(node).textDecorationLine"
    assert row.locator(".tile .who").first.evaluate(decoration) == "line-through"
    assert row.locator(".cpu b").evaluate(decoration) == "line-through"


def test_an_expected_host_that_never_reported_shows_no_number(looking: Watched) -> None:
    row = row_of(open_overview(looking), scenario.NEVER_SEEN)
    expect(row.locator(".age")).to_have_text("silent")
    assert not re.search(r"\d", row.inner_text().replace(scenario.NEVER_SEEN, ""))


def test_the_totals_are_the_sums_of_what_is_drawn(looking: Watched, lab: Lab) -> None:
    page = open_overview(looking)
    kinds = [kind for row in page.locator(".host").all() for kind in kinds_of(row)]
    for place, kind in (("#gpus-free", "free"), ("#gpus-busy", "busy"), ("#gpus-idle", "idle")):
        expect(page.locator(f"{place} b")).to_have_text(str(kinds.count(kind)))
    expect(page.locator("#hosts-up")).to_contain_text("23 of 25")
    watts = sum(
        gpu.power_w or 0 for host in lab.truths.values() if scenario.DOWN not in host.conditions for gpu in host.gpus
    )
    assert float(page.locator("#power b").inner_text()) == pytest.approx(watts / 1000, abs=0.1)


def test_every_state_has_a_look_of_its_own_without_its_colour(looking: Watched) -> None:
    page = open_overview(looking)
    looks: dict[str, tuple[str, ...]] = {}
    for kind in ("free", "busy", "idle", "lost", "hung", "off"):
        tile = page.locator(f".tile.{kind}").first
        border = tile.evaluate(
            "(node) => getComputedStyle(node).borderTopStyle + getComputedStyle(node).backgroundImage"
        )
        words = re.sub(r"\d+", "N", tile.inner_text())
        looks[kind] = (border, words if kind not in ("busy", "off") else "")
    assert len(set(looks.values())) == len(looks), looks


def test_the_second_look_shows_power_and_temperature(looking: Watched, lab: Lab) -> None:
    page = open_overview(looking)
    page.get_by_role("button", name="power", exact=True).click()
    until(lambda: "look=power" in page.url)
    gpu = lab.truths["h100-01"].gpus[0]
    tile = row_of(page, "h100-01").locator(".tile").first
    expect(tile).to_contain_text(f"{gpu.power_w:.0f} W")
    expect(tile).to_contain_text(f"{gpu.temperature_c} °C")
    expect(page.locator(".tile.strained").first).to_contain_text("▼")
    colours = "(tiles) => tiles.map((t) => getComputedStyle(t).borderTopColor + getComputedStyle(t.children[1]).color)"
    idle = page.locator(".tile.idle:not(.strained)").evaluate_all(colours)
    assert set(idle) <= set(page.locator(".tile.busy:not(.strained)").evaluate_all(colours))
    assert idle
    expect(row_of(page, "h100-02").locator(".tile.lost")).to_have_text("✕ lost")


def test_who_uses_what_adds_up(looking: Watched, lab: Lab) -> None:
    page = open_overview(looking)
    held: dict[str, int] = {}
    for host in lab.truths.values():
        for gpu in host.gpus if scenario.DOWN not in host.conditions else ():
            for user in gpu.users if gpu.state not in (truth.LOST, truth.HUNG) else ():
                held[user] = held.get(user, 0) + 1
    page.locator("#users-more").click()
    shown = {
        row.locator("th").inner_text(): int(row.locator("td").first.inner_text())
        for row in page.locator("#users-body tr").all()
    }
    assert shown == held


def test_the_users_table_tells_what_is_held_idle_and_sorts(looking: Watched, lab: Lab) -> None:
    page = open_overview(looking)
    told = {user["user"]: user for user in lab.server.get("/api/hosts").json()["users"]}
    page.locator("#users-more").click()

    def column(place: int) -> list[str]:
        return page.locator(f"#users-body tr > :nth-child({place})").all_inner_texts()

    assert dict(zip(column(1), column(3), strict=True)) == {name: str(user["idle"]) for name, user in told.items()}
    assert any(user["idle"] for user in told.values())
    page.get_by_role("button", name="idle", exact=True).and_(page.locator("[data-users]")).click()
    until(lambda: column(3) == sorted(column(3), key=int, reverse=True))
    expect(page.get_by_role("columnheader", name="idle")).to_have_attribute("aria-sort", "descending")
    page.locator("[data-users=name]").focus()
    page.keyboard.press("Enter")
    until(lambda: column(1) == sorted(told))
    page.keyboard.press("Enter")
    until(lambda: column(1) == sorted(told, reverse=True))
    assert page.url.endswith("?users=name&users_dir=desc")
    page.go_back()
    until(lambda: column(1) == sorted(told))


def test_where_can_i_run_names_free_gpus_of_one_host(looking: Watched, lab: Lab) -> None:
    page = open_overview(looking)
    page.locator("#where-gpus").select_option("4")
    line = page.locator("#where-line").inner_text()
    found = re.fullmatch(r"ssh (\S+)\nexport CUDA_VISIBLE_DEVICES=(\S+)", line)
    assert found, line
    gpus = {gpu.id: gpu for gpu in lab.truths[found[1]].gpus}
    assert len(found[2].split(",")) == 4
    free = [gpu for gpu in gpus.values() if gpu.state == truth.FREE]
    assert len(free) >= 4
    page.locator("#where-mem").select_option("75")
    page.locator("#where-gpus").select_option("8")
    expect(page.locator("#where-answer")).to_contain_text("No host has 8 such GPUs free now")


@pytest.mark.parametrize(("gpus", "mem"), [("1", "0"), ("1", "10"), ("1", "75"), ("2", "0"), ("4", "40")])
def test_where_can_i_run_answers_as_the_server_does_in_a_terminal(
    looking: Watched, lab: Lab, gpus: str, mem: str
) -> None:
    page = open_overview(looking)
    page.locator("#where-gpus").select_option(gpus)
    page.locator("#where-mem").select_option(mem)
    offers = lab.server.get(f"/api/free?gpus={gpus}&mem={mem}", "application/json").json()["hosts"]
    best = offers[0]
    alike = [  # within a second: a row tells no less
        (f"ssh {each['host']}", each["cuda_visible_devices"])
        for each in offers
        if each["left"] == best["left"] and abs(each["free_for_s"] - best["free_for_s"]) <= 1
    ]
    assert tuple(page.locator("#where-line").inner_text().split("\nexport CUDA_VISIBLE_DEVICES=")) in alike


# What a person does


def test_words_in_the_box_filter_hosts_and_pick_gpus(looking: Watched) -> None:
    page = open_overview(looking)
    page.keyboard.press("/")
    expect(page.locator("#filter")).to_be_focused()
    page.keyboard.type("h100 lost")
    names_become(page, "h100-02")
    expect(page.locator("#shown")).to_have_text("1 of 25 hosts, 1 GPU")
    expect(page.locator(".tile.meant")).to_have_count(1)
    expect(page.locator(".tile.dimmed")).to_have_count(7)
    assert "q=h100+lost" in page.url
    page.keyboard.press("Escape")
    expect(page.locator(".host")).to_have_count(25)
    assert page.url.endswith("/")
    page.locator("#filter").fill("nothing-of-that-name")
    expect(page.get_by_text("No host matches")).to_be_visible()
    page.get_by_role("button", name="Show all hosts").click()
    expect(page.locator(".host")).to_have_count(25)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("problems -offline h100", ["h100-02", "h100-04", "h100-05"]),
        ("silent", ["h100-05"]),
        ("tag:teaching", ["v100-01", "v100-02"]),
        ("mig", ["a100-01"]),
        ("hung", ["h100-04"]),
        ("disk>95", ["gpu-a11"]),
        ("gpus<1 up", ["login-1"]),
        ("up note:clock", ["v100-01"]),
    ],
)
def test_the_filters_words(looking: Watched, query: str, names: list[str]) -> None:
    page = looking.open("/?q=" + query.replace(" ", "+").replace(">", "%3E").replace("<", "%3C"))
    names_become(page, *names)


def test_a_click_on_a_user_filters_for_them_and_again_no_more(looking: Watched) -> None:
    page = open_overview(looking)
    user = page.locator("#users-body button").first
    name = user.inner_text()
    user.click()
    expect(user).to_have_attribute("aria-pressed", "true")
    until(lambda: page.locator(".tile.meant").count() > 0)
    assert all(name in text for text in page.locator(".tile.meant").evaluate_all("(t) => t.map((e) => e.ariaLabel)"))
    user.click()
    expect(page.locator(".tile.meant")).to_have_count(0)


def test_mine_asks_once_for_the_name_and_keeps_it(looking: Watched, lab: Lab) -> None:
    page = open_overview(looking)
    me, somebody = (user["user"] for user in lab.server.get("/api/hosts").json()["users"][:2])
    mine, box = page.get_by_role("button", name="mine", exact=True), page.get_by_label("Your user name")
    expect(box).to_be_hidden()
    mine.focus()
    page.keyboard.press("Enter")
    expect(box).to_be_focused()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(mine).to_be_focused()
    expect(mine).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Enter")
    page.keyboard.type(me)
    page.keyboard.press("Enter")
    expect(mine).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#filter")).to_have_value(f"user:{me}")
    assert page.url.endswith(f"?q=user%3A{me}")
    until(lambda: page.locator(".tile.meant").count() > 0)
    open_overview(looking)
    expect(mine).to_have_attribute("aria-pressed", "false")
    mine.click()
    expect(page.locator("#filter")).to_have_value(f"user:{me}")
    page.get_by_role("button", name=f"not {me}?").click()
    box.fill(somebody)
    box.press("Enter")
    expect(page.locator("#filter")).to_have_value(f"user:{somebody}")
    mine.click()
    expect(page.locator("#filter")).to_have_value("")


def test_a_chip_filters(looking: Watched) -> None:
    page = open_overview(looking)
    page.get_by_role("button", name=re.compile("^problems")).click()
    until(lambda: 0 < page.locator(".host").count() < 25)
    expect(page.locator("#problems b")).to_have_text(str(page.locator(".host").count()))
    page.get_by_role("button", name="all", exact=True).click()
    expect(page.locator(".host")).to_have_count(25)


def test_a_head_sorts_by_mouse_and_by_keyboard(looking: Watched) -> None:
    page = open_overview(looking)
    page.get_by_role("button", name="fullest disk").click()
    until(lambda: names_of(page)[0] == "gpu-a11")
    expect(page.get_by_role("columnheader", name="fullest disk")).to_have_attribute("aria-sort", "descending")
    assert names_of(page)[-1] == scenario.NEVER_SEEN
    page.get_by_role("button", name="host", exact=True).focus()
    page.keyboard.press("Enter")
    until(lambda: names_of(page)[0] == "a100-01")
    page.keyboard.press("Enter")
    until(lambda: names_of(page)[0] == "ws-fleur")
    assert "dir=desc" in page.url


def test_groups_have_heads_with_sums(looking: Watched) -> None:
    page = open_overview(looking)
    page.get_by_label("group").select_option("tag")
    until(
        lambda: (
            [name for name in names_of(page) if name.startswith("[")]
            == ["[rack-1]", "[rack-2]", "[teaching]", "[no tag]"]
        )
    )
    head = page.locator(".group").first
    expect(head).to_contain_text("4 of 5 hosts up")
    expect(head).to_contain_text("32 GPUs")
    expect(head).to_contain_text("9 lost, hung or error")
    assert page.get_by_role("table", name="Hosts").get_attribute("aria-rowcount") == str(25 + 4 + 1)


def test_the_view_is_in_the_address_and_back_goes_back(looking: Watched) -> None:
    page = open_overview(looking, "/?q=a100&sort=cpu&dir=asc&group=model&look=power")
    expect(page.locator("#filter")).to_have_value("a100")
    expect(page.get_by_label("group")).to_have_value("model")
    expect(page.get_by_role("button", name="power", exact=True)).to_have_attribute("aria-pressed", "true")
    before = names_of(page)
    page.get_by_role("button", name="work", exact=True).click()
    page.get_by_label("group").select_option("none")
    until(lambda: "group" not in page.url)
    page.go_back()
    page.go_back()
    expect(page.get_by_label("group")).to_have_value("model")
    assert page.url.endswith("/?q=a100&sort=cpu&dir=asc&group=model&look=power")
    names_become(page, *before)
    page.reload()
    names_become(page, *before)


def test_a_card_says_why_since_when_and_what_to_do(looking: Watched) -> None:
    page = open_overview(looking)
    page.locator(".tile.lost").hover()
    card = page.get_by_role("tooltip")
    expect(card).to_be_visible()
    for words in ("GPU 5 of h100-02", "lost for", "GPU is lost", "nvidia-smi --gpu-reset"):
        expect(card).to_contain_text(words)
    box, view = card.bounding_box(), page.viewport_size
    assert box
    assert view
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= view["width"]
    assert box["y"] + box["height"] <= view["height"]
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    row_of(page, "a100-03").locator(".age").hover()
    expect(card).to_contain_text(re.compile(r"No post for 1\d min"))
    row_of(page, "l40s-02").locator(".notes").click()
    expect(card).to_contain_text("umount -f /home")


def test_all_of_it_by_keyboard(looking: Watched) -> None:
    page = open_overview(looking)
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate("(document.activeElement.ariaLabel || document.activeElement.textContent).trim()")
        seen.append(here)
        if here.startswith("GPU 0"):
            break
    for name in (
        "Skip to content",
        "Fleet",
        "History",
        "all",
        "work",
        "power",
        "copy",
        "host",
        "fullest disk",
        "a100-01",
    ):
        assert name in seen, name
    card = page.get_by_role("tooltip")
    expect(card).to_contain_text("GPU 0 of a100-01")
    page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("GPU 1 of a100-01")
    page.keyboard.press("ArrowDown")
    expect(card).to_contain_text("GPU 1 of a100-02")
    page.keyboard.press("End")
    expect(card).to_contain_text("GPU 7 of a100-02")
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    expect(card).to_contain_text("of ws-fleur")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.className").startswith("tile")


COVERED = """() => {
    const node = document.activeElement;
    const box = node.getBoundingClientRect();
    const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const edges = [[x, box.top + 2], [x, box.bottom - 2], [box.left + 2, y], [box.right - 2, y]];
    const over = edges.map(([x, y]) => document.elementFromPoint(x, y)).filter((each) => !node.contains(each));
    const named = (each) => each && `${each.tagName} ${each.className} ${each.textContent.trim().slice(0, 40)}`;
    return over.length ? `${named(node)} at ${Math.round(box.top)} under ${over.map(named)}` : null;
}"""


def see_uncovered(page: Page, key: str) -> None:
    try:
        until(lambda: page.evaluate(COVERED) is None)
    except AssertionError:
        raise AssertionError(f"{key}: {page.evaluate(COVERED)}") from None


@pytest.mark.parametrize("size", [(1440, 480), (900, 420), (390, 640)])
def test_what_has_the_focus_is_never_covered(browser: Browser, lab: Lab, size: tuple[int, int]) -> None:
    with watch(browser, lab.server, viewport={"width": size[0], "height": size[1]}) as watched:
        page = open_overview(watched)
        page.locator("aside details:not([open]) summary").evaluate_all("(all) => all.forEach((each) => each.click())")
        page.locator("body").evaluate("() => document.activeElement.blur()")
        keys = ["Tab"] * 50 + ["Shift+Tab"] * 45 + ["Tab"] * 45
        for key in keys:
            page.keyboard.press(key)
            see_uncovered(page, key)
        page.locator("#rows .tile").first.focus()
        for key in [*["ArrowDown"] * 24, *["ArrowUp"] * 24]:
            page.keyboard.press(key)
            see_uncovered(page, key)


# On what it is looked at


@pytest.mark.parametrize("path", ["/", "/?q=free&group=model", "/?look=power", "/?kiosk", "/?q=nothing-of-that-name"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, lab: Lab, scheme: str, path: str) -> None:
    with watch(browser, lab.server, color_scheme=scheme, viewport={"width": 1440, "height": 900}) as watched:
        page = open_overview(watched, path)
        if path == "/":
            page.locator(".tile.idle").first.hover()
            expect(page.get_by_role("tooltip")).to_be_visible()
        check_axe(page)


def check_axe(page: Page) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [
        f"{each['impact']}: {each['id']}: {each['help']}: {[node['target'] for node in each['nodes'][:3]]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical", "moderate")
    ]
    assert told == []


def test_light_and_dark_follow_the_system(looking: Watched) -> None:
    page = open_overview(looking)
    colour = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) != light


def test_a_phone_needs_no_scroll_sideways_and_a_tap_shows_the_card(browser: Browser, lab: Lab) -> None:
    with watch(browser, lab.server, **PHONE) as watched:
        page = open_overview(watched)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator(".tile.idle").first.tap()
        card = page.get_by_role("tooltip")
        expect(card).to_contain_text("held idle")
        box = card.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        page.locator("h1").evaluate("() => scrollTo(0, 0)")
        page.locator("#totals").tap()
        expect(card).to_be_hidden()
        check_axe(page)


def test_a_phone_says_what_each_bar_of_a_host_is(browser: Browser, lab: Lab) -> None:
    with watch(browser, lab.server, **PHONE) as watched:
        page = open_overview(watched)
        row = row_of(page, "h100-01")
        labels = row.locator(".bar").evaluate_all(
            "(bars) => bars.map((b) => getComputedStyle(b, '::before').content + b.querySelector('span').textContent)"
        )
        assert labels == ['"CPU"', '"memory"', "none/data"]
        assert all(bar.is_visible() for bar in row.locator(".bar").all())
        assert not any(bar.is_visible() for bar in row_of(page, scenario.NEVER_SEEN).locator(".bar").all())
        tops = page.locator("nav a").evaluate_all("(links) => links.map((link) => link.getBoundingClientRect().top)")
        assert len(set(tops)) == 1


def test_how_many_gpus_of_which_model_a_host_has_is_told_whole(browser: Browser, lab: Lab) -> None:
    with watch(browser, lab.server, viewport={"width": 1400, "height": 900}) as watched:
        page = open_overview(watched)
        expect(row_of(page, "a100-01").locator(".model")).to_have_text("A100-SXM4-80GB × 8")
        cut = page.locator(".model").evaluate_all(
            "(models) => models.filter((m) => m.scrollWidth > m.clientWidth).length"
        )
        assert cut == 0


def test_a_wall_screen_shows_all_hosts_problems_first_and_no_name(browser: Browser, lab: Lab) -> None:
    with watch(browser, lab.server, viewport={"width": 1920, "height": 1080}) as watched:
        page = open_overview(watched, "/?kiosk")
        expect(page.locator(".host")).to_have_count(25)
        assert page.evaluate("document.documentElement.scrollHeight") <= 1080
        assert page.evaluate("document.documentElement.scrollWidth") <= 1920
        bottoms = page.locator(".host").evaluate_all("(rows) => rows.map((row) => row.getBoundingClientRect().bottom)")
        assert max(bottoms) <= 1080
        expect(page.get_by_role("navigation")).to_be_hidden()
        troubled = page.locator(".host").evaluate_all("(rows) => rows.map((r) => r.matches('.bad, .offline, .silent'))")
        assert troubled == sorted(troubled, reverse=True)
        assert any(troubled)
        text = " ".join(page.locator(".tile, .notes, #totals").all_inner_texts())
        users = {user for host in lab.truths.values() for gpu in host.gpus for user in gpu.users}
        assert [user for user in users if re.search(rf"\b{re.escape(user)}\b", text)] == []


def test_without_javascript_it_says_where_to_go(browser: Browser, lab: Lab) -> None:
    with watch(browser, lab.server, java_script_enabled=False) as watched:
        page = watched.open("/")
        expect(page.get_by_role("heading", name="This page needs JavaScript")).to_be_visible()
        expect(page.get_by_role("link", name="/api/hosts")).to_be_visible()


def test_a_browser_without_shared_workers_has_a_stream_of_its_own(browser: Browser, lab: Lab) -> None:
    with watch(browser, lab.server) as watched:
        watched.page.add_init_script("delete globalThis.SharedWorker")
        expect(open_overview(watched).locator(".host")).to_have_count(25)
