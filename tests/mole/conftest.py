"""Gives the mole's tests their stand-in GPUs, servers and processes, and ends all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nvml_standin import NvmlStandin, compile_standin

from cluster_dash_mole import nvml_pipe
from mole.gpu_host import Host
from mole.peers import LONG_S, MOLE_FOLDER, MoleProcess, Peer


@pytest.fixture(scope="session")
def standin_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    """Compiles each variant of the stand-in once."""
    known: dict[tuple[str, ...], Path] = {}

    def library(missing: tuple[str, ...]) -> Path:
        if missing not in known:
            known[missing] = compile_standin(tmp_path_factory.mktemp("nvml"), missing)
        return known[missing]

    return library


@pytest.fixture
def make_standin(
    standin_library: Callable[[tuple[str, ...]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., NvmlStandin]:
    """Puts a stand-in in the place of NVIDIA's library for all that this test starts."""

    def make(*missing: str) -> NvmlStandin:
        standin = NvmlStandin(standin_library(missing), tmp_path)
        for name, value in standin.env.items():
            monkeypatch.setenv(name, value)
        return standin

    return make


@pytest.fixture
def standin(make_standin: Callable[..., NvmlStandin]) -> NvmlStandin:
    """A stand-in with every function."""
    return make_standin()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """A process of NVML that is killed is waited for on a busy machine too, else it would be left behind."""
    monkeypatch.setattr(nvml_pipe, "_PATIENCE_S", (0.3, LONG_S, LONG_S))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A collector of GPUs on a host of this test's own."""
    host = Host(tmp_path)
    yield host
    host.collector.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A server that stores everything."""
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def start_mole(tmp_path: Path) -> Iterator[Callable[..., MoleProcess]]:
    """Starts real mole processes; settings are given without their prefix."""
    started: list[MoleProcess] = []

    def start(
        stdout: int = -3, *command: str, cwd: Path = MOLE_FOLDER, before: tuple[str, ...] = (), **env: str
    ) -> MoleProcess:
        words = (*before, *(command or (sys.executable, "smart_startup.py")))
        started.append(MoleProcess(tmp_path, env, stdout, words, cwd))
        return started[-1]

    yield start
    for mole in started:
        mole.close()
