"""The outbox of a real mole process: killed, ended, and with its server away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from nvml_standin import NvmlStandin

from mole.peers import LONG_S, MOLE_FOLDER, PROMPT_S, MoleProcess, Peer, free_port, wait_until
from mole.store_peer import StorePeer

pytestmark = pytest.mark.slow

Start = Callable[..., MoleProcess]
KILLS = 20
INTERVAL_S = 0.1
# Starts a mole, kills it at any moment, and again: forked, as what a mole imports takes longer than all the rest.
KILLING = """
import os, random, signal, sys, time
from pathlib import Path
import cluster_dash_mole.kept_sender, cluster_dash_mole.main, cluster_dash_mole.stdout
from cluster_dash_mole import outbox
from cluster_dash_mole.startup import main

folder, kills, longest_s, is_kept = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "kept"
if not is_kept:
    outbox.Outbox._keep_all = lambda self: self._note_tried()
chance = random.Random(7)
for number in range(kills):
    output = os.open(folder / f"stdout{number}", os.O_RDWR | os.O_CREAT)
    child = os.fork()
    if not child:
        os.dup2(output, 1)
        os._exit(main(folder))
    while not os.fstat(output).st_size:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, longest_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(output)
"""


def settings(address: str, state: Path) -> dict[str, str]:
    return {
        "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": str(INTERVAL_S),
        "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        "JSON_SENDER_LOGGER_ADDRESS_IN": address,
        "JSON_SENDER_LOGGER_AUTH_CODE": "canary",
        "OUTBOX_POSTS_PER_SEC": "1000",
        "STATE_STATE_DIR": str(state),
        "STDOUT_LOGGER_USE": "true",
        "STDOUT_LOGGER_MIN_INTERVAL_IN_SECS": "0",
    }


def posts_of(output: Path) -> list[tuple[str, int]]:
    """All that were read, as stdout tells them; the last line may be torn."""
    found: list[tuple[str, int]] = []
    for line in output.read_text().split("\n")[:-1]:
        mole = json.loads(line)["mole"]
        found.append((mole["epoch"], mole["seq"]))
    return found


def kill_often(start: Start, tmp_path: Path, address: str, kills: int, *, is_kept: bool) -> list[tuple[str, int]]:
    """The posts that were read by moles of which each was killed at any moment; without `is_kept` none is appended."""
    words = (str(tmp_path), str(kills), str(3 * INTERVAL_S), "kept" if is_kept else "lost")
    moles = start(-3, sys.executable, "-c", KILLING, *words, **settings(address, tmp_path / "state"))
    assert moles.process.wait(2 * LONG_S) == 0, moles.log
    return [number for path in sorted(tmp_path.glob("stdout*")) for number in posts_of(path)]


def bring_the_rest(start: Start, tmp_path: Path, port: int) -> StorePeer:
    """What a last start brings once the server is there."""
    server = StorePeer(port)
    try:
        mole = start(**settings(server.address, tmp_path / "state"))
        wait_until(lambda: server.order and server.stored[server.order[-1]]["mole"]["backlog"] == 0)
        mole.end()
    finally:
        server.close()
    return server


def test_kills_at_any_moment_cost_at_most_the_reading_in_hand(
    standin: NvmlStandin, start_mole: Start, tmp_path: Path
) -> None:
    port = free_port()
    read = kill_often(start_mole, tmp_path, f"http://127.0.0.1:{port}/", KILLS, is_kept=True)
    server = bring_the_rest(start_mole, tmp_path, port)
    newest: dict[str, int] = {}
    for epoch, seq in read:
        newest[epoch] = max(seq, newest.get(epoch, 0))
    assert len(newest) == KILLS
    assert len(read) >= 1.5 * KILLS
    missing = set(read) - set(server.stored)
    assert missing <= set(newest.items()), "only the newest of each start may be missing"
    assert server.changed == []
    assert server.duplicates == []
    for epoch in newest:
        seqs = [seq for name, seq in server.from_batches if name == epoch]
        assert seqs == sorted(seqs)
    assert not list((tmp_path / "state" / "outbox").glob("*.damaged-*"))


def test_the_same_kills_cost_nearly_all_where_nothing_is_appended(
    standin: NvmlStandin, start_mole: Start, tmp_path: Path
) -> None:
    port = free_port()
    read = kill_often(start_mole, tmp_path, f"http://127.0.0.1:{port}/", 6, is_kept=False)
    server = bring_the_rest(start_mole, tmp_path, port)
    assert len(set(read) - set(server.stored)) > 6


def test_a_server_that_is_away_for_a_while_misses_nothing(
    standin: NvmlStandin, start_mole: Start, tmp_path: Path
) -> None:
    server = StorePeer()
    output = tmp_path / "stdout"
    with output.open("wb") as written:
        mole = start_mole(written.fileno(), **settings(server.address, tmp_path / "state"))
        wait_until(lambda: server.stored)
        server.close()
        wait_until(lambda: "no connection" in mole.log)
        wait_until(lambda: len(posts_of(output)) > 6)
        again = StorePeer(server.port)
        try:
            wait_until(lambda: again.from_batches)
            made = set(posts_of(output)[:-1])
            wait_until(lambda: made <= {*server.stored, *again.stored})
            wait_until(lambda: again.order and again.stored[again.order[-1]]["mole"]["backlog"] == 0)
            assert mole.end() < PROMPT_S
        finally:
            again.close()
    assert again.from_batches == sorted(again.from_batches)
    assert again.duplicates == []
    assert "Traceback" not in mole.log


def test_a_signal_ends_a_mole_whose_backlog_hangs(standin: NvmlStandin, start_mole: Start, tmp_path: Path) -> None:
    away = start_mole(**settings(f"http://127.0.0.1:{free_port()}/", tmp_path / "state"))
    wait_until(lambda: "no connection" in away.log)
    time.sleep(1)
    away.end()
    server = StorePeer()
    server.judge_batch = lambda _: 200 if server.may_answer.wait(LONG_S) else 500
    try:
        mole = start_mole(**settings(server.address, tmp_path / "state"))
        wait_until(lambda: any(request["path"] == "/batch" for request in server.requests))
        server.may_answer.clear()
        assert mole.end() < PROMPT_S
        assert mole.process.returncode == 0
    finally:
        server.close()


def test_the_passcode_is_in_no_file_of_the_mole(
    peer: Peer, standin: NvmlStandin, start_mole: Start, tmp_path: Path
) -> None:
    peer.answer = (400, b'{"success": false, "msg": "canary is wrong"}')
    state = tmp_path / "state"
    mole = start_mole(**settings(peer.address, state))
    wait_until(lambda: list(state.glob("outbox/refused-*.json")))
    mole.end()
    files = [path for path in state.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        assert b"canary" not in path.read_bytes(), path
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_without_an_outbox_nothing_is_kept(peer: Peer, standin: NvmlStandin, start_mole: Start, tmp_path: Path) -> None:
    start_mole(**{**settings(peer.address, tmp_path / "state"), "OUTBOX_MAX_MIB": "0"})
    wait_until(lambda: len(peer.posts) >= 3)
    assert not (tmp_path / "state" / "outbox").exists()
    assert "backlog" not in peer.posts[-1]["mole"]


def test_print_and_check_leave_the_outbox_alone(
    peer: Peer, standin: NvmlStandin, start_mole: Start, tmp_path: Path
) -> None:
    mole = start_mole(**settings(f"http://127.0.0.1:{free_port()}/", tmp_path / "state"))
    wait_until(lambda: "no connection" in mole.log)
    time.sleep(0.5)
    mole.end(signal.SIGKILL)
    folder = tmp_path / "state" / "outbox"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    checking = start_mole(
        subprocess.PIPE, sys.executable, "-m", "cluster_dash_mole", "check", cwd=MOLE_FOLDER,
        **settings(peer.address, tmp_path / "state"),
    )  # fmt: skip
    shown = checking.process.communicate(timeout=LONG_S)[0].decode()
    [line] = [line for line in shown.splitlines() if line.startswith("outbox")]
    waiting = int(line.rpartition(": ")[2].split()[0])
    assert line.endswith(f"{folder}: {waiting} posts wait, at most 256 MiB")
    assert waiting >= 3
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
