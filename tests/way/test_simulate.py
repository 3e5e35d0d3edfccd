"""The simulator to a real server process: what the server says is what the simulator did."""

from __future__ import annotations

import os
import signal
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from processes import LONG_S, PROMPT_S, ROOT, SERVE, Program, Server, until

from cluster_dash_mole.simulate import scenario, truth
from cluster_dash_mole.simulate.fleet import Fleet
from cluster_dash_server.config import Limits
from cluster_dash_server.receive.schema import Schema

SIMULATE = [sys.executable, "-m", "cluster_dash_mole", "simulate"]


def hosts_of(server: Server) -> dict[str, Any]:
    return server.get("/api/dashboard-data").json()["servers"]


def test_every_post_passes_the_servers_schema() -> None:
    schema = Schema(Limits())
    demo, plain = Fleet(began_at=time.time()), Fleet(70, scenario="plain", gpus_per_host=3)
    for fleet, numbers in ((demo, (0, 1, 2, 500)), (plain, (0, 1))):
        for host in range(len(fleet)):
            for number in numbers:
                post = fleet.post(host, fleet.hosts[host].facts.sent_at(number))
                schema.check({**post, "auth_code": "x"})


@pytest.mark.slow
def test_the_server_shows_what_the_simulator_did(server: Server) -> None:
    now = time.time()
    fleet = Fleet(began_at=now - 60, spread=False)
    for host in range(len(fleet)):
        for at in (now - 57, now):  # a driver hides only what was seen before it hung
            answer = server.post({**fleet.post(host, at), "auth_code": "lab_cluster_2025"})
            assert answer.status_code == requests.codes.ok, answer.text
    shown = hosts_of(server)
    assert set(shown) == set(fleet.names)
    for host, name in enumerate(fleet.names):
        told = fleet.truth(host, now)
        if scenario.DRIVER_HUNG in told.conditions:
            assert "does not answer" in shown[name]["gpu_error"]
            continue
        assert [gpu["name"] for gpu in shown[name]["gpus"]] == [gpu.model for gpu in told.gpus]
        for gpu, entry in zip(told.gpus, shown[name]["gpus"], strict=True):
            assert entry["gpu_util"] == gpu.util_percent
            assert entry["used_mem_mb"] == gpu.used_mib
            assert sorted(entry["users"] or ()) == sorted(gpu.users + gpu.screens)
    text = server.get("/").text
    (lost,) = [gpu for host in range(24) for gpu in fleet.truth(host, now).gpus if gpu.state == truth.LOST]
    assert f"h100-02: GPU {lost.index} lost" in text
    assert "v100-01: its clock is 1 h 30 min ahead" in text
    (login,) = [host for host in server.get("/api/hosts").json()["hosts"] if host["name"] == "login-1"]
    assert login["gpus"] == []


@pytest.mark.slow
@pytest.mark.parametrize("hosts", [24, 400])
def test_the_command_feeds_a_real_server(tmp_path: Path, hosts: int) -> None:
    environ = {"CLUSTER_DASH_PASSCODE": "secret-canary"}
    with Server(tmp_path, environ, command=SERVE) as server:
        words = [*SIMULATE, "--hosts", str(hosts), "--interval", "2", "--server", server.url]
        right = {"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_AUTH_CODE": "secret-canary"}
        with Program(words, tmp_path / "simulate.log", right) as simulator:
            until(lambda: len(hosts_of(server)) == hosts)
            time.sleep(3)
            code, seconds = simulator.end()
            assert (code, seconds < PROMPT_S) == (0, True)
            assert "posts taken, 0 refused" in simulator.log
            assert "secret-canary" not in simulator.log + server.log


@pytest.mark.slow
@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_make_demos_program_starts_both_and_ends_both(tmp_path: Path, with_signal: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, str(ROOT / "deploy" / "run.py"), "--demo", "--port", str(port)]
    with Program(command, tmp_path / "demo.log") as program:
        until(lambda: f"cluster-dash: http://127.0.0.1:{port}/" in program.log)
        url = f"http://127.0.0.1:{port}"
        until(lambda: len(requests.get(f"{url}/api/dashboard-data", timeout=LONG_S).json()["servers"]) == 24)
        children = psutil.Process(program.pid).children(recursive=True)
        assert len(children) == 2
        os.kill(program.pid, with_signal)
        code, _ = program.end(with_signal)
        assert code == 0
        assert not psutil.wait_procs(children, PROMPT_S)[1]
        assert "Traceback" not in program.log


def test_the_demos_settings_are_the_servers(tmp_path: Path) -> None:
    from cluster_dash_server.config import read_config

    path = ROOT / "deploy" / "demo.toml"
    settings = tomllib.loads(path.read_text("utf-8"))
    config = read_config({"CLUSTER_DASH_CONFIG": str(path)}, tmp_path / "none")
    assert config.live.recent_minutes == settings["live"]["recent_minutes"]


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
