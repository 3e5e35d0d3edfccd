"""Takes the mounts that may hang, gives the size of each, or since when and why it has none."""

from __future__ import annotations

import errno
import logging
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cluster_dash_mole.mounts import Mount

log = logging.getLogger(__name__)

DEADLINE_S = 3.0  # without an answer for longer, a mount is stale
_FIRST_RETRY_S = 5.0
_LONGEST_RETRY_S = 600.0
_NOT_FOR_US = (errno.EACCES, errno.EPERM, errno.ENOENT)
_ENDED = "the process that measures network file systems doesn't answer; it is started again"
_CHILD = [sys.executable, "-I", "-S", str(Path(__file__).with_name("mounts_child.py"))]


class Answer(NamedTuple):
    """`sizes` as mounts_child gives them, None = nothing to measure. With `error` there are none.

    `stale_since` is when the first of the questions was asked that brought nothing, in Unix seconds; None with an
    `error` = it may be well, but not for this user.
    """

    sizes: tuple[int, ...] | None
    error: int | str | None = None
    stale_since: float | None = None


@dataclass
class _Watched:
    """A mount. At most one question is ever open."""

    answer: Answer | None = None  # its `stale_since` by the clock, which nobody sets
    number: int = -1
    asked_at: float | None = None  # by the clock; None = no question is open
    failures: int = 0
    ask_again_at: float = float("-inf")


class _Child:
    """The process that asks. Nothing here waits for it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            start_new_session=True,  # so that it never hears a Ctrl-C
        )
        os.set_blocking(self._stdin.fileno(), False)
        self._received = b""
        self.pid = self._popen.pid

    def ask(self, number: int, path: str) -> bool:
        """False: it doesn't take the question now."""
        try:
            return bool(self._stdin.write(b"%d %s\0" % (number, os.fsencode(path))))
        except BrokenPipeError:
            return False

    def receive(self, timeout_s: float) -> list[bytes]:
        """The answers that are there in time. EOFError: it has ended."""
        if not select.select([self._stdout], [], [], timeout_s)[0]:
            return []
        part = os.read(self._stdout.fileno(), 65536)
        if not part:
            raise EOFError
        *lines, self._received = (self._received + part).split(b"\n")
        return lines

    def close(self) -> None:
        """Tell it to end and wait a moment. What hangs is left behind: it ends with its mount."""
        self._stdin.close()
        self._stdout.close()
        try:
            self._popen.wait(0.1)
        except subprocess.TimeoutExpired:
            # Nobody waits for it any more, which is meant: without this Python warns.
            self._popen.returncode = 0

    @property
    def _stdin(self) -> Any:
        return self._popen.stdin

    @property
    def _stdout(self) -> Any:
        return self._popen.stdout


