"""Whose a process is, what it runs and since when."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from cluster_dash_mole.processes import ProcessTable, Stat, parse_stat
from mole.peers import ManualClock

TICKS = os.sysconf("SC_CLK_TCK")


class FakeProc:
    """A /proc that counts nothing but may change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.set_boot_time(1_700_000_000)

    def set_boot_time(self, at: int) -> None:
        (self.root / "stat").write_text(f"cpu 1 2 3\nbtime {at}\nprocesses 7\n")

    def set(
        self, pid: int, name: str = "python", uid: int = 1000, start: int = 500, command: str = "python a.py"
    ) -> None:
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "stat").write_text(f"{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 9 {3 * TICKS} 0 0 20 0 1 0 {start} 1 1")
        (folder / "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t0\t0\t0\n")
        (folder / "cmdline").write_bytes(b"\0".join(command.encode().split()) + b"\0")
        (folder / "cgroup").write_text(f"0::/system.slice/docker-{'ab' * 32}.scope\n")


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def test_a_name_may_hold_blanks_and_brackets() -> None:
    stat = f"77 (a) b (c)) S 1 1 1 0 -1 4194560 0 0 0 0 7 {3 * TICKS} 0 0 20"
    assert parse_stat(stat.encode()) == Stat("a) b (c)", 3.0, None)


def test_a_process_is_told_whole(proc: FakeProc) -> None:
    proc.set(77, start=500 * TICKS, command="python --token canary")
    process = ProcessTable(proc.root).read(77)
    assert process is not None
    assert (process.name, process.system_s) == ("python", 3.0)
    assert process.about == (1000, "python --token ***", 1_700_000_500, "abababababab")


def test_our_own_process_is_ours() -> None:
    process = ProcessTable().read(os.getpid())
    assert process is not None
    assert process.about.uid == os.getuid()
    assert process.about.started_at is not None
    assert abs(process.about.started_at - psutil.Process().create_time()) < 1


def test_a_process_that_is_gone_or_hidden_is_none(proc: FakeProc) -> None:
    table = ProcessTable(proc.root)
    assert table.read(77) is None
    proc.set(77)
    (proc.root / "77/status").unlink()
    assert table.read(77) is None


def test_commands_can_be_left_out(proc: FakeProc) -> None:
    proc.set(77)
    process = ProcessTable(proc.root, commands=False).read(77)
    assert process is not None
    assert process.about.command is None


def test_a_known_process_is_read_by_its_stat_alone(proc: FakeProc) -> None:
    table = ProcessTable(proc.root, clock=ManualClock())
    proc.set(77)
    first = table.read(77)
    for name in ("status", "cmdline", "cgroup"):
        (proc.root / "77" / name).unlink()
    assert table.read(77) == first


def test_a_process_that_has_ended_is_none_though_it_was_known() -> None:
    table = ProcessTable()
    with subprocess.Popen(["sleep", "60"]) as process:
        assert table.read(process.pid)
        process.kill()
    assert table.read(process.pid) is None
    table.close()


def test_few_files_are_held_and_none_after_the_end(proc: FakeProc) -> None:
    def held() -> int:
        opened = map(os.path.realpath, Path("/proc/self/fd").iterdir())
        return sum(path.startswith(os.path.realpath(proc.root)) for path in opened)

    table = ProcessTable(proc.root)
    for pid in range(1000, 1400):
        proc.set(pid)
    for _ in range(2):
        assert all(table.read(pid) for pid in range(1000, 1400))
        assert held() <= 256
    table.forget_all_but(range(1000, 1010))
    assert held() == 10
    table.close()
    assert held() == 0


def test_a_pid_that_is_used_again_is_another_process(proc: FakeProc) -> None:
    table = ProcessTable(proc.root, clock=ManualClock())
    proc.set(77, uid=1000, start=500)
    table.read(77)
    proc.set(77, uid=1001, start=900)
    process = table.read(77)
    assert process is not None
    assert process.about.uid == 1001
    assert process.about.started_at == 1_700_000_000 + 900 / TICKS


def test_a_process_that_starts_another_program_shows_that(proc: FakeProc) -> None:
    table = ProcessTable(proc.root, clock=ManualClock())
    proc.set(77, "bash", command="bash")
    table.read(77)
    proc.set(77, "python", command="python b.py")
    process = table.read(77)
    assert process is not None
    assert process.about.command == "python b.py"


def test_a_process_that_changes_its_user_shows_that_within_a_minute(proc: FakeProc) -> None:
    clock = ManualClock()
    table = ProcessTable(proc.root, clock=clock)
    proc.set(77, uid=0)
    table.read(77)
    proc.set(77, uid=1000)
    clock.now += 61
    process = table.read(77)
    assert process is not None
    assert process.about.uid == 1000


@pytest.mark.parametrize(("booted_at", "started_at"), [(1_700_000_001, 1_700_000_000), (1_800_000_000, 1_800_000_000)])
def test_the_start_of_a_process_moves_only_when_the_clock_is_set(
    proc: FakeProc, booted_at: int, started_at: float
) -> None:
    """The kernel counts the time of boot back from its clock."""
    clock = ManualClock()
    table = ProcessTable(proc.root, clock=clock)
    proc.set(77, start=0)
    table.read(77)
    proc.set_boot_time(booted_at)
    clock.now += 61
    process = table.read(77)
    assert process is not None
    assert process.about.started_at == started_at


def test_what_is_no_more_on_a_gpu_is_forgotten(proc: FakeProc) -> None:
    table = ProcessTable(proc.root)
    for pid in (1, 2):
        proc.set(pid)
        table.read(pid)
    table.forget_all_but([2])
    assert list(table._known) == [2]  # pyright: ignore[reportPrivateUsage]
