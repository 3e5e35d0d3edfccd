"""Takes the server's background steps, runs each in a daemon thread of its own, and ends them all within a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from .waiting import Wait

log = logging.getLogger(__name__)

RETRY_S = 60.0


class Background:
    """One step again and again. A step returns the seconds until the next, None when it has nothing more to do."""

    def __init__(self, name: str, step: Callable[[], float | None]) -> None:
        self.name = name
        self.failures = 0
        self.last_error: str | None = None
        self._step = step
        self._ended = False
        self._stopping = Wait()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def has_died(self) -> bool:
        """Without being asked to, and though it had more to do: what it does is done no more until a restart."""
        return self._thread.ident is not None and not (self._thread.is_alive() or self._ended)

    @property
    def state(self) -> str:
        """Not started, running, done, failing or dead."""
        if self._thread.ident is None:
            return "not started"
        if self.has_died:
            return "dead"
        if not self._thread.is_alive():
            return "done"
        return "failing" if self.last_error else "running"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.end()

    def join(self, timeout_s: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        wait_s: float | None = 0.0
        while wait_s is not None and not self._stopping.seconds(wait_s):
            wait_s = self._guarded_step()
        self._ended = True

    def _guarded_step(self) -> float | None:
        try:
            wait_s = self._step()
        except Exception as error:
            self.failures += 1
            if str(error) != self.last_error:
                log.exception("background step %s failed; it is tried again every %.0f s", self.name, RETRY_S)
            self.last_error = str(error)
            return RETRY_S
        self.last_error = None
        return wait_s


def stop_all(steps: list[Background], within_s: float = 1.0) -> None:
    deadline = time.monotonic() + within_s
    for step in steps:
        step.stop()
    for step in steps:
        step.join(max(0.0, deadline - time.monotonic()))
