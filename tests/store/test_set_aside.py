"""What of the store or of the journal is lost or can't be read: it is told, what is there is kept, all else goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from processes import SERVE, Server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

# A store whose clock the script sets. `come` is a post of a host.
STORE = """
import contextlib, json, sys, time
from pathlib import Path
import orjson, posts
from cluster_dash_server.points import points_of_post
from cluster_dash_server.store.journal import Journal
from cluster_dash_server.store.kept import Coming, Parts
from cluster_dash_server.store.store import Store
from cluster_dash_server.store.tables import Days
from cluster_dash_server.store.target import target_of

folder, off_s, table = Path(sys.argv[1]), [0.0], "training_observability.metric_points"
target = target_of("", folder)
journal = Journal(folder / "journal", 2**26)
store = Store(target, journal, Days(14, 31, 90, 730), monotonic=lambda: time.monotonic() + off_s[0])
client = target.connect()

def come(host):
    post = posts.host_post(host, gpus=1)
    store.keep([Coming(Parts(orjson.dumps(post), b"{}"), points_of_post(post), None, True, None)])

def step():
    store.step(lambda *_: None)

def hosts():
    return sorted(client.query_arrow(f"SELECT DISTINCT host FROM {table}", {})["host"].to_pylist())

def end(**found):
    client.close()
    store.close()
    print(json.dumps(found))
"""
# Posts come on while a file of the journal gives an I/O error at each read, and others are no journals.
UNREADABLE = """
step()
come("before")
journal.seal()
journal._items.clear()  # as after a restart: from disk alone
journal._items_count = 0
unreadable = journal.path(0)
unreadable.symlink_to("/proc/self/mem")  # its first page isn't mapped
journal._sizes[0] = 0
journal.path(7).write_bytes(b"notes of a person" * 100)
journal._sizes[7] = 1700
tries = 0
while unreadable.is_symlink() and tries < 9:
    come(f"host{tries}")
    step()
    tries += 1
step()
end(tries=tries, hosts=hosts(), notes=store.notes(), troubles=store.troubles(),
    kept=sorted(path.name for path in journal.folder.iterdir() if path.name[0] == "0"))
"""
# Parts are damaged where no question reads them, each in another way, and merges of them fail.
UNMERGED = """
step()
client.command(f"ALTER TABLE {table} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1")
for at in range(4):
    come(f"host{at}")
    step()
parts = client.query_arrow(f"SELECT path FROM system.parts WHERE active AND table = 'metric_points' ORDER BY name", {})
failures = 0
for path, at in zip(parts["path"].to_pylist(), (0, 16, 40)):
    content = bytearray(Path(path, "data.bin").read_bytes())
    content[at] ^= 0xFF
    Path(path, "data.bin").write_bytes(content)
    with contextlib.suppress(Exception):
        failures += 1
        client.command(f"OPTIMIZE TABLE {table} FINAL")
        failures -= 1
    off_s[0] += 3600
    step()
client.command(f"OPTIMIZE TABLE {table} FINAL")
end(failures=failures, notes=store.notes(), hosts=hosts(), aside=len(list((folder / "damaged").glob("*/data.bin"))))
"""


def run(script: str, folder: Path) -> dict[str, Any]:
    """What it found."""
    words = [sys.executable, "-c", STORE + script, str(folder)]
    path = {"PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run(words, env=path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_a_journal_file_that_cannot_be_read_is_set_aside_after_some_tries_and_others_go_on(tmp_path: Path) -> None:
    found = run(UNREADABLE, tmp_path)
    assert found["tries"] == 3
    assert found["hosts"] == ["before", "host0", "host1", "host2"]
    assert found["troubles"] == []
    [damaged, unreadable] = sorted(found["notes"])
    assert "can't be read (Input/output error): it is kept as " in unreadable
    assert unreadable.partition("kept as ")[2].rstrip(".").endswith(found["kept"][0])
    assert "1700 bytes of" in damaged
    assert [name.rpartition("-")[0] for name in found["kept"]] == ["000000000000.unreadable", "000000000007.damaged"]


def test_parts_that_merges_fail_for_are_set_aside_and_the_rest_is_merged(tmp_path: Path) -> None:
    """So that they don't fail for ever, which nobody is told but who asks ClickHouse for its errors. By what is
    damaged, checksum, codec or data, it is another one.
    """
    found = run(UNMERGED, tmp_path)
    assert (found["failures"], found["aside"]) == (3, 3)
    assert ["A part of the store was damaged and is set aside" in note for note in found["notes"]] == [True] * 3
    assert found["hosts"] == ["host3"]


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    with Server(tmp_path, environ, command=SERVE) as server:
        yield server


def hosts(server: Server) -> list[str]:
    asked: dict[str, Any] = {"metric": "sys.cpu_percent", "from": 0}
    answer = requests.get(server.url + "/api/series", params=asked, timeout=30)
    return [each["host"] for each in answer.json()["series"]] if answer.ok else []


def is_open(server: Server) -> bool:
    return server.get("/api/metrics").ok


def test_a_table_that_clickhouse_has_forgotten_is_told_and_what_it_held_is_kept(server: Server, tmp_path: Path) -> None:
    """Without the file of metadata that names a table ClickHouse makes it anew, empty, and says nothing."""
    until(lambda: is_open(server), 40)
    server.post(posts.host_post("gpu01", gpus=8, seq=1))
    until(lambda: hosts(server) == ["gpu01"], 30)
    server.end()
    state = tmp_path / "state"
    [metadata] = (state / "clickhouse").glob("store/*/*/metric_points.sql")
    folder = metadata.read_text().partition("UUID '")[2].partition("'")[0]
    [held] = (state / "clickhouse").glob(f"store/*/{folder}")
    shutil.copytree(held, tmp_path / "held")
    metadata.unlink()
    server.port = 0
    server.start()
    until(lambda: is_open(server), 40)
    told = "Tables of the store are gone from ClickHouse's metadata and begin anew"
    assert told in str(server.get("/health").json()["notes"])
    assert told in server.log
    [aside] = (state / "damaged").glob(f"table-{folder}-*")
    kept = {path.relative_to(aside): path.read_bytes() for path in aside.rglob("*") if path.is_file()}
    before = {path.relative_to(tmp_path / "held"): path for path in (tmp_path / "held").rglob("*") if path.is_file()}
    assert kept == {name: path.read_bytes() for name, path in before.items()}
    post = posts.host_post("gpu01", gpus=8, seq=3)
    post["mole"] |= {"backlog": 0, "kept": [["boot.1", 1, 2]]}
    assert server.post(post).json()["need"] == [["boot.1", 1, 2]], "its mole is asked for what was there"
