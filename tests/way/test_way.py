"""The whole way: a real mole process with the stand-in NVML to a real waitress process, as a person sees it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from nvml_standin import GIB, Gpu, NvmlStandin, compile_standin, without_library
from processes import LONG_S, PROMPT_S, ROOT, Program, Server, until

from cluster_dash_mole.outbox_scan import count_waiting
from cluster_dash_mole.pci import count_nvidia_gpus

pytestmark = pytest.mark.slow

MOLE = [sys.executable, str(ROOT / "cluster-dash-mole" / "smart_startup.py")]
HOSTNAME = os.uname().nodename


def mole_environ(url: str, folder: Path, **settings: str) -> dict[str, str]:
    values = {
        "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.2",
        "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        "JSON_SENDER_LOGGER_ADDRESS_IN": url + "/",
        "JSON_SENDER_LOGGER_TIMEOUT_IN_SECS": str(LONG_S),
        **settings,
    }
    return {f"CLUSTER_DASH_MOLE_{name}": value for name, value in values.items()} | {"XDG_STATE_HOME": str(folder)}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_standin(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def standin(library: Path, tmp_path: Path) -> NvmlStandin:
    return NvmlStandin(library, tmp_path)


@pytest.fixture
def mole(server: Server, standin: NvmlStandin, tmp_path: Path) -> Iterator[Program]:
    environ = mole_environ(server.url, tmp_path) | standin.env
    with Program(MOLE, tmp_path / "mole.log", environ) as running:
        yield running


def dashboard(server: Server) -> dict[str, Any]:
    return server.get("/api/dashboard-data").json()["servers"].get(HOSTNAME, {})


def posts_of(server: Server) -> int:
    """Points in the host's CPU chart."""
    answer = requests.get(f"{server.url}/host/{HOSTNAME}", headers={"Accept": "application/json"}, timeout=LONG_S)
    if answer.status_code != requests.codes.ok:
        return 0
    charts = [figure for figure in answer.json() if figure["layout"]["meta"]["title"] == "CPU"]
    return len(charts[0]["data"][0]["y"]) if charts else 0


@pytest.mark.usefixtures("mole")
def test_this_host_and_its_gpus_arrive_and_go_on(server: Server, standin: NvmlStandin) -> None:
    standin.set(Gpu(util=70, used=20 * GIB, processes=[("compute", os.getpid(), 19 * GIB)]), Gpu(util=0, used=0))
    until(lambda: len(dashboard(server).get("gpus", [])) == 2)
    busy, free = dashboard(server)["gpus"]
    assert (busy["name"], busy["gpu_util"], busy["used_mem_mb"]) == ("NVIDIA H100 80GB HBM3", 70, 20 * 1024)
    (processes,) = busy["users"].values()
    assert processes[str(os.getpid())]["mem"] == 19 * 1024
    assert (free["gpu_util"], free["used_mem_mb"], free["users"]) == (0, 0, {})
    assert dashboard(server)["cpu"]["num_cpus"] == psutil.cpu_count()
    before = posts_of(server)
    until(lambda: posts_of(server) >= before + 3)
    (row,) = server.get("/api/hosts").json()["hosts"]
    assert row["name"] == HOSTNAME
    assert "H100" in row["model"]


@pytest.mark.usefixtures("mole")
def test_what_befalls_the_gpus_is_seen_and_so_is_their_return(server: Server, standin: NvmlStandin) -> None:
    gpus = (Gpu(), Gpu(), Gpu())
    standin.set(*gpus)
    until(lambda: len(dashboard(server).get("gpus", [])) == 3)
    standin.set(*gpus, faults=("gpu 1 fail * 15",))
    until(lambda: "GPU 1 lost" in server.get("/").text)
    assert [gpu["is"] == "lost" for gpu in server.get("/api/gpus").json()["gpus"]] == [False, True, False]
    assert [gpu["used_mem_mb"] is None for gpu in dashboard(server)["gpus"]] == [False, True, False]
    standin.set(*gpus, faults=("fail nvmlDeviceGetCount_v2 18",))
    until(lambda: "differ in version" in server.get("/").text)
    assert dashboard(server)["cpu"]["cpu_percent"] is not None
    standin.set(*gpus)
    until(lambda: len(dashboard(server)["gpus"]) == 3 and "gpu_error" not in dashboard(server))


@pytest.mark.usefixtures("mole")
def test_a_driver_that_is_not_loaded_is_told_as_that(server: Server, standin: NvmlStandin) -> None:
    standin.set(faults=("fail nvmlInitWithFlags 9",))
    until(lambda: "the NVIDIA driver is not loaded" in dashboard(server).get("gpu_error", ""))
    assert dashboard(server)["gpus"] == []
    assert dashboard(server)["summary"]["free_gpus"] == 0


