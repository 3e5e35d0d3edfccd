"""Takes a budget of time, gives what the NVML process last said of the GPUs, or which of its troubles it has."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_dash_mole.nvml_pipe import NvmlProcess
from cluster_dash_mole.nvml_probe import Probe, count_read

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

log = logging.getLogger(__name__)

NO_LIBRARY = "NVML Shared Library Not Found"  # the words that the first moles sent and servers know
_LIBRARY_NOT_FOUND = 12
_LONGEST_BACK_OFF_S = 60.0
_NO_LIBRARY_RETRY_S = 300.0  # a host without GPUs shall not pay for looking often
_ALL_LOST_RETRY_S = 15.0  # at first, then up to the longest back-off
_MOST_EVENTS = 1000
_EXPLAINED = {
    4: "no permission to use the NVIDIA devices: run the mole as a user who may read /dev/nvidia*",
    9: "the NVIDIA driver is not loaded: load it (modprobe nvidia), or reboot if it was just installed or updated",
    _LIBRARY_NOT_FOUND: NO_LIBRARY,
    18: "the NVIDIA driver and its library differ in version, as after an update: reboot this host",
    999: "the NVIDIA driver answers with an unknown error: see the kernel log (dmesg) for NVRM and Xid lines",
}


HUNG = "the NVIDIA driver does not answer: see the kernel log (dmesg) for NVRM and Xid lines; often only a reboot helps"


_SLOW = "NVML is slow: these are its values before"


def format_time(at: float) -> str:
    """Unix seconds in the host's own time, as its logs have it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


class Deadlines(NamedTuple):
    """Seconds after which no answer means "hung". The first answer may wait for the driver to load."""

    first_s: float = 30.0
    reading_s: float = 10.0


class Report(NamedTuple):
    """`gpus` as nvml_child gives them; only with "ok" are they of this round, with "late" of an earlier one.

    `since` is the Unix time at which the trouble began, as far as the mole saw it.
    """

    state: Literal["ok", "late", "hung", "error"]
    gpus: list[dict[str, Any]] | None
    error: str | None
    since: float | None = None


class _Trouble(NamedTuple):
    """What is wrong with NVML as a whole, and since when."""

    cause: str
    since: float

    @property
    def told(self) -> tuple[str | None, float | None]:
        """(words, since) of a report; the seed's words stay as they are, as servers know them."""
        if not self.cause:
            return None, None
        return self.cause if self.cause == NO_LIBRARY else f"{self.cause} (since {format_time(self.since)})", self.since


_NO_TROUBLE = _Trouble("", 0.0)


