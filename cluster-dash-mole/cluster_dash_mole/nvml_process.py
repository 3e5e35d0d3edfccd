"""Takes a budget of time, gives what the NVML process last said of the GPUs, or which of its troubles it has."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

log = logging.getLogger(__name__)

NO_LIBRARY = "NVML Shared Library Not Found"  # the words that the first moles sent and servers know
_LIBRARY_NOT_FOUND = 12
_LONGEST_BACK_OFF_S = 60.0
_NO_LIBRARY_RETRY_S = 300.0  # a host without GPUs shall not pay for looking often
_EXPLAINED = {
    4: "no permission to use the NVIDIA devices: run the mole as a user who may read /dev/nvidia*",
    9: "the NVIDIA driver is not loaded: load it (modprobe nvidia), or reboot if it was just installed or updated",
    _LIBRARY_NOT_FOUND: NO_LIBRARY,
    18: "the NVIDIA driver and its library differ in version, as after an update: reboot this host",
    999: "the NVIDIA driver answers with an unknown error: see the kernel log (dmesg) for NVRM and Xid lines",
}


class Deadlines(NamedTuple):
    """Seconds after which no answer means "hung". The first answer may wait for the driver to load."""

    first_s: float = 30.0
    reading_s: float = 10.0


class Report(NamedTuple):
    """`gpus` as nvml_child gives them; only with "ok" are they of this round, with "late" of an earlier one."""

    state: Literal["ok", "late", "hung", "error"]
    gpus: list[dict[str, Any]] | None
    error: str | None


class _Child:
    """The process, with at most one question open."""

    def __init__(self, now: float) -> None:
        pynvml = importlib.util.find_spec("pynvml")
        folder = str(Path(pynvml.origin).parent) if pynvml and pynvml.origin else ""
        script = str(Path(__file__).with_name("nvml_child.py"))
        # Without site and the environment's Python settings: less memory, and nothing that shadows a module.
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", script, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # so that not even its first moments hear a Ctrl-C
        )
        self._received = b""
        self.asked_at: float | None = None
        self.has_answered = False
        self.pid = self._popen.pid
        self.ask(now)

    def ask(self, now: float) -> None:
        """Ask for a reading. That the process has ended shows on receiving."""
        self.asked_at = now
        try:
            self._stdin.write(b"\n")
        except BrokenPipeError:
            log.debug("the NVML process has ended")

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        """The answer, or None when it isn't there in time. EOFError: the process has ended."""
        until = time.monotonic() + timeout_s
        while b"\n" not in self._received:
            wait_s = max(0.0, until - time.monotonic())
            if not select.select([self._stdout], [], [], wait_s)[0]:
                return None
            self._received += os.read(self._stdout.fileno(), 65536) or self._raise_end()
        line, _, self._received = self._received.partition(b"\n")
        self.asked_at = None
        self.has_answered = True
        return json.loads(line)

    def _raise_end(self) -> bytes:
        code = self._popen.wait(1)
        raise EOFError(signal.Signals(-code).name if code < 0 else f"exit code {code}")

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._popen.poll() is not None

    def let_end(self) -> None:
        """Tell it to shut NVML down and end, without waiting."""
        self._stdin.close()
        self._stdout.close()

    def close(self) -> None:
        """End it, in half a second at most. What even SIGKILL can't end waits in the driver and ends with its call."""
        self.let_end()
        for patience_s, give_up in ((0.3, self._popen.terminate), (0.1, self._popen.kill), (0.1, lambda: None)):
            try:
                self._popen.wait(patience_s)
            except subprocess.TimeoutExpired:
                give_up()
            else:
                return
        # Nobody waits for it any more, which is meant: without this Python warns.
        self._popen.returncode = self._popen.returncode or 0

    @property
    def _stdin(self) -> Any:
        return self._popen.stdin

    @property
    def _stdout(self) -> Any:
        return self._popen.stdout


