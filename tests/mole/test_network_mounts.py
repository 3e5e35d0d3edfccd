"""File systems that may hang: each takes only its own answer along. The child is real, hanging is a loop within it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster_dash_mole.mounts import Mount
from cluster_dash_mole.network_mounts import DEADLINE_S, Answer, NetworkMounts
from mole.peers import LONG_S, PROMPT_S, ManualClock, wait_until

CHILD = [sys.executable, str(Path(__file__).with_name("slow_mounts_child.py"))]
STALE_S = DEADLINE_S + 2


class Rig:
    """Mounts in a folder; their deadlines pass when the test moves the clock."""

    def __init__(self, folder: Path, budget_s: float = 5.0) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.wall = ManualClock()
        self.wall.now = 1_795_308_000.0
        self.budget_s = budget_s
        self.mounts: list[Mount] = []
        self.network = self.build(CHILD)

    def build(self, command: list[str]) -> NetworkMounts:
        return NetworkMounts(self.budget_s, self.clock, self.wall, command)

    def add(self, name: str, mount_id: str = "30") -> Mount:
        Path(self.folder, name).mkdir(exist_ok=True)
        path = str(self.folder / name)
        self.mounts.append(Mount(mount_id, "20", "0:40", "/", path, "nfs4", f"server:/{name}", "rw"))
        return self.mounts[-1]

    def hang(self, name: str) -> None:
        Path(self.folder, f"{name}.hangs").touch()

    def release(self, name: str) -> None:
        Path(self.folder, f"{name}.hangs").unlink(missing_ok=True)

    def fail(self, name: str, error: int) -> None:
        Path(self.folder, f"{name}.fails").write_text(str(error))

    def asked(self, name: str) -> int:
        path = Path(self.folder, f"{name}.asked")
        return len(path.read_text().split()) if path.exists() else 0

    def read(self, after_s: float = 5.0) -> dict[str, Answer]:
        self.clock.now += after_s
        self.wall.now += after_s
        return {Path(mount.mount_point).name: answer for mount, answer in self.network.read(self.mounts).items()}

    def read_without_waiting(self, after_s: float = 5.0) -> dict[str, Answer]:
        self.network._budget_s = 0.05  # pyright: ignore[reportPrivateUsage]
        read = self.read(after_s)
        self.network._budget_s = self.budget_s  # pyright: ignore[reportPrivateUsage]
        return read


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    for hanging in tmp_path.glob("*.hangs"):
        hanging.unlink()
    rig.network.close()


def children() -> list[psutil.Process]:
    return psutil.Process().children()


def test_a_mount_that_answers_has_its_sizes(rig: Rig) -> None:
    rig.add("good")
    size = os.statvfs(rig.folder)
    answer = rig.read()["good"]
    assert answer.sizes is not None
    assert answer.sizes[:2] == (size.f_frsize, size.f_blocks)
    assert (answer.error, answer.stale_since) == (None, None)


def test_a_file_that_is_mounted_over_a_file_has_no_sizes(rig: Rig) -> None:
    rig.add("file")
    Path(rig.folder, "file").rmdir()
    Path(rig.folder, "file").touch()
    assert rig.read() == {"file": Answer(None)}


def test_a_mount_that_hangs_is_stale_after_the_deadline_and_the_others_go_on(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.add("good")
    rig.add("dead")
    assert rig.read()["dead"].sizes
    rig.hang("dead")
    known = rig.read_without_waiting()
    assert known["dead"].sizes, "late is not yet stale"
    asked_time = rig.wall.now
    for _ in range(3):
        read = rig.read()  # which waits for the good one alone
        assert read["good"].sizes
        assert read["dead"].sizes is None
        assert read["dead"].stale_since == asked_time
        assert str(read["dead"].error).startswith("no answer since 20")
        assert "server:/dead" in str(read["dead"].error)
    assert caplog.text.count("stale") == 1
    rig.wall.now += 1e8  # the clock is set, and with it all that is told by it
    assert rig.read()["dead"].stale_since == asked_time + 1e8


def test_a_mount_that_answers_again_is_shown_again(rig: Rig) -> None:
    rig.add("dead")
    rig.hang("dead")
    assert rig.read_without_waiting() == {}, "nothing is known yet"
    assert rig.read_without_waiting()["dead"].error
    rig.release("dead")
    wait_until(lambda: rig.read(0.0)["dead"].sizes)
    assert rig.read()["dead"].error is None


def test_twenty_mounts_that_hang_hold_one_process_and_are_asked_once_each(rig: Rig) -> None:
    others = set(threading.enumerate())
    names = [f"dead{number}" for number in range(20)]
    for name in names:
        rig.add(name)
        rig.hang(name)
    for _ in range(30):
        rig.read_without_waiting(60.0)
    assert len(rig.read_without_waiting()) == 20
    wait_until(lambda: all(rig.asked(name) for name in names))
    assert [rig.asked(name) for name in names] == [1] * 20
    assert len(children()) == 1
    assert children()[0].num_threads() == 21
    assert set(threading.enumerate()) <= others, "none of the mole's own threads waits"


def test_a_reading_waits_for_a_mount_that_hangs_once_and_never_longer_than_its_budget(tmp_path: Path) -> None:
    rig = Rig(tmp_path, budget_s=1.5)
    rig.add("good")
    rig.read()
    rig.add("dead")
    rig.hang("dead")
    times: list[float] = []
    for _ in range(4):
        started = time.monotonic()
        rig.read()
        times.append(time.monotonic() - started)
    rig.release("dead")
    rig.network.close()
    assert times[0] > 1.4
    assert min(times[1:]) < 1.4  # a busy machine may hold up one of them


def test_a_mount_that_fails_is_asked_again_ever_later_up_to_ten_minutes_and_recovers(rig: Rig) -> None:
    rig.add("bad")
    rig.read()
    rig.fail("bad", errno.ESTALE)
    since = rig.wall.now + 5
    asked_at: list[float] = []
    while len(asked_at) < 11:
        before = rig.asked("bad")
        answer = rig.read()["bad"]
        assert (answer.sizes, answer.error, answer.stale_since) == (None, errno.ESTALE, since)
        asked_at += [rig.clock.now] if rig.asked("bad") > before else []
    gaps = [after - before for before, after in zip(asked_at, asked_at[1:])]
    assert gaps == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    Path(rig.folder, "bad.fails").unlink()
    assert rig.read(600)["bad"].sizes
    rig.fail("bad", errno.EIO)
    before = rig.asked("bad")
    rig.read()
    rig.read()
    assert rig.asked("bad") == before + 2, "it starts from the shortest wait again"


def test_a_mount_that_this_user_may_not_see_is_no_stale_one(rig: Rig) -> None:
    rig.add("closed")
    rig.fail("closed", errno.EACCES)
    assert rig.read() == {"closed": Answer(None, errno.EACCES, None)}


def test_a_file_system_mounted_anew_in_the_place_of_a_dead_one_is_asked(rig: Rig) -> None:
    rig.add("data", mount_id="30")
    rig.hang("data")
    rig.read_without_waiting()
    assert rig.read_without_waiting()["data"].error
    rig.mounts.clear()
    rig.add("data", mount_id="31")
    rig.read_without_waiting()
    wait_until(lambda: rig.asked("data") == 2)


def test_a_child_that_is_killed_is_started_again_later_and_later(rig: Rig) -> None:
    rig.add("data")
    rig.read()
    for wait_s in (1, 2):
        assert rig.network.pid
        rig.hang("data")
        rig.read_without_waiting()
        os.kill(rig.network.pid, signal.SIGKILL)
        rig.release("data")
        wait_until(lambda: rig.read_without_waiting(0.0) and rig.network.pid is None)
        assert rig.network.pid is None
        assert "is started again" in str(rig.read(wait_s * 0.9)["data"].error)
        assert rig.network.pid is None
        rig.read_without_waiting(wait_s * 0.2)
        assert rig.network.pid
    assert rig.read(20)["data"].sizes
    assert len(children()) == 1


def test_a_child_that_cannot_start_is_told_and_stops_nothing(rig: Rig) -> None:
    rig.network.close()
    rig.network = rig.build(["/nonexistent/python"])
    rig.add("data")
    rig.read()
    answer = rig.read()["data"]
    assert "no process" in str(answer.error)
    assert answer.stale_since is not None


def test_a_child_that_ends_at_once_is_not_started_in_a_storm(rig: Rig) -> None:
    rig.network = rig.build([*CHILD, "--ends"])
    rig.add("data")
    pids: set[int] = set()
    for _ in range(60):
        rig.read_without_waiting(1.0)
        pids |= {rig.network.pid} if rig.network.pid else set()
    assert 1 <= len(pids) <= 7


def test_a_host_without_such_mounts_keeps_no_process(rig: Rig) -> None:
    rig.read()
    assert rig.network.pid is None
    rig.add("data")
    rig.read()
    assert rig.network.pid
    rig.mounts.clear()
    rig.read()
    assert rig.network.pid is None


def test_a_process_that_hangs_is_kept_while_its_mount_is_away_so_that_no_second_one_joins_it(rig: Rig) -> None:
    mount = rig.add("data")
    rig.hang("data")
    rig.read_without_waiting()
    wait_until(lambda: rig.asked("data"))
    pid = rig.network.pid
    rig.mounts.clear()
    rig.read_without_waiting()
    rig.mounts.append(mount)
    rig.read_without_waiting()
    assert rig.asked("data") == 1
    assert [child.pid for child in children()] == [pid]


def test_closing_leaves_behind_what_hangs_and_it_ends_by_itself(rig: Rig) -> None:
    rig.add("dead")
    rig.hang("dead")
    rig.read_without_waiting()
    [child] = children()
    os.kill(child.pid, signal.SIGSTOP)  # as a process in the kernel's hands: it doesn't even notice
    started = time.monotonic()
    rig.network.close()
    assert time.monotonic() - started < PROMPT_S
    os.kill(child.pid, signal.SIGCONT)
    child.wait(LONG_S)
