"""Backup, restore and export by the real command, beside a real server and without one."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import posts
import pyarrow.parquet
import pytest
import requests
from processes import LONG_S, SERVE, Server, until

from cluster_dash_server.backup.manifest import write_file
from cluster_dash_server.cli import main

pytestmark = pytest.mark.slow

ARROW: Any = pyarrow.parquet
COMMAND = [sys.executable, "-m", "cluster_dash_server"]
METRICS = ["sys.load_1m", "sys.cpu_percent", "sys.gpu.util_percent", "sys.disk.used_bytes", "sys.gpu.user_mem_bytes"]


def settings_of(state: Path) -> dict[str, str]:
    return {"STATE_DIRECTORY": str(state), "CLUSTER_DASH_STORE_URL": ""}


@pytest.fixture
def start(tmp_path: Path) -> Generator[Callable[[str], Server]]:
    started: list[Server] = []

    def start_one(state: str) -> Server:
        folder = tmp_path / f"log of {state}"
        folder.mkdir(exist_ok=True)
        started.append(Server(folder, settings_of(tmp_path / state), command=SERVE).start())
        until(lambda: started[-1].get("/api/metrics").ok, LONG_S)
        return started[-1]

    yield start_one
    for server in started:
        server.kill()


def run(state: Path, *words: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        env={**os.environ, **settings_of(state), **environ},
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )


def done(*words: Any, **environ: str) -> str:
    result = run(*words, **environ)
    assert result.returncode == 0, result.stderr
    return result.stderr


def failed(*words: Any, **environ: str) -> str:
    result = run(*words, **environ)
    assert result.returncode == 1, result.stderr
    assert result.stderr.splitlines()[-1].startswith("cluster-dash-server: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def here(*words: object) -> int:
    """The exit code, of what ends before any store is opened."""
    try:
        return main(list(map(str, words)))
    except SystemExit as ended:
        return int(str(ended.code))


def post(host: str, number: int, at_s: float) -> posts.Post:
    cpu = {"cpu_percent": number % 100, "load_avgs": [number, 0, 0], "num_cpus": 8}
    return posts.host_post(host, gpus=2, seq=number, cpu=cpu, timestamp=at_s)


def fill(server: Server, hosts: int = 3, count: int = 20) -> None:
    """Over three days, so that there are several files."""
    now = time.time()
    with requests.Session() as session:
        for number in range(1, count + 1):
            for host in range(hosts):
                sent = post(f"gpu{host:02}", number, now - (count - number) * 3 * 86_400 / count)
                assert session.post(server.url, json=sent, timeout=LONG_S).ok


def all_series(server: Server) -> list[dict[str, Any]]:
    params = {"metric": METRICS, "from": 0}

    def answer() -> list[requests.Response]:
        found = requests.get(server.url + "/api/series", params=params, timeout=LONG_S)
        return [found] if found.ok else []  # a busy one has no time for all questions

    [found] = until(answer)
    return found.json()["series"]


def test_what_was_backed_up_under_load_is_the_same_in_a_fresh_server(
    start: Callable[[str], Server], tmp_path: Path
) -> None:
    server = start("old")
    fill(server)
    done(tmp_path / "old", "token", "gpu00")
    time.sleep(1.5)  # an answer has what was acknowledged a second ago
    before = all_series(server)
    ending, sent = threading.Event(), [0]

    def load() -> None:
        while not ending.is_set():
            sent[0] += 1
            assert server.post(post("loud", sent[0], time.time())).ok

    loading = threading.Thread(target=load)
    loading.start()
    until(lambda: sent[0] > 20, LONG_S)
    acknowledged = sent[0] - 1
    told = done(tmp_path / "old", "backup", tmp_path / "backup")
    after = sent[0]
    ending.set()
    loading.join()
    assert after > acknowledged + 1, "the server took no post meanwhile"
    assert "done:" in told
    manifest = json.loads((tmp_path / "backup/manifest.json").read_text())
    assert {file["table"] for file in manifest["files"]} >= {"metric_points", "host_posts"}
    read = list(
        dict.fromkeys(file["table"] for file in manifest["files"] if file["table"].startswith(("roll", "metric")))
    )
    order = ["rollups_until", "metric_points", "rollups_due", "metric_points_1m"]
    assert [table for table in read if table in order] == order, "some point could be in no bucket"
    assert len([file for file in manifest["files"] if file["table"] == "metric_points"]) >= 3
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700

    fresh = start("new")
    done(tmp_path / "new", "restore", tmp_path / "backup")
    done(tmp_path / "new", "restore", tmp_path / "backup")  # again does no harm
    restored = all_series(fresh)
    assert [series for series in restored if series["host"] != "loud"] == before
    loads = [series["value"] for series in restored if (series["host"], series["metric"]) == ("loud", "sys.load_1m")]
    assert sorted(map(int, loads[0]))[:acknowledged] == list(range(1, acknowledged + 1))
    assert len(set(loads[0])) == len(loads[0])
    hosts = until(lambda: fresh.get("/api/hosts").json()["hosts"], LONG_S)
    assert {host["name"] for host in hosts} == {"gpu00", "gpu01", "gpu02", "loud"}
    tokens = [(tmp_path / state / "tokens.json").read_bytes() for state in ("old", "new")]
    assert tokens[0] == tokens[1]
    assert not list(tmp_path.glob("*.partial*"))


def test_without_a_server_the_command_opens_the_store_itself(start: Callable[[str], Server], tmp_path: Path) -> None:
    server = start("old")
    fill(server, hosts=1)
    time.sleep(1.5)
    before = all_series(server)
    server.post(post("late", 1, time.time()))
    server.kill()  # what the journal still has belongs to it too
    done(tmp_path / "old", "backup", tmp_path / "backup")
    assert "is whole" in done(tmp_path / "new", "restore", "--check", tmp_path / "backup")
    assert not (tmp_path / "new").exists()
    done(tmp_path / "new", "restore", tmp_path / "backup")
    restored = all_series(start("new"))
    assert [series for series in restored if series["host"] != "late"] == before
    assert {series["host"] for series in restored} == {"gpu00", "late"}


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one host, made once for those who only break copies of it."""
    folder = tmp_path_factory.mktemp("one")
    with Server(folder, settings_of(folder / "state"), command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok, LONG_S)
        fill(server, hosts=1, count=3)
        done(folder / "state", "backup", folder / "backup")
    return folder / "backup"