class NvmlReader:
    """Keeps one NVML process going. Never two: while one is stuck in the driver another would only get stuck too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, deadlines: Deadlines | None = None) -> None:
        self._clock = clock
        self._deadlines = deadlines or Deadlines()
        self._child: _Child | None = None
        self._ending: _Child | None = None
        self._start_at = 0.0
        self._failures = 0
        self._failure = ""
        self._last_gpus: list[dict[str, Any]] | None = None
        self._hung_since: str | None = None
        self._logged: str | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the process and ask it, if there is none and it is time to try (again)."""
        if self._ending and self._ending.has_ended():
            self._ending = None
        now = self._clock()
        if self._child is None and self._ending is None and now >= self._start_at:
            self._child = _Child(now)

    def read(self, budget_s: float) -> Report:
        """The newest answer that is there within the budget; see Report for when there is none."""
        self.start()
        report = self._read(budget_s)
        self._log_change(report.error if report.state != "late" else self._logged)
        return report

    def _read(self, budget_s: float) -> Report:
        gpus = self._receive(0.0)
        if self._hung_since and gpus is not None:
            gpus, self._hung_since = None, None  # it may have hung halfway through these
        if self._child and self._child.asked_at is None:
            self._child.ask(self._clock())
        newer = self._receive(0.0 if self._hung_since else budget_s)
        gpus = gpus if newer is None else newer
        if gpus is not None:
            self._last_gpus = gpus
            return Report("ok", gpus, None)
        asked_at = self._child.asked_at if self._child else None
        return Report("error", None, self._failure) if asked_at is None else self._report_overdue(asked_at)

    def _receive(self, timeout_s: float) -> list[dict[str, Any]] | None:
        """The GPUs of an answer; an answer that is a failure, or none any more, ends the process."""
        child = self._child
        if child is None or child.asked_at is None:
            return None
        try:
            answer = child.receive(timeout_s)
        except EOFError as end:
            self._let_end(child, f"the process that reads NVML crashed ({end}); it is started again")
            return None
        if answer and "error" in answer:
            code, text = answer["error"]["code"], answer["error"]["text"]
            self._let_end(child, _EXPLAINED.get(code, f"NVML can't be used: {text}"))
            return None
        if answer:
            self._failures = 0
        return answer["gpus"] if answer else None

    def _let_end(self, child: _Child, failure: str) -> None:
        """The next start is at once, then ever later: each costs time of this host and its driver."""
        child.let_end()
        self._child, self._ending = None, child
        self._last_gpus, self._hung_since, self._failure = None, None, failure
        back_off_s = min(_LONGEST_BACK_OFF_S, 2.0**self._failures) if self._failures else 0.0
        self._start_at = self._clock() + (_NO_LIBRARY_RETRY_S if failure == NO_LIBRARY else back_off_s)
        self._failures += 1

    def _report_overdue(self, asked_at: float) -> Report:
        waited_s = self._clock() - asked_at
        has_answered = self._child is not None and self._child.has_answered
        limit_s = self._deadlines.reading_s if has_answered else self._deadlines.first_s
        if waited_s < limit_s:
            what = "NVML is slow: these are its values before" if self._last_gpus is not None else "NVML is starting"
            return Report("late", self._last_gpus, what)
        if self._hung_since is None:
            self._hung_since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - waited_s))
        text = (
            f"the NVIDIA driver has not answered since {self._hung_since}: see the kernel log (dmesg) for NVRM and Xid"
        )
        return Report("hung", None, f"{text} lines; often only a reboot helps")

    def _log_change(self, error: str | None) -> None:
        if error == self._logged:
            return
        if error is None:
            log.info("GPUs are read again")
        else:
            log.log(logging.INFO if error == NO_LIBRARY else logging.WARNING, "GPUs can't be read: %s", error)
        self._logged = error

    def close(self) -> None:
        """End the process, in half a second at most."""
        for child in (self._child, self._ending):
            if child:
                child.close()
        self._child = self._ending = None
