"""Takes whether GPUs are missing, gives an NVML process that reads more of them than the running one, if any does.

A library that was open when a GPU was lost may never find it again, also when the GPU is well by now; one that is
opened afresh does. That is tried in a second process: opening may hang in a driver with a broken GPU, and those that
are well are read on meanwhile. It takes the first one's place only where it reads more.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cluster_dash_mole.nvml_pipe import NvmlProcess

log = logging.getLogger(__name__)

FIRST_AFTER_S = 60.0
LONGEST_BACK_OFF_S = 600.0


class Probe:
    """At most one process, and none while the one before it hasn't ended. Nothing here waits."""

    def __init__(self, start: Callable[[float], NvmlProcess]) -> None:
        self._start = start
        self._process: NvmlProcess | None = None
        self._ending: NvmlProcess | None = None
        self._back_off_s = FIRST_AFTER_S
        self._due_at: float | None = None

    def step(self, now: float, is_any_missing: bool, read: int) -> NvmlProcess | None:
        """Called after each reading of so many GPUs; a process that is to take over, which has answered once."""
        if self._ending and self._ending.has_ended():
            self._ending = None
        if not is_any_missing:
            self._back_off_s, self._due_at = FIRST_AFTER_S, None
            self._let_end()
        elif self._process:
            return self._look(self._process, read)
        elif self._due_at is None:
            self._due_at = now + self._back_off_s
        elif now >= self._due_at and self._ending is None:
            self._back_off_s = min(LONGEST_BACK_OFF_S, 2 * self._back_off_s)
            self._due_at = now + self._back_off_s
            self._try(now)
        return None

    def _try(self, now: float) -> None:
        try:
            self._process = self._start(now)
        except OSError as error:
            log.debug("no second NVML process: %s", error)

    def _look(self, process: NvmlProcess, read: int) -> NvmlProcess | None:
        try:
            answer = process.receive(0.0)
        except EOFError:
            self._let_end()
            return None
        if answer is None:
            return None
        found = count_read(answer.get("gpus", ()))
        if found <= read:
            self._let_end()
            return None
        log.info("NVML was opened anew for a missing GPU: %d are read now instead of %d", found, read)
        self._process = None
        return process

    def _let_end(self) -> None:
        if self._process:
            self._process.let_end()
            self._process, self._ending = None, self._process

    def close(self) -> None:
        """End it, in half a second at most."""
        for process in (self._process, self._ending):
            if process:
                process.close()
        self._process = self._ending = None


def count_read(gpus: Sequence[dict[str, Any]]) -> int:
    """How many GPUs of an answer tell their numbers."""
    return sum("numbers" in gpu for gpu in gpus)
