"""Takes the mole's own processes, gives what it costs this host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_dash_mole.reading import KeptFile, read_optional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Use(NamedTuple):
    """Of one process: CPU seconds since its start, resident memory."""

    cpu_s: float
    rss_bytes: int


def parse_use(stat: str) -> Use | None:
    """/proc/<pid>/stat, in which the name may hold blanks and brackets. None = it is gone."""
    fields = stat.rpartition(")")[2].split()
    try:
        return Use((int(fields[11]) + int(fields[12])) / _TICKS_PER_S, int(fields[21]) * _PAGE_BYTES)
    except (IndexError, ValueError):
        return None


class Cost:
    """What the mole takes: CPU seconds since its start and resident memory, those of its child processes included."""

    def __init__(self, read_pids: Callable[[], Iterable[int | None]], proc: Path = Path("/proc")) -> None:
        self._read_pids = read_pids
        self._proc = proc
        self._own = KeptFile(proc / "self/stat")

    def read(self) -> dict[str, Any]:
        """`cpu_s` counts processes that have ended too, so it only grows, except for one that nobody waited for."""
        cpu_s, rss_bytes = sum(os.times()[:4]), 0
        own = parse_use(self._own.read_optional())
        if own:
            rss_bytes = own.rss_bytes
        for pid in self._read_pids():
            child = parse_use(read_optional(f"{self._proc}/{pid}/stat")) if pid else None
            if child:
                cpu_s += child.cpu_s
                rss_bytes += child.rss_bytes
        return {"cpu_s": cpu_s, "rss_bytes": rss_bytes}
