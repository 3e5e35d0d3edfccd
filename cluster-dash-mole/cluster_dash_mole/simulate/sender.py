"""Takes a fleet's schedule, brings each post to the server as its moles would, by one connection for many of them."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
from typing import TYPE_CHECKING, Any, cast

from cluster_dash_mole.backend import DeliveryError
from cluster_dash_mole.comms import JsonSenderLogger

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster_dash_mole.config import JsonSenderLoggerSettings
    from cluster_dash_mole.simulate.fleet import Fleet
    from cluster_dash_mole.simulate.schedule import Due, Schedule

log = logging.getLogger(__name__)

_OF_ONE_HOST = (400, 409, 413, 415, 422)  # the answer is about that post: the other hosts' are sent on
_GATHER_S = 0.1  # so long posts wait for others that go with them
_MOST_REASONS, _MOST_REASON = 10, 300
_MOST_BYTES = 900_000  # of a batch; servers take 1 MiB


class Report:
    """What became of all posts; each reason of a failure is logged once, until posts are taken again."""

    def __init__(self, target: str) -> None:
        self.taken = self.refused = self.missed = self.failures = 0
        self._target = target
        self._lock = threading.Lock()
        self._reasons: set[str] = set()

    def note_taken(self, posts: int, had_failed: bool) -> None:
        """So many were taken; `had_failed`: by a sender that could not bring the ones before."""
        with self._lock:
            self.taken += posts
            if had_failed and self._reasons:
                self._reasons.clear()
                log.info("%s: works again; posts lost so far: %d", self._target, self.missed + self.refused)

    def note_refused(self, reason: str) -> None:
        """One was refused, as the server says why."""
        with self._lock:
            self.refused += 1
            self._say(reason, "that post is dropped, the others go on")

    def note_missed(self, posts: int) -> None:
        """So many were never made, for want of time or of a server."""
        with self._lock:
            self.missed += posts

    def note_failure(self, reason: str) -> None:
        """Nothing could be brought."""
        with self._lock:
            self.failures += 1
            self._say(reason, "trying on")

    def _say(self, reason: str, does: str) -> None:
        if reason not in self._reasons and len(self._reasons) < _MOST_REASONS:
            self._reasons.add(reason)
            log.warning("%s: %s; %s (said once)", self._target, reason, does)


class FleetSender(JsonSenderLogger):
    """The mole's own sender, with its deadlines and back-off, for the hosts of a schedule.

    With `batch` 1 each post is a POST of its own, as a mole's is; else up to so many go together to /batch.
    """

    def __init__(
        self,
        settings: JsonSenderLoggerSettings,
        fleet: Fleet,
        schedule: Schedule,
        hosts: int,
        batch: int,
        now: Callable[[], float],
        report: Report,
    ) -> None:
        self._fleet, self._schedule, self._batch, self._now = fleet, schedule, batch, now
        self._report = report
        self._auth_code = json.dumps(settings.auth_code)
        self.has_ended = threading.Event()
        pace_s = fleet.interval_s / hosts
        settings = dataclasses.replace(settings, min_interval_in_secs=0)
        if batch > 1:
            settings = dataclasses.replace(settings, address_in=settings.address_in.rstrip("/") + "/batch")
            pace_s = min(pace_s, _GATHER_S)
        super().__init__(settings, pace_s)

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self.has_ended.set()

    def _step(self) -> float:
        """Send what is due; seconds until the next. The base class calls it in a thread of its own, again and again."""
        now = self._now()
        self._report.note_missed(self._schedule.skip_old(now))
        due = self._schedule.due(now, self._batch)
        if due:
            try:
                self._schedule.advance(self._send(due))
            except DeliveryError as error:
                return self._note_failure({}, error)
            self._failures = 0
            return 0.0
        if self._schedule.has_ended:
            self._closed = True
            return 0.0
        wait_s = self._schedule.wait_s(self._now())
        return wait_s if self._batch == 1 else max(_GATHER_S, wait_s)

    def _send(self, due: list[Due]) -> Due:
        """The last that was sent. Raises DeliveryError where the server took none and others would fare no better."""
        if self._batch == 1:
            self._send_one(self._fleet.body(due[0].host, due[0].number))
            return due[0]
        bodies: list[str] = []
        left = _MOST_BYTES
        for post in due:
            bodies.append(self._fleet.body(post.host, post.number))
            left -= len(bodies[-1])
            if left < len(bodies[-1]):
                break
        said = self.deliver_body(f'{{"auth_code":{self._auth_code},"posts":[{",".join(bodies)}]}}'.encode())
        results = cast("list[dict[str, Any]]", said.get("results") or [])
        refused = [str(result.get("msg"))[:_MOST_REASON] for result in results if not result.get("success")]
        for reason in refused:
            self._report.note_refused(reason)
        self._report.note_taken(len(bodies) - len(refused), self._failures > 0)
        return due[len(bodies) - 1]

    def _send_one(self, body: str) -> None:
        try:
            self.deliver_body(f'{{"auth_code":{self._auth_code},{body[1:]}'.encode())
        except DeliveryError as error:
            if error.status not in _OF_ONE_HOST:
                raise
            self._report.note_refused(self.word(error))
        else:
            self._report.note_taken(1, self._failures > 0)

    def _note_failure(self, post: dict[str, Any], error: DeliveryError) -> float:
        """The posts stay due, until newer ones of their hosts take their place."""
        wait_s = super()._note_failure(post, DeliveryError(str(error), wait_s=error.wait_s, status=error.status))
        self._waiting = None
        return wait_s

    def _log_failure(self, error: DeliveryError) -> None:
        self._report.note_failure(self.word(error))
