"""One mole a host and target, one a state folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster_dash_mole.lock import AnotherMoleError, MoleLock, find_holder

Take = Callable[..., MoleLock]


@pytest.fixture
def take() -> Iterator[Take]:
    taken: list[MoleLock] = []

    def take(folder: Path, *targets: str) -> MoleLock:
        taken.append(MoleLock(folder, targets))
        return taken[-1]

    yield take
    for lock in taken:
        lock.close()


@pytest.fixture
def target(tmp_path: Path) -> str:
    """Of this test alone: the names are the whole machine's."""
    return f"http://{tmp_path}/"


def test_a_state_folder_is_one_moles(take: Take, tmp_path: Path) -> None:
    take(tmp_path)
    holder = f"pid {os.getpid()} on {socket.gethostname()}"
    with pytest.raises(AnotherMoleError, match=f"another mole uses {tmp_path} .{holder}"):
        take(tmp_path)


def test_a_target_is_one_moles_wherever_they_keep_their_state(take: Take, tmp_path: Path, target: str) -> None:
    take(tmp_path / "a", target)
    for same in (target, target.rstrip("/")):
        with pytest.raises(AnotherMoleError, match=f"reports to .* .pid {os.getpid()} of uid {os.getuid()}"):
            take(tmp_path / "b", same)
    take(tmp_path / "b", target + "elsewhere")


def test_what_is_closed_is_free(take: Take, tmp_path: Path, target: str) -> None:
    for _ in range(2):
        take(tmp_path, target).close()


def test_one_that_was_refused_holds_nothing(take: Take, tmp_path: Path, target: str) -> None:
    first = take(tmp_path / "a", target)
    with pytest.raises(AnotherMoleError):
        take(tmp_path / "b", target)
    first.close()
    take(tmp_path / "b", target)


def test_a_mole_that_was_killed_holds_nothing(take: Take, tmp_path: Path, target: str) -> None:
    script = (
        "import sys, time; from pathlib import Path; from cluster_dash_mole.lock import MoleLock\n"
        "lock = MoleLock(Path(sys.argv[1]), [sys.argv[2]]); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path), target], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert find_holder(target) == f"pid {holder.pid} of uid {os.getuid()}"
        with pytest.raises(AnotherMoleError, match=f"pid {holder.pid} on"):
            take(tmp_path, target)
        holder.kill()
    take(tmp_path, target)


def test_however_many_ask_the_holder_is_told(take: Take, tmp_path: Path, target: str) -> None:
    lock = take(tmp_path, target)
    for _ in range(50):
        assert find_holder(target) == f"pid {os.getpid()} of uid {os.getuid()}"
        lock.drain()
    assert find_holder(target + "elsewhere") is None


def test_where_nothing_can_be_written_the_target_is_still_one_moles(take: Take, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").touch()
    take(tmp_path / "file", target)
    with pytest.raises(AnotherMoleError):
        take(tmp_path / "file", target)
