"""The command as a person types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from nvml_standin import Gpu, NvmlStandin

from cluster_dash_mole import __version__
from mole.peers import LONG_S, MoleProcess, Peer, free_port, wait_until

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).with_name("cluster-dash-mole"))
FAST = {"CLUSTER_DASH_MOLE_POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.2"}
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def call(tmp_path: Path, peer: Peer) -> Call:
    """Runs the command in an empty folder, with `peer` as its server."""

    def call(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        address = {"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_ADDRESS_IN": peer.address}
        passcode = {"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_AUTH_CODE": "canary"}
        environ = {
            **os.environ,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            **FAST,
            **address,
            **passcode,
            **(env or {}),
        }
        folder = tmp_path / "folder"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [COMMAND, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    return call


def test_the_version_is_shown(call: Call) -> None:
    assert call("--version").stdout == f"cluster-dash-mole {__version__}\n"


def test_print_shows_a_post_without_the_passcode_and_sends_nothing(
    call: Call, peer: Peer, standin: NvmlStandin, tmp_path: Path
) -> None:
    standin.set(Gpu(util=42))
    done = call("print")
    assert done.returncode == 0, done.stderr
    post = json.loads(done.stdout)
    assert [gpu["gpu_util"] for gpu in post["gpu"].values()] == [42]
    assert "auth_code" not in post
    assert "canary" not in done.stdout + done.stderr
    assert peer.posts == []
    assert not (tmp_path / "state").exists()


def test_print_as_a_table(call: Call, standin: NvmlStandin) -> None:
    standin.set(Gpu(util=42))
    lines = call("print", "--table").stdout.splitlines()
    assert lines[0].startswith(os.uname().nodename[:16])
    assert "NVIDIA H100 80GB HBM3" in lines[1]


def test_check_tells_what_is_read_what_that_costs_and_that_the_server_takes_it(
    call: Call, peer: Peer, standin: NvmlStandin, tmp_path: Path
) -> None:
    standin.set(Gpu(), Gpu(util=None, memory_util=None))
    done = call("check")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stdout
    assert all(line[12] != " " == line[11] for line in done.stdout.splitlines()), "aligned"
    assert lines["settings"].startswith("defaults, as ")
    assert lines["state"].endswith("the mole gets an id with the first start")
    assert lines["running"] == "no mole reports to that server yet"
    assert ", 2 GPUs, " in lines["host"]
    assert "gpu         0  NVIDIA H100 80GB HBM3: ok\n" in done.stdout
    assert re.search(r"^gpu         1  NVIDIA.*: not told: gpu_util, memory_util$", done.stdout, re.M)
    assert re.fullmatch(r"[\d.]+ ms, [\d.]+ ms of CPU", lines["reading"])
    assert re.match(r"\d+ bytes, \d+ gzipped; [\d.]+ MB a day each 5 s", lines["post"])
    assert re.fullmatch(rf"{peer.address} takes it: [\d.]+ ms, [\d.]+ ms of CPU", lines["server"])
    assert lines["result"] == "all is well"
    assert len(peer.posts) == 1
    assert peer.posts[0]["auth_code"] == "canary"
    assert not {"id", "epoch", "seq"} & set(peer.posts[0]["mole"]), "it counts for no mole"
    assert not (tmp_path / "state").exists()
    assert "canary" not in done.stdout + done.stderr


def test_check_tells_what_cannot_be_read_and_why(call: Call, standin: NvmlStandin) -> None:
    standin.set(Gpu(), Gpu(), faults=("gpu 1 fail * 15",))
    done = call("check")
    assert done.returncode == 1
    assert re.search(r"^gpu +1  .*: lost: ", done.stdout, re.M)
    standin.set(faults=("fail nvmlInitWithFlags 9",))
    done = call("check")
    assert done.returncode == 1
    assert re.search(r"^not read +\S+: the NVIDIA driver is not loaded", done.stdout, re.M)


def test_check_tells_why_the_server_does_not_take_it(call: Call, peer: Peer, standin: NvmlStandin) -> None:
    standin.set(Gpu())
    peer.answer = (401, b'{"success": false, "msg": "wrong auth_code"}')
    done = call("check")
    assert done.returncode == 1
    assert f"server      {peer.address} answers 401: wrong auth_code\nresult      1 wrong\n" in done.stdout
    gone = f"http://127.0.0.1:{free_port()}/"
    done = call("check", env={"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_ADDRESS_IN": gone})
    assert done.returncode == 1
    assert f"server      {gone} no connection: Connection refused\n" in done.stdout


def test_the_settings_file_can_be_named_and_a_wrong_one_is_told(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[StdOut_Logger]\nmin_interval_in_secs = -1\n")
    named = ("--config", str(path))
    for words in (named, (*named, "check"), ("check", *named), ("print", *named)):
        done = call(*words)
        assert done.returncode == 2
        assert done.stderr.startswith(f"cluster-dash-mole: {path}: [StdOut_Logger] min_interval_in_secs = -1: must be")
        assert done.stderr.count("\n") == 1


def test_wrong_words_are_answered_with_the_right_ones(call: Call) -> None:
    done = call("chekc")
    assert done.returncode == 2
    assert "usage: cluster-dash-mole" in done.stderr
    assert "check" in call("--help").stdout


@pytest.mark.parametrize("words", [(COMMAND,), (sys.executable, "-m", "cluster_dash_mole")])
def test_without_a_command_it_runs_until_it_is_ended(
    peer: Peer, standin: NvmlStandin, start_mole: Callable[..., MoleProcess], tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    config = folder / f"config_{os.uname().nodename}.toml"
    config.write_text(
        f"[Json_Sender_Logger]\naddress_in = '{peer.address}'\nmin_interval_in_secs = 0\n"
        "[Poll_Settings]\npoll_interval_in_secs = 0.2\n"
    )
    mole = start_mole(-3, *words, cwd=folder)
    wait_until(lambda: len(peer.posts) >= 2)
    assert f"settings: {config}" in mole.log
    mole.end()
    assert mole.process.returncode == 0


def test_a_second_mole_says_so_and_stops(
    peer: Peer, standin: NvmlStandin, start_mole: Callable[..., MoleProcess], tmp_path: Path
) -> None:
    settings = {"POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.2", "JSON_SENDER_LOGGER_ADDRESS_IN": peer.address}
    first = start_mole(**settings)
    wait_until(lambda: peer.posts)
    of_same_state, of_another = start_mole(**settings), start_mole(**settings, STATE_DIRECTORY=str(tmp_path / "other"))
    for second in (of_same_state, of_another):
        assert second.process.wait(LONG_S) == 3
        assert second.log.count("another mole") == 1
        assert f"pid {first.process.pid} o" in second.log
        assert "this one stops" in second.log
    assert first.process.poll() is None
    assert {post["mole"]["id"] for post in peer.posts} == {peer.posts[0]["mole"]["id"]}
    first.end()
    third = start_mole(**settings)
    count = len(peer.posts)
    wait_until(lambda: len(peer.posts) > count)
    assert third.process.poll() is None
