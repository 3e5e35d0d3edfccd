"""`make bench`, its part for the overview in a browser: how soon a fleet is drawn, what an update and a scroll cost.

A real server, simulated hosts that go on posting, headless Chromium: three programs share this machine's cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import requests
from playwright.sync_api import Browser, Page, sync_playwright
from processes import SERVE, Program, Server, until

PASSCODE = "a-passcode-for-the-benchmark"
SIMULATE = [sys.executable, "-m", "cluster_dash_mole", "simulate", "--scenario", "plain", "--interval", "5"]
CHROMIUM = [
    "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-precise-memory-info",
]  # fmt: skip
WATCH = """
globalThis.seen = {updates: [], tasks: [], drawnMs: null, bytes: 0};
new PerformanceObserver((list) => { for (const each of list.getEntries())
    if (each.name === "overview-update") seen.updates.push(each.duration); }).observe({type: "measure"});
new PerformanceObserver((list) => { for (const each of list.getEntries())
    seen.tasks.push([each.startTime, each.duration]); }).observe({type: "longtask"});
const look = () => {
    if (document.querySelector(".host .tile")) requestAnimationFrame(() => { seen.drawnMs = performance.now(); });
    else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
SCROLL = """async () => {
    const frames = [];
    let before = performance.now();
    for (let step = 0; step < 120; step += 1) {
        scrollBy(0, 400);
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - before);
        before = performance.now();
    }
    scrollTo(0, 0);
    return frames;
}"""
TYPE = """async () => {
    const box = document.getElementById("filter");
    const took = [];
    for (const text of ["f", "fr", "fre", "free", "free ", "free m", "free mem>20", ""]) {
        const before = performance.now();
        box.value = text;
        box.dispatchEvent(new Event("input"));
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        took.push(performance.now() - before);
    }
    return took;
}"""


def bench(browser: Browser, hosts: int, gpus: int, watched_s: float) -> None:
    size = ["--hosts", str(hosts), "--gpus-per-host", str(gpus)]
    with tempfile.TemporaryDirectory() as name:
        environ = {"CLUSTER_DASH_PASSCODE": PASSCODE, "STATE_DIRECTORY": name, "CLUSTER_DASH_STORE_URL": "none"}
        with Server(Path(name), environ, command=SERVE) as server:
            words = [*SIMULATE, *size, "--server", server.url, "--auth-code", PASSCODE]
            with Program(words, Path(name) / "simulator.log"):
                _wait_for(server, hosts)
                look(browser, server, f"{hosts:>6,} hosts of {gpus} GPUs", watched_s)


def _wait_for(server: Server, hosts: int) -> None:
    deadline = time.monotonic() + 60
    while f'"hosts":{hosts},' not in requests.get(f"{server.url}/stream?hold=0&hosts=1", timeout=60).text[:2000]:
        if time.monotonic() > deadline:
            raise SystemExit(f"not all of {hosts} hosts have posted: {server.log}")
        time.sleep(1)


def look(browser: Browser, server: Server, name: str, watched_s: float) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(WATCH)
    for visit in ("first visit", "again"):
        page = context.new_page()
        page.goto(server.url + "/")
        until(lambda: page.evaluate("seen.drawnMs !== null"), 60)  # noqa: B023  called at once
        print(f"{name}: {visit}: drawn {page.evaluate('seen.drawnMs'):,.0f} ms after navigation")
        if visit == "first visit":
            page.close()
            continue
        page.wait_for_timeout(watched_s * 1000)
        tell(page, name)
    context.close()


def tell(page: Page, name: str) -> None:
    updates: list[float] = page.evaluate("seen.updates.slice(1)")
    tasks: list[float] = page.evaluate("seen.tasks.filter(([start]) => start > seen.drawnMs).map(([, took]) => took)")
    rows, nodes = page.evaluate("[document.querySelectorAll('.host').length, document.querySelectorAll('*').length]")
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    if updates:
        print(
            f"{name}: {len(updates)} updates: median {statistics.median(updates):.1f} ms, "
            f"at most {max(updates):.1f} ms; "
            f"long tasks {len(tasks)}, at most {max(tasks, default=0):.0f} ms"
        )
    scrolled, typed = page.evaluate(SCROLL), page.evaluate(TYPE)
    print(
        f"{name}: a frame of scrolling: median {statistics.median(scrolled):.1f} ms, at most {max(scrolled):.1f} ms; "
        f"a key in the filter: at most {max(typed):.0f} ms; {rows} rows drawn, {nodes:,} elements, "
        f"{heap / 2**20:.0f} MiB of JavaScript"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="*", default=[24, 1_000, 10_000])
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        raise SystemExit("this needs Chromium")
    words = [*CHROMIUM, "--no-sandbox"] if os.geteuid() == 0 else CHROMIUM
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=words)
        for hosts in asked.hosts:
            bench(browser, hosts, asked.gpus, asked.seconds)
        browser.close()


if __name__ == "__main__":
    main()
