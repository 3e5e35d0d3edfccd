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
    from cluster_dash_mole.simulate.schedule import Schedule

log = logging.getLogger(__name__)

_OF_ONE_HOST = (400, 409, 413, 415, 422)  # the answer is about that post: the other hosts' are sent on
_GATHER_S = 0.1  # so long posts wait for others that go with them
_MOST_REASONS = 10


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
        if batch > 1:
            settings = dataclasses.replace(settings, address_in=settings.address_in.rstrip("/") + "/batch")
        # What a mole does every few seconds this does all the time, so it keeps its connection, as such a mole would.
        super().__init__(dataclasses.replace(settings, min_interval_in_secs=0), min(1.0, fleet.interval_s / hosts))

    def _step(self) -> float:
        """Send what is due; seconds until the next. The base class calls it in a thread of its own, again and again."""
        now = self._now()
        self._report.note_missed(self._schedule.skip_old(now))
        due = self._schedule.due(now, self._batch)
        if due.posts:
            try:
                self._send(due.posts)
            except DeliveryError as error:
                return self._note_failure({}, error)
            self._schedule.advance(due)
            self._note_success()
            return 0.0
        self._schedule.advance(due)
        if self._schedule.has_ended:
            self.has_ended.set()
            return 3600.0
        wait_s = self._schedule.wait_s(self._now())
        return wait_s if self._batch == 1 else max(_GATHER_S, wait_s)

    def _send(self, posts: list[tuple[int, int]]) -> None:
        """Raises DeliveryError where the server has taken none of them and others would fare no better."""
        bodies = [self._fleet.body(host, number) for host, number in posts]
        if self._batch == 1:
            self._send_one(bodies[0])
            return
        text = f'{{"auth_code":{self._auth_code},"posts":[{",".join(bodies)}]}}'
        said = self.deliver_body(text.encode())
        results: Any = said.get("results")
        refused = [result for result in cast("list[dict[str, Any]]", results or []) if not result.get("success")]
        for result in refused:
            self._report.note_refused(str(result.get("msg"))[:300])
        self._report.note_taken(len(posts) - len(refused), self._failures > 0)

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
        if not error.retry:
            error = DeliveryError(str(error), wait_s=error.wait_s, status=error.status)
        wait_s = super()._note_failure(post, error)
        self._waiting = None
        return wait_s

    def _log_failure(self, error: DeliveryError) -> None:
        self._report.note_failure(self.word(error))

    def _note_success(self) -> None:
        self._failures = self._lost = 0
