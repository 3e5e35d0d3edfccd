"""The real process, as systemd or a person starts and ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from nvml_standin import Gpu, NvmlStandin

from cluster_dash_mole import __version__
from mole.peers import LONG_S, MOLE_FOLDER, PROMPT_S, MoleProcess, Peer, free_port, wait_until

pytestmark = pytest.mark.slow

Start = Callable[..., MoleProcess]


def settings(address: str) -> dict[str, str]:
    return {
        "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.2",
        "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        "JSON_SENDER_LOGGER_ADDRESS_IN": address,
        "JSON_SENDER_LOGGER_AUTH_CODE": "canary",
    }


def nvml_children(mole: MoleProcess) -> list[psutil.Process]:
    """A mole on a host with network mounts has a child for these, too."""
    children = psutil.Process(mole.process.pid).children()
    return [child for child in children if any("nvml_child" in word for word in child.cmdline())]


def ended_well(mole: MoleProcess, number: int) -> None:
    children = psutil.Process(mole.process.pid).children()
    seconds = mole.end(number)
    assert seconds < PROMPT_S
    assert mole.process.returncode == 0
    assert "Traceback" not in mole.log
    _, alive = psutil.wait_procs(children, PROMPT_S)
    assert not alive


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_mole_at_once_and_its_nvml_process_with_it(
    peer: Peer, standin: NvmlStandin, start_mole: Start, number: int
) -> None:
    standin.set(Gpu())
    mole = start_mole(**settings(peer.address))
    wait_until(lambda: len(peer.posts) >= 2 and peer.posts[-1]["gpu"])
    assert len(nvml_children(mole)) == 1
    ended_well(mole, number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_mole_while_nvml_and_a_post_hang(
    peer: Peer, standin: NvmlStandin, start_mole: Start, number: int
) -> None:
    standin.set(Gpu(), faults=("delay nvmlDeviceGetCount_v2 60",))
    peer.may_answer.clear()
    mole = start_mole(**settings(peer.address))
    wait_until(lambda: peer.posts)
    ended_well(mole, number)


def test_a_signal_ends_the_mole_while_nobody_reads_its_output(
    peer: Peer, standin: NvmlStandin, start_mole: Start
) -> None:
    standin.set(*(Gpu() for _ in range(64)))
    on = {"STDOUT_LOGGER_USE": "true", "STDOUT_LOGGER_MIN_INTERVAL_IN_SECS": "0"}
    mole = start_mole(subprocess.PIPE, **settings(peer.address), **on)
    wait_until(lambda: len(peer.posts) >= 10)
    ended_well(mole, signal.SIGTERM)


def test_ctrl_c_for_the_whole_group_ends_it_quietly(peer: Peer, standin: NvmlStandin, start_mole: Start) -> None:
    standin.set(Gpu())
    mole = start_mole(**settings(peer.address))
    wait_until(lambda: peer.posts)
    os.killpg(mole.process.pid, signal.SIGINT)
    assert mole.process.wait(LONG_S) == 0
    assert "Traceback" not in mole.log


def test_a_killed_mole_leaves_no_process(peer: Peer, standin: NvmlStandin, start_mole: Start) -> None:
    standin.set(Gpu())
    mole = start_mole(**settings(peer.address))
    wait_until(lambda: peer.posts and nvml_children(mole))
    children = psutil.Process(mole.process.pid).children()
    mole.end(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, PROMPT_S)
    assert not alive
    assert standin.was_shut_down


@pytest.mark.parametrize("is_on", [True, False])
def test_the_activity_of_a_gpus_parts_is_read_unless_it_is_turned_off(
    peer: Peer, standin: NvmlStandin, start_mole: Start, is_on: bool
) -> None:
    standin.set(Gpu())
    start_mole(**settings(peer.address), GPU_ACTIVITY=str(is_on).lower())

    def count(metric: str) -> int:
        return sum(metric in post["metrics"] for post in list(peer.posts))

    wait_until(lambda: count("sys.gpu.mem_temperature_c") >= 4)  # what is read of two samples comes later
    if is_on:
        wait_until(lambda: count("sys.gpu.tensor_active_percent"))
    assert (count("sys.gpu.tensor_active_percent") > 0) == is_on


def test_a_hung_driver_does_not_slow_the_posts(peer: Peer, standin: NvmlStandin, start_mole: Start) -> None:
    standin.set(Gpu(), faults=("delay nvmlDeviceGetMemoryInfo_v2 60",))
    start_mole(**settings(peer.address))
    wait_until(lambda: len(peer.posts) >= 6)
    times = [post["timestamp"] for post in peer.posts[1:6]]
    assert times[-1] - times[0] < PROMPT_S
    assert peer.posts[5]["cpu"]["cpu_percent"] is not None


def test_a_server_that_is_away_and_back_gets_posts_again(standin: NvmlStandin, start_mole: Start) -> None:
    first = Peer(free_port())
    mole = start_mole(**settings(first.address))
    wait_until(lambda: first.posts)
    first.close()
    wait_until(lambda: "no connection" in mole.log)
    second = Peer(first.port)
    try:
        wait_until(lambda: len(second.posts) >= 2)
        wait_until(lambda: "works again" in mole.log)
    finally:
        second.close()
    live = [post for post in second.posts if "mole" in post]  # not the batches of what waited
    assert live[-1]["mole"]["seq"] > first.posts[-1]["mole"]["seq"]
    told = [line for line in mole.log.splitlines() if "WARNING http" in line and "no connection" in line]
    assert len(told) == 1


def test_stdout_holds_posts_and_no_passcode(peer: Peer, standin: NvmlStandin, start_mole: Start) -> None:
    standin.set(Gpu())
    on = {"STDOUT_LOGGER_USE": "true", "STDOUT_LOGGER_MIN_INTERVAL_IN_SECS": "0"}
    mole = start_mole(subprocess.PIPE, **settings(peer.address), **on)
    assert mole.process.stdout
    lines = [json.loads(mole.process.stdout.readline()) for _ in range(3)]
    assert [line["mole"]["seq"] for line in lines] == [1, 2, 3]
    while not lines[-1]["gpu"]:  # the first ones don't wait for a driver that is slow to answer
        lines.append(json.loads(mole.process.stdout.readline()))
    assert "canary" not in json.dumps(lines) + mole.log


def test_a_pipe_that_is_closed_stops_nothing_else(peer: Peer, standin: NvmlStandin, start_mole: Start) -> None:
    on = {"STDOUT_LOGGER_USE": "true", "STDOUT_LOGGER_MIN_INTERVAL_IN_SECS": "0"}
    mole = start_mole(subprocess.PIPE, **settings(peer.address), **on)
    assert mole.process.stdout
    mole.process.stdout.close()
    wait_until(lambda: "stdout can't be written (Broken pipe)" in mole.log)
    before = len(peer.posts)
    wait_until(lambda: len(peer.posts) >= before + 2)
    ended_well(mole, signal.SIGTERM)


def test_the_log_says_which_settings_and_where_posts_go(peer: Peer, standin: NvmlStandin, start_mole: Start) -> None:
    mole = start_mole(**settings(peer.address))
    wait_until(lambda: peer.posts)
    assert f"settings: {MOLE_FOLDER / 'config.toml'}" in mole.log
    assert f"cluster-dash-mole {__version__} reports to {peer.address} every 0.2 s" in mole.log


def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path: Path, start_mole: Start) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[Poll_Settings]\npoll_interval_in_secs = -1\n")
    mole = start_mole(CONFIG=str(path))
    assert mole.process.wait(LONG_S) == 2
    setting = f"{path}: [Poll_Settings] poll_interval_in_secs = -1"
    assert mole.log == f"cluster-dash-mole: {setting}: must be a number of seconds from 0.1 to 86400\n"


def test_a_missing_package_is_named_and_no_traceback(tmp_path: Path) -> None:
    script = str(MOLE_FOLDER / "smart_startup.py")
    environ = {"HOME": str(tmp_path), "CLUSTER_DASH_MOLE_STATE_STATE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-S", script], env=environ, capture_output=True, timeout=30, check=False)
    assert done.returncode == 4
    assert b"the Python package 'requests' is missing" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_start_is_counted_in_the_state_folder(
    peer: Peer, standin: NvmlStandin, start_mole: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "systemd"
    for starts in (1, 2):
        peer.posts.clear()
        mole = start_mole(**settings(peer.address), STATE_DIRECTORY=str(folder))
        wait_until(lambda: peer.posts)
        mole.end()
        assert peer.posts[0]["mole"]["epoch"].endswith(f".{starts}")


def test_the_version_is_that_of_the_package() -> None:
    assert f'version = "{__version__}"' in (MOLE_FOLDER / "pyproject.toml").read_text()


def test_the_nvml_process_imports_little() -> None:
    script = "import sys; sys.path += sys.argv[1:]; import cluster_dash_mole.nvml_child; print(' '.join(sys.modules))"
    folder = str(MOLE_FOLDER)
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", script, folder], capture_output=True, check=True)
    assert not {"typing", "subprocess", "logging", "requests", "psutil"} & set(shown.stdout.decode().split())
