"""A host's page while somebody reads it: what refreshes by itself leaves alone what they scroll, mark and stand on."""

from __future__ import annotations

import re
from typing import Any

import posts
import pytest
from browser_page import watch
from playwright.sync_api import Browser, expect
from processes import Server

pytestmark = pytest.mark.browser

AXE = posts.ROOT / "node_modules" / "axe-core" / "axe.min.js"
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}
COMMAND = "python train.py --config configs/a-long-one.yaml --data /data/imagenet --workers 16"


def post_of(host: str, util: float = 50, command: str = COMMAND, **sections: Any) -> posts.Post:
    busy = posts.busy_gpu(0, "alice", util=util)
    busy["users"]["alice"]["4000"]["command"] = command
    return posts.host_post(host, gpu={"0_A100": busy, "1_A100": posts.gpu(1)}, **sections)


def test_a_wide_table_is_scrolled_by_keys_and_stays_where_it_was(browser: Browser, server: Server) -> None:
    tags = [{"iface": "enp129s0f0np0"}]
    rates = {"recv_bytes_per_s": 123456789.0, "sent_bytes_per_s": 234567890.0, "errors_per_s": 0.0, "drops_per_s": 0.0}
    metrics: posts.Post = {f"sys.net.{rate}": {"tags": tags, "value": [value]} for rate, value in rates.items()}
    server.post(post_of("wide", metrics=metrics)).raise_for_status()
    with watch(browser, server, **PHONE) as watched:
        page = watched.open("/host/wide")
        network = page.get_by_role("region", name="Network")
        expect(page.get_by_role("region", name="GPUs")).to_have_count(0)  # fits
        network.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.activeElement.scrollLeft > 0")
        server.post(post_of("wide", util=77, metrics=metrics)).raise_for_status()
        expect(page.get_by_role("cell", name="77 %")).to_be_visible()
        assert page.evaluate("document.activeElement.dataset.name") == "Network"
        assert page.evaluate("document.activeElement.scrollLeft") > 0
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate("axe.run('main [data-live]')")
        assert [each["id"] for each in found["violations"]] == []
        page.set_viewport_size({"width": 1400, "height": 900})
        expect(network).to_have_count(0)


def test_what_is_marked_to_be_copied_stays_marked(browser: Browser, server: Server) -> None:
    server.post(post_of("marked")).raise_for_status()
    with watch(browser, server) as watched:
        page = watched.open("/host/marked")
        page.get_by_text("GPU-00000001").select_text()
        marked = page.evaluate("getSelection().toString()")
        server.post(post_of("marked", util=77)).raise_for_status()
        expect(page.get_by_role("cell", name="77 %")).to_be_visible()
        assert page.evaluate("getSelection().toString()") == marked != ""


def test_tables_that_come_and_go_leave_the_others_as_they_are(browser: Browser, server: Server) -> None:
    server.post(post_of("changing")).raise_for_status()
    tables = "[...document.querySelectorAll('[data-live] section')].map((each) => each.dataset.name)"
    with watch(browser, server) as watched:
        page = watched.open("/host/changing")
        before = page.evaluate(tables)
        page.evaluate("document.querySelector('[data-name=Processes]').kept = true")
        event = {"kind": "xid", "time": 1, "device": 0, "text": "XID 79"}
        server.post(post_of("changing", events=[event], disk={})).raise_for_status()
        expect(page.get_by_text("XID 79")).to_be_visible()
        expect(page.locator("[data-name=Disks]")).to_have_count(0)
        assert set(page.evaluate(tables)) == {*before, "Events"} - {"Disks"}
        assert page.evaluate("document.querySelector('[data-name=Processes]').kept")
        server.post(post_of("changing")).raise_for_status()
        expect(page.locator("[data-name=Disks]")).to_have_count(1)
        assert page.evaluate("document.querySelector('[data-name=Processes]').kept")


def test_a_phone_shows_all_of_a_gpu_without_scrolling_sideways(browser: Browser, server: Server) -> None:
    server.post(post_of("phone")).raise_for_status()
    with watch(browser, server, **PHONE) as watched:
        page = watched.open("/host/phone")
        row = page.get_by_role("row", name=re.compile("0 · NVIDIA A100"))
        cells = [row.get_by_role("cell", name=words) for words in ("busy 50 %", "memory 50 %", "alice 40 GiB", "100")]
        for cell in (*cells, page.get_by_role("cell", name=COMMAND)):
            box = cell.bounding_box()
            assert box
            assert box["x"] + box["width"] <= 390
