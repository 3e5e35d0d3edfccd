"""Damaged files of the server: they are set aside and named, the rest is used, and the server goes on."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from processes import LONG_S, SERVE, Server, until

pytestmark = pytest.mark.slow

HOSTS = ("gpu01", "gpu02", "gpu03")
# What a person does with ClickHouse while the server is down.
SQL = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1])
for sql in sys.argv[2:]:
    client.command(sql)
"""
HOLD = """
print("open", flush=True)
sys.stdin.readline()
"""


class Site:
    """A server and its folder."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        environ = {"STATE_DIRECTORY": str(self.state), "CLUSTER_DASH_STORE_URL": ""}
        self.server = Server(folder, environ, command=SERVE)

    def start(self) -> Server:
        self.server.start()
        until(lambda: self.server.get("/api/metrics").ok)
        return self.server

    def hosts(self) -> set[str]:
        """Of which there is a point in the store."""
        asked: dict[str, Any] = {"metric": "sys.cpu_percent", "from": 0}

        def answer() -> list[requests.Response]:
            found = requests.get(self.server.url + "/api/series", params=asked, timeout=LONG_S)
            return [found] if found.ok else []  # a busy one has no time for all questions

        [found] = until(answer)
        return {each["host"] for each in found.json()["series"]}

    def run(self, *sql: str) -> None:
        subprocess.run([sys.executable, "-c", SQL, str(self.state / "clickhouse"), *sql], check=True, timeout=LONG_S)

    def files(self, name: str) -> list[Path]:
        """Of ClickHouse's, the oldest first."""
        found = [path for path in (self.state / "clickhouse" / "store").rglob(name) if "detached" not in path.parts]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture
def site(tmp_path: Path) -> Generator[Site]:
    site = Site(tmp_path)
    yield site
    site.server.kill()


@pytest.fixture(scope="module")
def filled_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a server that is down, in which each host has a part of its own."""
    site = Site(tmp_path_factory.mktemp("filled"))
    try:
        server = site.start()
        server.end()
        table = "training_observability.metric_points"
        site.run(f"ALTER TABLE {table} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1")
        site.start()
        for number, host in enumerate(HOSTS):
            server.post(posts.host_post(host, gpus=8, seq=number + 1))
            until(lambda already=number: len(site.hosts()) > already)
        assert server.end()[0] == 0
    finally:
        site.server.kill()
    return site.state


@pytest.fixture
def filled(site: Site, filled_state: Path) -> Site:
    shutil.copytree(filled_state, site.state, symlinks=True, ignore=shutil.ignore_patterns("*.socket"))
    return site


def points_files(site: Site, name: str) -> list[Path]:
    """Of parts of metric_points, which are in one partition a month."""
    return [path for path in site.files(name) if path.parent.name.startswith("20")]


def damage_checksums(site: Site) -> None:
    points_files(site, "checksums.txt")[0].write_bytes(b"")


def damage_data(site: Site) -> None:
    path = points_files(site, "data.bin")[0]
    content = bytearray(path.read_bytes())
    for at in range(0, len(content), 16):
        content[at] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_checksums, damage_data])
def test_a_damaged_part_of_the_store_is_set_aside_and_the_rest_is_used(
    filled: Site, damage: Callable[[Site], None]
) -> None:
    damage(filled)
    server = filled.start()
    assert filled.hosts() == set(HOSTS[1:])
    health = server.get("/health")
    assert health.status_code == requests.codes.ok
    assert "A part of the store was damaged and is set aside" in str(health.json()["notes"])
    assert "A part of the store was damaged" in server.get("/", accept="text/html").text
    assert len(list((filled.state / "damaged").iterdir())) == 1
    post = posts.host_post(HOSTS[0], gpus=8, seq=9)
    post["mole"] |= {"backlog": 0, "kept": [["boot.1", 1, 8]]}
    assert server.post(post).json()["success"]
    until(lambda: filled.hosts() == set(HOSTS))
    server.end()
    filled.start()
    assert "notes" not in server.get("/health").json(), "it is told of once"
    again = posts.host_post(HOSTS[0], gpus=8, seq=10)
    again["mole"] |= {"backlog": 0, "kept": [["boot.1", 1, 9]]}
    assert server.post(again).json()["need"] == [["boot.1", 1, 8]], "its mole is asked for what was there"


def test_a_store_that_does_not_open_is_set_aside_whole(filled: Site) -> None:
    (filled.state / "clickhouse" / "metadata" / "training_observability.sql").write_text("?")
    server = filled.server.start()
    assert server.post(posts.host_post("new")).json()["success"], "posts are kept meanwhile"
    until(lambda: server.get("/api/metrics").ok)
    assert filled.hosts() == {"new"}
    assert "history begins anew" in str(server.get("/health").json()["notes"])
    [aside] = filled.state.glob("clickhouse.damaged-*")
    assert (aside / "store").is_dir()


def test_a_store_that_another_program_has_open_is_left_alone(filled: Site) -> None:
    words = [sys.executable, "-c", SQL + HOLD, str(filled.state / "clickhouse")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline()
        server = filled.server.start()
        until(lambda: server.get("/health").status_code == requests.codes.service_unavailable)
        assert not list(filled.state.glob("clickhouse.damaged-*"))
        other.communicate(b"\n", timeout=LONG_S)
    until(lambda: server.get("/api/metrics").ok)
    assert filled.hosts() == set(HOSTS)


def test_a_post_that_the_store_refuses_blocks_no_other(filled: Site) -> None:
    filled.run("ALTER TABLE training_observability.metric_points ADD CONSTRAINT few CHECK value < 1e15")
    server = filled.start()
    server.post(posts.host_post("good", gpus=1))
    bad: posts.Post = {"x": {"unit": "", "value": [1e16]}}
    for number in range(3):
        server.post(posts.host_post(f"bad{number}", gpus=1, metrics=bad))
        server.post(posts.host_post(f"good{number}", gpus=1))
    until(lambda: server.get("/health").json().get("notes"))
    until(lambda: filled.hosts() == {*HOSTS, "good", "good0", "good1", "good2"})
    assert "posts are in no chart, as the store refuses them" in str(server.get("/health").json()["notes"])
    assert list((filled.state / "journal").glob("refused-*"))
    until(lambda: server.get("/health").ok)


@pytest.mark.parametrize("seed", [1])
def test_a_journal_that_is_damaged_anywhere_costs_no_more_than_what_is_damaged(site: Site, seed: int) -> None:
    """Bits that flip, a torn end, garbage, and records that are whole and no posts."""
    from cluster_dash_server.store.records import record

    chance = random.Random(seed)
    server = site.start()
    server.end()
    away = Server(
        site.state.parent, {"STATE_DIRECTORY": str(site.state), "CLUSTER_DASH_STORE_URL": "http://localhost:9/x"}
    )
    with away:
        for number in range(20):
            away.post(posts.host_post(f"host{number}", gpus=1))
    path = max((site.state / "journal").glob("*.journal"), key=lambda file: file.stat().st_size)
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    payloads = [b"", b"x", chance.randbytes(500), bytes(12) + b"{}{}", bytes(8) + b"\x02\0\0\0[][]"]
    content += b"".join(map(record, payloads)) + chance.randbytes(300)
    path.write_bytes(content)
    path.with_name("000000009999.journal").write_bytes(chance.randbytes(5000))
    path.with_name("000000009998.journal").write_bytes(b"")
    server = site.start()
    assert len(site.hosts()) >= 17
    assert "are damaged" in str(server.get("/health").json()["notes"])
    assert not list((site.state / "journal").glob("*.journal"))
    assert "Traceback" not in server.log