class NetworkMounts:
    """Keeps one process for all such mounts, and none on a host without one.

    `budget_s` is how long a reading waits for answers; a mount that was asked before isn't waited for.
    """

    def __init__(
        self,
        budget_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        command: Sequence[str] = _CHILD,
    ) -> None:
        self._budget_s = budget_s
        self._clock = clock
        self._wall = wall
        self._command = command
        self._watched: dict[Mount, _Watched] = {}
        self._child: _Child | None = None
        self._start_at = float("-inf")
        self._starts_failed = 0
        self._number = 0

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return self._child.pid if self._child else None

    def read(self, mounts: Sequence[Mount]) -> dict[Mount, Answer]:
        """By mount what is known now; one whose first answer is still awaited is left out."""
        if not mounts:
            if all(watched.asked_at is None for watched in self._watched.values()):
                self.close()
            return {}
        self._watched = {mount: self._watched.get(mount) or _Watched() for mount in mounts}
        self._receive(0.0)
        self._start()
        asked = [watched for mount, watched in self._watched.items() if self._ask(mount, watched)]
        until = time.monotonic() + self._budget_s
        while any(watched.asked_at is not None for watched in asked) and time.monotonic() < until:
            self._receive(until - time.monotonic())
        answers = {mount: self._tell(mount, watched) for mount, watched in self._watched.items()}
        return {mount: answer for mount, answer in answers.items() if answer}

    def _start(self) -> None:
        if self._child is not None or self._clock() < self._start_at:
            return
        try:
            self._child = _Child(self._command)
        except OSError as error:
            self._lose(f"no process to measure network file systems: {error.strerror}")

    def _ask(self, mount: Mount, watched: _Watched) -> bool:
        """Whether a question was asked: none while one is open, nor too soon after one that failed."""
        if self._child is None or watched.asked_at is not None or self._clock() < watched.ask_again_at:
            return False
        self._number += 1
        watched.number, watched.asked_at = self._number, self._clock()
        if self._child.ask(self._number, mount.mount_point):
            return True
        self._fail(watched, _ENDED)
        return False

    def _receive(self, timeout_s: float) -> None:
        if self._child is None:
            return
        try:
            lines = self._child.receive(timeout_s)
        except EOFError:
            self._child.close()
            self._child = None
            self._lose(_ENDED)
            return
        by_number = {watched.number: watched for watched in self._watched.values() if watched.asked_at is not None}
        for line in lines:
            number, kind, *values = line.split()
            watched = by_number.get(int(number))
            if watched is None:
                continue
            self._starts_failed = 0
            if kind == b"error":
                self._fail(watched, int(values[0]))
            else:
                self._succeed(watched, tuple(map(int, values)) or None)

    def _succeed(self, watched: _Watched, sizes: tuple[int, ...] | None) -> None:
        if watched.answer and watched.answer.error is not None:
            log.info("a network file system answers again: %s", self._mount_point(watched))
        watched.answer, watched.asked_at, watched.failures = Answer(sizes), None, 0

    def _fail(self, watched: _Watched, error: int | str) -> None:
        """The next question comes later and later: each may cost the network something."""
        watched.ask_again_at = self._clock() + min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2.0**watched.failures)
        watched.failures = min(watched.failures + 1, 10)
        if error in _NOT_FOR_US:
            watched.answer = Answer(None, error)
        else:
            self._mark_stale(watched, error)
        watched.asked_at = None

    def _mark_stale(self, watched: _Watched, error: int | str) -> None:
        before = watched.answer
        if before and before.stale_since is not None:
            watched.answer = Answer(None, error, before.stale_since)
            return
        watched.answer = Answer(None, error, self._clock() if watched.asked_at is None else watched.asked_at)
        text = os.strerror(error) if isinstance(error, int) else error
        log.warning("a network file system is stale: %s: %s", self._mount_point(watched), text)

    def _lose(self, error: str) -> None:
        """The process is gone, or can't be started, so no mount is known any more; the next one starts ever later."""
        self._start_at = self._clock() + min(_LONGEST_RETRY_S, 2.0**self._starts_failed)
        self._starts_failed = min(self._starts_failed + 1, 10)
        for watched in self._watched.values():
            self._fail(watched, error)

    def _tell(self, mount: Mount, watched: _Watched) -> Answer | None:
        """What is known; a question that is open for too long makes the mount stale, until it is answered."""
        if watched.asked_at is not None and self._clock() - watched.asked_at >= DEADLINE_S:
            asked = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self._as_unix(watched.asked_at)))
            self._mark_stale(watched, f"no answer since {asked}: see whether the server of {mount.device} is up")
        answer = watched.answer
        if answer is None or answer.stale_since is None:
            return answer
        return answer._replace(stale_since=self._as_unix(answer.stale_since))

    def _as_unix(self, at: float) -> float:
        """A moment of the clock by the wall clock as that is now; to a tenth, so that it doesn't waver."""
        return round(self._wall() - (self._clock() - at), 1)

    def _mount_point(self, wanted: _Watched) -> str:
        return next((mount.mount_point for mount, watched in self._watched.items() if watched is wanted), "?")

    def close(self) -> None:
        """Let go of the process; it is never waited for longer than a moment."""
        if self._child:
            self._child.close()
        self._child = None
