"""Takes process ids, gives whose they are, by the kernel's own tables."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME_KEPT_S = 600.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """`name` is the kernel's, up to 15 bytes; `system_s` the CPU time the kernel spent for it."""

    uid: int
    name: str
    system_s: float


def read_process(pid: int, proc: Path = Path("/proc")) -> Process | None:
    """From <proc>/<pid>. None = it is gone, or hidden from us by hidepid or another pid namespace."""
    try:
        status = Path(proc, str(pid), "status").read_text(encoding="utf-8", errors="backslashreplace")
        stat = Path(proc, str(pid), "stat").read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return None
    return parse_process(status, stat)


def parse_process(status: str, stat: str) -> Process | None:
    """The real uid from `status`; name and time from `stat`, where the name may hold blanks and brackets itself."""
    uid_line = next((line for line in status.split("\n") if line.startswith("Uid:")), "")
    name, _, rest = stat.partition("(")[2].rpartition(") ")
    fields = rest.split()
    if not uid_line or len(fields) < 13:
        return None
    return Process(int(uid_line.split()[1]), name, int(fields[12]) / _TICKS_PER_S)


def read_user_name(uid: int) -> str:
    """From the host's user database. KeyError = the uid has no name."""
    return pwd.getpwuid(uid).pw_name


class UserNames:
    """Names of users by uid, kept for ten minutes: a directory server may be slow. A uid without a name is itself."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, look_up: Callable[[int], str] = read_user_name
    ) -> None:
        self._clock = clock
        self._look_up = look_up
        self._known: dict[int, tuple[float, str]] = {}

    def name_of(self, uid: int) -> str:
        """The user's name, or the number as text."""
        until, name = self._known.get(uid, (0.0, ""))
        if self._clock() < until:
            return name
        try:
            name = self._look_up(uid)
        except KeyError:
            name = str(uid)
        self._known[uid] = (self._clock() + _NAME_KEPT_S, name)
        return name