@pytest.mark.skipif(count_nvidia_gpus() != 0, reason="this host has an NVIDIA GPU")
def test_a_host_without_a_gpu_is_no_host_with_an_error(server: Server, tmp_path: Path) -> None:
    environ = mole_environ(server.url, tmp_path) | without_library(tmp_path)
    with Program(MOLE, tmp_path / "mole.log", environ):
        until(lambda: dashboard(server))
        assert (dashboard(server)["gpus"], "gpu_error" in dashboard(server)) == ([], False)
        assert server.get("/api/gpus").json()["gpus"] == []


def test_a_server_that_goes_and_returns_is_found_again(server: Server, mole: Program, tmp_path: Path) -> None:
    until(lambda: dashboard(server))
    port = server.port
    server.end()
    until(lambda: "connection refused" in mole.log.lower())
    with Server(tmp_path, port=port) as again:
        until(lambda: dashboard(again))
    assert mole.process is not None
    assert mole.process.poll() is None
    assert "Traceback" not in mole.log


def test_a_wrong_passcode_is_told_to_the_person_who_reads_the_moles_log(tmp_path: Path, standin: NvmlStandin) -> None:
    with Server(tmp_path, {"CLUSTER_DASH_PASSCODE": "secret-canary"}) as server:
        environ = mole_environ(server.url, tmp_path) | standin.env
        with Program(MOLE, tmp_path / "mole.log", environ) as mole:
            until(lambda: "must be the passcode that the server is configured with" in mole.log)
            assert "401" in mole.log
        assert dashboard(server) == {}
        right = mole_environ(server.url, tmp_path, JSON_SENDER_LOGGER_AUTH_CODE="secret-canary") | standin.env
        with Program(MOLE, tmp_path / "mole.log", right) as mole:
            until(lambda: dashboard(server))
            assert "secret-canary" not in mole.log + server.log


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_both_end_in_order(server: Server, mole: Program, with_signal: signal.Signals) -> None:
    until(lambda: dashboard(server))
    for program in (mole, server):
        code, seconds = program.end(with_signal)
        assert (code, "Traceback" in program.log) == (0, False)
        assert seconds < PROMPT_S


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_make_runs_program_starts_both_and_ends_both(tmp_path: Path, with_signal: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, str(ROOT / "deploy" / "run.py"), "--port", str(port)]
    with Program(command, tmp_path / "run.log", {"XDG_STATE_HOME": str(tmp_path)}) as program:
        until(lambda: f"cluster-dash: http://127.0.0.1:{port}/" in program.log)
        until(lambda: HOSTNAME in requests.get(f"http://127.0.0.1:{port}/", timeout=LONG_S).text)
        children = psutil.Process(program.pid).children(recursive=True)
        assert len(children) >= 2
        os.kill(program.pid, with_signal)  # and once more, as somebody impatient does
        code, _ = program.end(with_signal)
        assert code == 0
        assert not psutil.wait_procs(children, PROMPT_S)[1]
        assert "Traceback" not in program.log


def test_a_port_that_is_none_is_told(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "deploy" / "run.py"), "--port", "99999"]
    with Program(command, tmp_path / "run.log") as program:
        assert program.process is not None
        assert program.process.wait(LONG_S) == 1
        assert program.log == "PORT=99999 is no port: choose one from 1 to 65535\n"


def test_a_taken_port_is_told_with_the_way_out(tmp_path: Path, server: Server) -> None:
    command = [sys.executable, str(ROOT / "deploy" / "run.py"), "--port", str(server.port)]
    with Program(command, tmp_path / "run.log") as program:
        assert program.process is not None
        assert program.process.wait(LONG_S) == 1
        assert f"Port {server.port} of 127.0.0.1 is taken" in program.log
        assert "make run PORT=" in program.log


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_posts_of_an_outage_are_all_taken_once_the_server_is_there(standin: NvmlStandin, tmp_path: Path) -> None:
    standin.set(Gpu())
    state = {"STATE_STATE_DIR": str(tmp_path / "state"), "OUTBOX_POSTS_PER_SEC": "1000"}
    outbox = tmp_path / "state" / "outbox"
    with Server(tmp_path) as first:
        port = first.port
    environ = mole_environ(f"http://127.0.0.1:{port}", tmp_path, **state) | standin.env
    with Program(MOLE, tmp_path / "first.log", environ) as mole:
        until(lambda: "no connection" in mole.log)
        until(lambda: count_waiting(outbox) >= 5)
    waiting = count_waiting(outbox)
    with Server(tmp_path, port=port) as server, Program(MOLE, tmp_path / "second.log", environ) as mole:
        until(lambda: dashboard(server).get("status") == "online")
        until(lambda: outbox_is_sent(outbox), message=f"{count_waiting(outbox)} of {waiting} posts wait: {mole.log}")
        assert "WARNING" not in mole.log
        assert "ERROR" not in mole.log
        assert "refused" not in server.log
        assert mole.end()[0] == 0


def outbox_is_sent(outbox: Path) -> bool:
    """But for the newest, which may be on its way."""
    return count_waiting(outbox) <= 1