def break_length(folder: Path) -> None:
    path = next((folder / "metric_points").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])


def break_bytes(folder: Path) -> None:
    path = next((folder / "metric_points").glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[random.Random(1).randrange(len(content))] ^= 1
    path.write_bytes(content)


def lose_a_file(folder: Path) -> None:
    next((folder / "metric_points").glob("*.parquet")).unlink()


def lose_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def break_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def break_path(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"metric_points/', '"../metric_points/'))


def break_name(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"metric_points/', '"\\u0000\\u001b[2J/'))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_name, "is no file of the backup"),
        (break_length, "is damaged"),
        (break_bytes, "is damaged"),
        (lose_a_file, "can't be read (No such file"),
        (lose_manifest, "is no backup, or one that was broken off"),
        (break_manifest, "manifest.json can't be read"),
        (break_path, "is no file of the backup"),
    ],
)
def test_a_backup_that_is_not_whole_is_refused(
    backup: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    words: str,
) -> None:
    shutil.copytree(backup, tmp_path / "copy")
    damage(tmp_path / "copy")
    assert here("restore", tmp_path / "copy") == 1
    assert words in capsys.readouterr().err


def test_what_a_backup_says_of_itself_moves_no_cursor(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(backup, tmp_path / "copy")
    path = tmp_path / "copy/manifest.json"
    path.write_text(path.read_text().replace('"made_at": "', '"made_at": "\\u001b[2J'))
    assert here("restore", "--check", tmp_path / "copy") == 0
    told = capsys.readouterr().err
    assert "[2J" in told
    assert "\x1b" not in told


def test_a_table_of_marks_that_is_none_is_told(backup: Path, tmp_path: Path) -> None:
    """Its checksum is right: whoever made it made that too."""
    folder = tmp_path / "copy"
    shutil.copytree(backup, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    [marks] = [each for each in manifest["files"] if each["table"] == "rollups_until"]
    length, checksum = write_file(folder / "none.parquet", [b"PAR1"])
    manifest["files"] = [marks | {"path": "none.parquet", "bytes": length, "sha256": checksum}]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "isn't what a backup has as rollups_until" in failed(tmp_path / "state", "restore", folder)


def test_a_backup_of_another_table_is_refused_before_anything_is_written(backup: Path, tmp_path: Path) -> None:
    shutil.copytree(backup, tmp_path / "copy")
    path = tmp_path / "copy/manifest.json"
    path.write_text(path.read_text().replace('"table": "host_posts"', '"table": "stars"'))
    told = failed(tmp_path / "state", "restore", tmp_path / "copy")
    assert "has no table stars: the backup is of another version" in told


def test_a_folder_that_is_not_empty_is_left_alone(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mine").write_text("x")
    state = backup.parent / "state"
    assert "is there already" in failed(state, "backup", tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["mine"]


def test_an_empty_folder_is_filled_and_stays_the_one_that_it_is(backup: Path, tmp_path: Path) -> None:
    """It may be a mount, or all that the server's user may write to."""
    there, state = tmp_path / "there", backup.parent / "state"
    there.mkdir()
    before = there.stat().st_ino
    done(state, "backup", there)
    assert there.stat().st_ino == before
    assert {path.name for path in there.iterdir()} >= {"manifest.json", "metric_points", "host_posts"}
    assert not list(there.glob("partial-*"))
    done(state, "restore", "--check", there)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_backup_that_a_signal_ends_leaves_nothing(tmp_path: Path, is_there: bool) -> None:
    """Of a server that says who it is, and nothing more."""
    state, folder = tmp_path / "state", tmp_path / "to/backup"
    state.mkdir()
    folder.parent.mkdir()
    if is_there:
        folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state / "control.socket"))
        listener.listen()
        words, environ = [*COMMAND, "backup", str(folder)], {**os.environ, **settings_of(state)}
        command = subprocess.Popen(words, env=environ, stderr=subprocess.PIPE, text=True)
        with command, listener.accept()[0] as asked:
            asked.sendall(b'{"answer":{"database":"d","shown":"s"}}\n')
            until(lambda: list(folder.parent.rglob("*partial-*")), LONG_S)
            command.send_signal(signal.SIGTERM)
            _, told = command.communicate(timeout=LONG_S)
    assert (command.returncode, told.count("\n")) == (1, 1)
    assert "backup was broken off by a signal" in told
    assert list(folder.parent.rglob("*")) == ([folder] if is_there else [])


def test_where_nothing_is_kept_it_says_how_to_name_the_folder(tmp_path: Path) -> None:
    told = failed(tmp_path / "nothing", "backup", tmp_path / "backup")
    assert f"no server runs on {tmp_path / 'nothing'}, and no history is in it" in told
    assert "STATE_DIRECTORY" in told
    assert "keeps no history" in failed(tmp_path, "backup", tmp_path / "backup", CLUSTER_DASH_STORE_URL="none")
    assert not (tmp_path / "nothing").exists()
    assert here("backup") == 2


def test_export_has_what_was_asked_for_once(start: Callable[[str], Server], tmp_path: Path) -> None:
    server = start("state")
    start_s = int(time.time()) - 1000
    sent = [post(host, number, start_s + number * 10) for host in ("a", "b") for number in range(1, 31)]
    for each in [*sent, *sent]:
        server.post(each)
    words = ["--from", start_s + 50, "--to", start_s + 150, "--host", "b", "--metric", "sys.load_1m"]
    told = done(tmp_path / "state", "export", *words, "--metric", "sys.gpu.util_percent", tmp_path / "x.parquet")
    assert "done: 30 points" in told
    table = ARROW.read_table(tmp_path / "x.parquet")
    rows = table.to_pylist()
    assert {(row["host"], row["metric"], row["device"]) for row in rows} == {
        ("b", "sys.load_1m", None),
        ("b", "sys.gpu.util_percent", 0),
        ("b", "sys.gpu.util_percent", 1),
    }
    loads = [(row["event_time"].timestamp() - start_s, row["value"]) for row in rows if row["metric"] == "sys.load_1m"]
    assert loads == [(number * 10, number) for number in range(5, 15)]
    assert "is there already" in failed(tmp_path / "state", "export", "--from", "2020-01-01", tmp_path / "x.parquet")
    assert "done: 0 points" in done(
        tmp_path / "state", "export", "--from", "2020-01-01", "--to", "2020-01-02T00:00+01:00", tmp_path / "y.parquet"
    )
    assert ARROW.read_table(tmp_path / "y.parquet").num_rows == 0
    for wrong in (
        ["--from", "never", "z.parquet"],
        ["--from", "nan", "z.parquet"],
        ["--from", "5", "--to", "4", "z.parquet"],
        ["--from", "5", "z"],
    ):
        assert here("export", *wrong) == 2


def test_a_server_that_ends_breaks_off_a_backup_in_order(start: Callable[[str], Server], tmp_path: Path) -> None:
    server = start("state")
    fill(server, hosts=1, count=3)
    slow = "SELECT sleepEachRow(0.1) AS a FROM (SELECT number FROM numbers(3000) SETTINGS max_block_size = 1)"
    question = {"do": "read", "sql": slow}
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(tmp_path / "state/control.socket"))
        asking.sendall(json.dumps(question | {"parameters": {}}).encode() + b"\n")
        until(lambda: (tmp_path / "state/transfer/part.parquet").exists(), LONG_S)
        code, _ = server.end(signal.SIGTERM)
        assert code == 0
        asking.settimeout(LONG_S)
        assert asking.recv(10)[:2] in (b"", b"-1")
    assert "Traceback" not in server.log
    server.start()
    until(lambda: server.get("/api/metrics").ok, LONG_S)
    assert len(all_series(server)) > 4
    done(tmp_path / "state", "backup", tmp_path / "backup")


def test_only_the_servers_own_user_reaches_what_answers(start: Callable[[str], Server], tmp_path: Path) -> None:
    server = start("state")
    path = tmp_path / "state/control.socket"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in ("clickhouse", "journal"):
        assert stat.S_IMODE((tmp_path / "state" / folder).stat().st_mode) == 0o700
    for address in ("/backup", "/restore", "/export", "/control"):
        assert requests.post(server.url + address, timeout=LONG_S).status_code in (404, 405)
    # What is no question ends the talk, and nothing else.
    for text in (b"GET / HTTP/1.1\r\n", b"[]", b'{"do":"ask"}', b'{"do":"ask","sql":5,"parameters":7}'):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(path))
            asking.sendall(text + b"\n")
            asking.settimeout(LONG_S)
            assert b"error" in asking.recv(1000), text
    done(tmp_path / "state", "backup", tmp_path / "backup")
    assert server.get("/health").json() == {"status": "ok"}


def test_buckets_have_the_points_of_the_backup_and_those_that_were_there(
    start: Callable[[str], Server], tmp_path: Path
) -> None:
    """Within one minute: of buckets alone nobody could tell."""
    hour_s = time.time() // 3600 * 3600 - 5 * 3600

    def counts(server: Server) -> list[int]:
        asked: dict[str, Any] = {"metric": "sys.load_1m", "from": hour_s, "to": hour_s + 7200, "points": 2}
        found = requests.get(server.url + "/api/series", params=asked, timeout=30).json()["series"]
        return [count for series in found for count in series.get("count", ())]

    for name, after_s in (("old", 0), ("new", 30)):
        server = start(name)
        for number in range(1, 11):
            assert server.post(post("gpu01", number, hour_s + after_s + number)).ok
        until(lambda server=server: counts(server) == [10], LONG_S)
    done(tmp_path / "old", "backup", tmp_path / "backup")
    done(tmp_path / "new", "restore", tmp_path / "backup")
    until(lambda: counts(server) == [20], LONG_S)
