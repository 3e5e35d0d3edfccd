"""Takes process ids, gives whose they are, what they run and since when, by the kernel's own tables."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cluster_dash_mole.commands import parse_command
from cluster_dash_mole.containers import parse_container

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LONGEST_READ = 16384  # a command line may be megabytes, of which the start is shown
_KNOWN_FOR_S = 60.0
_CLOCK_SET_S = 5.0
_MOST_HELD = 256  # files held open; a process may have some hundreds


class Stat(NamedTuple):
    """Of /proc/<pid>/stat: the kernel's name (up to 15 bytes), the CPU seconds that the kernel spent for the process,
    and its start in clock ticks after boot.
    """

    name: str
    system_s: float
    start: int | None


class About(NamedTuple):
    """What hardly changes in a process's life. None = not known."""

    uid: int
    command: str | None
    started_at: float | None
    container: str | None


class Process(NamedTuple):
    """A process of this moment."""

    name: str
    system_s: float
    about: About


class _Known(NamedTuple):
    start: int | None
    name: str
    until: float
    about: About


class ProcessTable:
    """Processes by pid. A known one costs one small read of a file that is held open: opening takes as long again.

    The pid with its start says that it is the same. A held file is of the one process that it was opened for, and can't
    be read any more when that has ended.
    """

    def __init__(
        self, proc: Path = Path("/proc"), commands: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._proc = proc
        self._commands = commands
        self._clock = clock
        self._known: dict[int, _Known] = {}
        self._held: dict[int, int] = {}

    def read(self, pid: int) -> Process | None:
        """None = it is gone, or hidden from us by hidepid or another pid namespace."""
        text = self._read_stat(pid)
        stat = parse_stat(text) if text else None
        if stat is None:
            self._known.pop(pid, None)
            return None
        known = self._known.get(pid)
        # A new name means that the process runs another program by now.
        if known is None or (known.start, known.name) != (stat.start, stat.name) or self._clock() >= known.until:
            about = self._read_about(pid, stat, known)
            if about is None:
                self._known.pop(pid, None)
                return None
            known = self._known[pid] = _Known(stat.start, stat.name, self._clock() + _KNOWN_FOR_S, about)
        return Process(stat.name, stat.system_s, known.about)

    def _read_stat(self, pid: int) -> bytes | None:
        held = self._held.get(pid)
        if held is not None:
            try:
                return os.pread(held, _LONGEST_READ, 0)
            except OSError:  # it has ended; the pid may be another's by now
                os.close(self._held.pop(pid))
        try:
            held = os.open(f"{self._proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        self._held[pid] = held
        try:
            return os.pread(held, _LONGEST_READ, 0)
        except OSError:
            return None
        finally:
            if len(self._held) > _MOST_HELD:
                os.close(self._held.pop(pid))

    def _read_about(self, pid: int, stat: Stat, known: _Known | None) -> About | None:
        status = read_start(f"{self._proc}/{pid}/status")
        uid = parse_uid(status) if status else None
        if uid is None:
            return None
        command = read_start(f"{self._proc}/{pid}/cmdline") if self._commands else None
        cgroup = read_start(f"{self._proc}/{pid}/cgroup")
        before = known.about.started_at if known and known.start == stat.start else None
        return About(
            uid,
            parse_command(command) if command else None,
            self._started_at(stat, before),
            parse_container(cgroup.decode("utf-8", "replace")) if cgroup else None,
        )

    def _started_at(self, stat: Stat, before: float | None) -> float | None:
        """The boot time is the clock's now less the uptime: it wavers by a second, and moves when the clock is set."""
        booted_at = read_boot_time(self._proc)
        now = None if booted_at is None or stat.start is None else booted_at + stat.start / _TICKS_PER_S
        return now if now is None or before is None or abs(now - before) >= _CLOCK_SET_S else before

    def forget_all_but(self, pids: Iterable[int]) -> None:
        """Keep only what is known of these."""
        kept = set(pids)
        for pid in [pid for pid in self._known if pid not in kept]:
            del self._known[pid]
        for pid in [pid for pid in self._held if pid not in kept]:
            os.close(self._held.pop(pid))

    def close(self) -> None:
        """Let go of the files."""
        self.forget_all_but(())


def read_start(path: str) -> bytes | None:
    """The file's first bytes, in one read; None where it can't be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, _LONGEST_READ)
    except OSError:  # the process has just gone
        return None
    finally:
        os.close(descriptor)


def parse_stat(text: bytes) -> Stat | None:
    """The name may hold blanks and brackets itself."""
    name, _, rest = text.partition(b"(")[2].rpartition(b") ")
    fields = rest.split(None, 20)
    if len(fields) < 13:
        return None
    start = int(fields[19]) if len(fields) > 19 else None
    return Stat(name.decode("utf-8", "backslashreplace"), int(fields[12]) / _TICKS_PER_S, start)


def parse_uid(status: bytes) -> int | None:
    """The real uid, from /proc/<pid>/status."""
    line = next((line for line in status.split(b"\n") if line.startswith(b"Uid:")), None)
    return int(line.split()[1]) if line else None


def read_boot_time(proc: Path = Path("/proc")) -> float | None:
    """Unix seconds; None where /proc/stat lacks it or can't be read whole."""
    try:
        lines = Path(proc, "stat").read_bytes().split(b"\n")
    except OSError:
        return None
    line = next((line for line in lines if line.startswith(b"btime ")), None)
    return float(line.split()[1]) if line else None