class NvmlReader:
    """Keeps one NVML process going. None beside one that is stuck in the driver: it would only get stuck too."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        deadlines: Deadlines | None = None,
        sample_s: float = 1.0,
        wall_clock: Callable[[], float] = time.time,
        *,
        activity: bool = True,
    ) -> None:
        self._clock = clock
        self._deadlines = deadlines or Deadlines()
        self._wall_clock = wall_clock
        self._child: NvmlProcess | None = None
        self._ending: NvmlProcess | None = None
        self._start_at = 0.0
        self._failures = 0
        self._trouble: _Trouble | None = None
        self._last_gpus: list[dict[str, Any]] | None = None
        self._hung: _Trouble | None = None
        self._events: list[dict[str, Any]] = []
        self._events_from = 0.0
        self._sample_s = sample_s
        self._activity = activity
        self._probe = Probe(self._begin)
        self._logged: str | None = None
        self.expects_library = True
        """False on a host without a GPU: there the library is looked for seldom."""

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return self._child.pid if self._child else None

    def _begin(self, now: float) -> NvmlProcess:
        return NvmlProcess(now, self._sample_s, self._activity)

    def start(self) -> None:
        """Start the process and ask it, if there is none and it is time to try (again)."""
        if self._ending and self._ending.has_ended():
            self._ending = None
        now = self._clock()
        if self._child is None and self._ending is None and now >= self._start_at:
            try:
                self._child = self._begin(now)
            except OSError as error:  # no memory, no descriptor
                self._fail(None, f"the process that reads NVML can't be started: {error.strerror or error}")

    def read(self, budget_s: float) -> Report:
        """The newest answer that is there within the budget; see Report for when there is none."""
        self.start()
        report = self._read(budget_s)
        if report.state != "late" or self._child is None:
            self._log_change(report.error)
        return report

    def look_for_missing(self, is_any_missing: bool) -> None:
        """To be called after a reading that is "ok": a GPU that stays missing is looked for with NVML opened afresh."""
        child = self._child
        better = self._probe.step(self._clock(), is_any_missing, count_read(self._last_gpus or ())) if child else None
        if child and better:
            child.let_end()
            self._child, self._ending = better, child
            self._events_from = self._wall_clock()  # what came before the first process has told

    def take_events(self) -> list[dict[str, Any]]:
        """What the driver told by itself since the last call, as nvml_events gives it."""
        events, self._events = self._events, []
        return events

    def _read(self, budget_s: float) -> Report:
        gpus = self._receive(0.0)
        if self._hung and gpus is not None:
            gpus, self._hung = None, None  # it may have hung halfway through these
        if self._child and self._child.asked_at is None:
            self._child.ask(self._clock())
        newer = self._receive(0.0 if self._hung else budget_s)
        gpus = gpus if newer is None else newer
        if gpus is not None:
            self._last_gpus = gpus
            return Report("ok", gpus, *(self._trouble or _NO_TROUBLE).told)
        asked_at = self._child.asked_at if self._child else None
        if asked_at is not None:
            return self._report_overdue(asked_at)
        return Report("late" if self._last_gpus else "error", self._last_gpus, *(self._trouble or _NO_TROUBLE).told)

    def _receive(self, timeout_s: float) -> list[dict[str, Any]] | None:
        """The GPUs of an answer; an answer that is a failure, or none any more, ends the process."""
        child = self._child
        if child is None or child.asked_at is None:
            return None
        try:
            answer = child.receive(timeout_s)
        except EOFError as end:
            self._fail(child, f"the process that reads NVML crashed ({end}); it is started again")
            return None
        if answer is None:
            return None
        if "error" in answer:
            code, text = answer["error"]["code"], answer["error"]["text"]
            self._fail(child, _EXPLAINED.get(code, f"NVML can't be used: {text}"))
            return None
        events = [event for event in answer["events"] if event["time"] >= self._events_from]
        self._events_from = 0.0  # those of later answers are newer, whatever the clock says
        self._events = (self._events + events)[-_MOST_EVENTS:]
        if answer["failed"]:
            self._open_anew(child, answer["gpus"])
        else:
            self._failures, self._trouble = 0, None
        return answer["gpus"]

    def _fail(self, child: NvmlProcess | None, text: str) -> None:
        """The next start is at once, then ever later: each costs time of this host and its driver."""
        back_off_s = min(_LONGEST_BACK_OFF_S, 2.0**self._failures) if self._failures else 0.0
        self._let_end(
            child, text, _NO_LIBRARY_RETRY_S if text == NO_LIBRARY and not self.expects_library else back_off_s
        )
        self._last_gpus, self._hung = None, None

    def _open_anew(self, child: NvmlProcess, gpus: list[dict[str, Any]]) -> None:
        """With every GPU lost a library that is loaded afresh may find them, as after a reload of the driver."""
        text = "no GPU answers: NVML is opened anew every 15 to 60 s; see the kernel log (dmesg) for NVRM and Xid lines"
        self._let_end(child, text, min(_LONGEST_BACK_OFF_S, _ALL_LOST_RETRY_S * 2.0**self._failures))
        self._last_gpus = gpus

    def _let_end(self, child: NvmlProcess | None, text: str, retry_s: float) -> None:
        if child:
            child.let_end()
        self._child, self._ending = None, child
        self._start_at = self._clock() + retry_s
        self._failures += 1
        same = self._trouble is not None and self._trouble.cause == text
        since = self._trouble.since if self._trouble and same else self._wall_clock()
        self._trouble = _Trouble(text, since)

    def _report_overdue(self, asked_at: float) -> Report:
        waited_s = self._clock() - asked_at
        has_answered = self._child is not None and self._child.has_answered
        limit_s = self._deadlines.reading_s if has_answered else self._deadlines.first_s
        since = self._wall_clock() - waited_s
        if waited_s >= limit_s:
            self._hung = self._hung or _Trouble(HUNG, since)
            return Report("hung", None, *self._hung.told)
        if self._last_gpus is None and self._trouble:  # tried again: until that has an end the trouble lasts
            return Report("error", None, *self._trouble.told)
        if self._last_gpus is None:
            return Report("late", None, "NVML is starting", since)
        return Report("late", self._last_gpus, *(self._trouble or _Trouble(_SLOW, since)).told)

    def _log_change(self, error: str | None) -> None:
        if error == self._logged:
            return
        if error is None:
            log.info("GPUs are read again")
        else:
            log.log(logging.INFO if error == NO_LIBRARY else logging.WARNING, "GPUs can't be read: %s", error)
        self._logged = error

    def close(self) -> None:
        """End the processes, each in half a second at most."""
        self._probe.close()
        for child in (self._child, self._ending):
            if child:
                child.close()
        self._child = self._ending = None
