"""Pictures of the overview for the eye in tests/screenshots, which git ignores; nothing is compared.

Whoever changes how the overview looks should see it away from its server, with one host, with a thousand and with long
names, light and dark, on a desk and on a phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from browser_page import watch
from lab import SETTINGS, ClockedServer, Lab
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SCREENSHOTS = posts.ROOT / "tests" / "screenshots"
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
LOOKS: list[tuple[str, Any]] = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]
LONG = "render-and-inference-of-the-department-of-computational-linguistics-rack12-unit03.cluster.example.org"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClockedServer]:
    with ClockedServer(tmp_path, SETTINGS) as server:
        yield server


def take(browser: Browser, server: ClockedServer, name: str, path: str = "/") -> None:
    for size, scheme in LOOKS:
        width, height = SIZES[size]
        with watch(browser, server, color_scheme=scheme, viewport={"width": width, "height": height}) as watched:
            page = watched.open(path)
            expect(page.locator(".host").first).to_be_visible()
            write(page, f"{name}-{size}-{scheme}")


def write(page: Page, name: str) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    SCREENSHOTS.mkdir(exist_ok=True)
    assert (SCREENSHOTS / f"overview-{name}.png").write_bytes(page.screenshot()) > 5_000


def send(server: ClockedServer, names: list[str], **sections: Any) -> None:
    for first in range(0, len(names), 50):
        documents = [posts.host_post(name, **sections) for name in names[first : first + 50]]
        for document in documents:
            del document["auth_code"]
        batch = {"auth_code": posts.PASSCODE, "posts": documents}
        answer = requests.post(f"{server.url}/batch", json=batch, timeout=30)
        assert all(result["success"] for result in answer.json()["results"])


def test_one_host(browser: Browser, server: ClockedServer) -> None:
    send(server, ["gpu01"])
    take(browser, server, "one-host")


def test_a_thousand_hosts(browser: Browser, server: ClockedServer) -> None:
    send(server, [f"gpu{number:04}" for number in range(1000)])
    take(browser, server, "thousand-hosts")
    take(browser, server, "thousand-hosts-kiosk", "/?kiosk")


def test_long_names(browser: Browser, server: ClockedServer) -> None:
    users = {f"{LONG}@example.org": {"1": {"mem": 30_000.0, "time": 1, "name": LONG, "command": LONG}}}
    gpus = {str(at): posts.gpu(at, name=f"NVIDIA {LONG}", used_mib=30_000, util=50, users=users) for at in range(16)}
    disk = {"d": {"mount_point": f"/mnt/{LONG}", "percent_used": 98}}
    send(server, [LONG, f"{LONG}.another", "short"], gpu=gpus, disk=disk)
    take(browser, server, "long-names")


def test_the_lab(browser: Browser, server: ClockedServer) -> None:
    Lab(server)
    for name, path in {"lab": "/", "lab-power": "/?look=power", "lab-kiosk": "/?kiosk"}.items():
        take(browser, server, name, path)


def test_the_server_away(browser: Browser, server: ClockedServer) -> None:
    send(server, ["gpu01", "gpu02"])
    contexts = [
        browser.new_context(color_scheme=scheme, viewport={"width": SIZES[size][0], "height": SIZES[size][1]})
        for size, scheme in LOOKS
    ]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.goto(server.url)
        expect(page.locator(".host")).to_have_count(2 + 5)
    server.end()
    for page, (size, scheme) in zip(pages, LOOKS, strict=True):
        page.bring_to_front()
        expect(page.locator("#not-live")).to_be_visible()
        write(page, f"server-away-{size}-{scheme}")
    for context in contexts:
        context.close()
