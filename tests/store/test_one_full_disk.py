"""Journal and store on disks of their own, one of them full: it is told, nothing is lost, it goes on by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from processes import SERVE, Server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

REFUSED = requests.codes.service_unavailable


class Site:
    """A server with a file system of 24 MiB for the journal and one for the store."""

    def __init__(self, folder: Path) -> None:
        self.disks = {name: folder / "state" / name for name in ("journal", "clickhouse")}
        environ = {"STATE_DIRECTORY": str(folder / "state"), "CLUSTER_DASH_STORE_URL": ""}
        self.server = Server(folder, environ, command=SERVE)
        self.taken: list[int] = []
        self.refused = 0

    def mount(self) -> bool:
        for disk in self.disks.values():
            disk.mkdir(parents=True)
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False).returncode:
                return False
        return True

    def close(self) -> None:
        self.server.kill()
        for disk in self.disks.values():
            subprocess.run(["umount", "-q", disk], check=False)

    def fill(self, name: str) -> Path:
        ballast = self.disks[name] / "others"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(2**16))
            except OSError:
                return ballast

    def post(self) -> requests.Response:
        """Its load says which one it is."""
        seq = len(self.taken) + self.refused + 1
        cpu = {"cpu_percent": 1, "load_avgs": [seq, 0, 0], "num_cpus": 8}
        answer = self.server.post(posts.host_post("gpu01", gpus=8, seq=seq, cpu=cpu))
        if answer.ok:
            self.taken.append(seq)
        else:
            self.refused += 1
        return answer

    def stored(self) -> list[int]:
        asked: dict[str, Any] = {"metric": "sys.load_1m", "from": 0}
        answer = requests.get(self.server.url + "/api/series", params=asked, timeout=30)
        return [int(value) for series in answer.json()["series"] for value in series["value"]] if answer.ok else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    site = Site(tmp_path_factory.mktemp("disks"))
    try:
        if not site.mount():
            pytest.skip("a tmpfs can't be mounted: that needs root")
        site.server.start()
        until(lambda: site.server.get("/api/metrics").ok, 40)
        yield site
    finally:
        site.close()


def test_a_journal_without_room_refuses_posts_and_the_store_goes_on(site: Site) -> None:
    for _ in range(5):
        assert site.post().ok
    ballast = site.fill("journal")
    answer = site.post()
    assert answer.status_code == REFUSED
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert f"the disk is full: 0 MiB are left for {site.disks['journal']}" in answer.json()["msg"]
    assert "the disk is full" in str(site.server.get("/health").json()["reasons"])
    assert "the disk is full" in site.server.get("/", accept="text/html").text
    until(lambda: site.stored() == site.taken, 30, "what was taken before isn't carried")
    ballast.unlink()
    until(lambda: site.server.get("/health").ok, 30, "it doesn't recover by itself")
    assert site.post().ok


def test_a_store_without_room_is_told_and_the_journal_keeps_what_comes(site: Site) -> None:
    assert site.post().ok
    until(lambda: site.stored() == site.taken, 30)
    ballast = site.fill("clickhouse")
    for _ in range(10):
        assert site.post().ok
    until(lambda: "takes nothing, the journal keeps it: Cannot reserve" in site.server.log, 30, "nobody is told")
    assert "not enough space" in site.server.log
    assert site.post().ok
    assert site.server.get("/", accept="text/html").ok
    ballast.unlink()
    until(lambda: site.stored() == site.taken, 30, "what the journal kept isn't in the store, once")
    until(lambda: site.server.get("/health").ok, 30)
    assert "Traceback" not in site.server.log
