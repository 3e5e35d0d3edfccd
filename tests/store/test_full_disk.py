"""No room under the history: posts are refused until there is some, and none that was taken is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from processes import LONG_S, SERVE, Server, until

pytestmark = pytest.mark.slow

REFUSED = requests.codes.service_unavailable


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=False).returncode:
        pytest.skip("a tmpfs can't be mounted: that needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def server(tmp_path: Path, disk: Path) -> Generator[Server]:
    with Server(tmp_path, {"STATE_DIRECTORY": str(disk), "CLUSTER_DASH_STORE_URL": ""}, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok)
        yield server


class Host:
    """Posts one after the other and remembers those that were taken."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.seq = 0
        self.taken: list[int] = []

    def post(self) -> requests.Response:
        self.seq += 1
        cpu = {"cpu_percent": 1, "load_avgs": [self.seq, 0, 0], "num_cpus": 8}
        answer = self.server.post(posts.host_post("gpu01", gpus=8, seq=self.seq, cpu=cpu))
        if answer.ok:
            self.taken.append(self.seq)
        return answer

    def stored(self) -> list[int]:
        asked: dict[str, Any] = {"metric": "sys.load_1m", "from": 0}
        answer = requests.get(self.server.url + "/api/series", params=asked, timeout=LONG_S)
        return [int(value) for series in answer.json()["series"] for value in series["value"]] if answer.ok else []


def fill(path: Path, leave: int = 0) -> None:
    """All that there is, but for so many bytes; it may be filled again."""
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**16))
        except OSError:
            file.truncate(max(0, file.tell() - leave))


@pytest.mark.parametrize("leave", [0, 2**20], ids=["nothing left", "less than the store needs"])
def test_a_full_disk_refuses_posts_is_told_and_goes_on_with_room(server: Server, disk: Path, leave: int) -> None:
    host = Host(server)
    for _ in range(20):
        assert host.post().ok
    ballast = disk / "others"

    def refusals() -> list[requests.Response]:
        """The store may have given some room back meanwhile."""
        fill(ballast, leave)
        answer = host.post()
        return [answer] if answer.status_code == REFUSED else []

    [answer] = until(refusals)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "the disk is full" in answer.json()["msg"]
    health = server.get("/health")
    assert health.status_code == REFUSED
    assert "the disk is full" in str(health.json()["reasons"])
    page = server.get("/", accept="text/html")
    assert page.ok
    assert "the disk is full" in page.text
    for _ in range(20):
        until(refusals)
    ballast.unlink()
    until(lambda: server.get("/health").ok, message="it doesn't recover by itself")
    assert host.post().ok
    until(lambda: sorted(host.stored()) == host.taken, message="what was taken isn't in the store, once")
    assert server.process
    assert server.process.poll() is None


def test_what_fills_the_disk_itself_stops_in_time_for_the_store_to_take_it(server: Server, disk: Path) -> None:
    fill(disk / "others", 5 * 2**20)
    taken: set[str] = set()
    status = requests.codes.ok
    with requests.Session() as session:
        while status == requests.codes.ok:
            name = f"gpu{len(taken):04}"
            status = session.post(server.url, json=posts.full_post(name, mounts=40), timeout=LONG_S).status_code
            taken |= {name} if status == requests.codes.ok else set()
    assert status == REFUSED
    until(lambda: not [file for file in (disk / "journal").glob("*.journal") if file.stat().st_size > 1000])
    (disk / "others").unlink()
    until(lambda: server.post(posts.host_post("last")).ok)
    until(lambda: hosts_in_store(server) == {*taken, "last"})


def hosts_in_store(server: Server) -> set[str]:
    answer = requests.get(server.url + "/api/series", params={"metric": "sys.load_1m", "from": 0}, timeout=LONG_S)
    return {series["host"] for series in answer.json()["series"]} if answer.ok else set()
