"""Takes what waits in the outbox, brings it to the server beside the live posts: oldest first, in batches."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from cluster_dash_mole.backend import DeliveryError, Reasons, back_off_s
from cluster_dash_mole.comms import add_auth_code
from cluster_dash_mole.exchange import Exchange
from cluster_dash_mole.waiting import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cluster_dash_mole.config import JsonSenderLoggerSettings
    from cluster_dash_mole.outbox import Letter, Outbox

log = logging.getLogger(__name__)

SET_ASIDE = (400, 409, 413, 422)
"""Of one post: it will never be taken."""
_HALVE = (400, 413, 422)  # of a batch
_BATCH_S = 5.0  # so many seconds' posts go together
_MOST_POSTS = 100
_MOST_BYTES = 900_000
_SPREAD_INTERVALS = 6
_MOST_SPREAD_S = 30.0  # many moles that find their server again don't begin in the same second


class Backlog:
    """Runs in a thread of its own while live posts are taken: these find out for it whether the server is there."""

    def __init__(
        self,
        outbox: Outbox,
        settings: JsonSenderLoggerSettings,
        posts_per_s: float,
        interval_s: float,
        word: Callable[[DeliveryError], str],
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._posts_per_s = posts_per_s
        self._spread_s = min(_MOST_SPREAD_S, _SPREAD_INTERVALS * interval_s)
        self._word = word
        self._target = settings.address_in.rstrip("/") + "/batch"
        self._batches = Exchange(settings, self._target)
        self._singles = Exchange(settings, settings.address_in)
        self._most = self._full = max(1, min(_MOST_POSTS, int(posts_per_s * _BATCH_S)))
        self._failures = 0
        self._reasons = Reasons()
        self._changed = threading.Condition()
        self._pause = Wait()
        self._start_at_s: float | None = None
        self._may_run = self._closed = False
        outbox.on_waiting = self.wake
        threading.Thread(target=self._run, name="backlog", daemon=True).start()

    def resume(self, takes_gzip: bool) -> None:
        """A live post was taken."""
        if not self._may_run:
            self._batches.takes_gzip = self._batches.takes_gzip or takes_gzip
            self._may_run = True
            if self._outbox.waiting:
                self.wake()

    def hold(self) -> None:
        """A live post was not."""
        with self._changed:
            self._may_run, self._start_at_s = False, None

    def wake(self) -> None:
        """Something waits."""
        with self._changed:
            if self._may_run and self._start_at_s is None:
                self._start_at_s = time.monotonic() + random.uniform(0, self._spread_s)  # noqa: S311  no secret
                self._changed.notify_all()

    def _run(self) -> None:
        while not self._closed:
            wait_s = self._guarded_step()
            if wait_s is not None:
                self._pause.seconds(wait_s)
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._start_at_s is not None)

    def _guarded_step(self) -> float | None:
        try:
            return self.step()
        except Exception as error:
            self._failures += 1
            if self._reasons.is_due(repr(error)):
                log.exception("sending the backlog failed; trying on")
            return back_off_s(self._failures)

    def step(self) -> float | None:
        """Send a batch; the seconds until the next one, None = once there is something."""
        with self._changed:
            start_at_s = self._start_at_s
        if start_at_s is None:
            return None
        if time.monotonic() < start_at_s:
            return start_at_s - time.monotonic()
        letters = self._outbox.read_waiting(self._most, _MOST_BYTES)
        if not letters:
            with self._changed:
                self._start_at_s = None
            return None
        try:
            sent = self._send(letters)
        except DeliveryError as error:
            return self._note_failure(error)
        self._failures = 0
        self._reasons.clear()
        return sent / self._posts_per_s

    def _note_failure(self, error: DeliveryError) -> float:
        self._failures += 1
        reason = self._word(error)
        if self._reasons.is_due(reason):
            log.warning("%s: %s; posts waiting: %d (said once an hour)", self._target, reason, self._outbox.waiting)
        return max(error.wait_s, back_off_s(self._failures))

    def _send(self, letters: Sequence[Letter]) -> int:
        """How many were sent. Raises DeliveryError where the server took none and others would fare no better."""
        posts = b'{"posts":[' + b",".join(letter.body for letter in letters) + b"]}"
        self._outbox.note_sent(letters)
        try:
            said = self._batches.post(add_auth_code(posts, self._settings.auth_code))
        except DeliveryError as error:
            if error.status not in _HALVE:
                raise
            if not error.retry:
                self._halve(letters)
            return len(letters)
        results = said.get("results")
        if not isinstance(results, list) or len(cast("list[Any]", results)) != len(letters):
            raise DeliveryError("answers 200 to a batch, but not as a cluster-dash server does")
        taken = [is_success(result) for result in cast("list[Any]", results)]
        self._outbox.finish([letter for letter, is_taken in zip(letters, taken) if is_taken])
        self._outbox.note_answer(said)
        self._most = min(self._full, self._most * 2)
        for letter, is_taken in zip(letters, taken):
            if not is_taken:
                self._send_alone(letter)
        return len(letters)

    def _halve(self, letters: Sequence[Letter]) -> None:
        """A batch was refused as a whole: one of its posts is bad, or it is too large."""
        if len(letters) == 1:
            self._send_alone(letters[0])
        self._most = max(1, len(letters) // 2)

    def _send_alone(self, letter: Letter) -> None:
        """The answer to a POST of its own has a status, which tells what will become of it."""
        try:
            said = self._singles.post(add_auth_code(letter.body, self._settings.auth_code))
        except DeliveryError as error:
            if error.retry or error.status not in SET_ASIDE:
                raise
            reason = self._word(error)
            self._outbox.refuse(letter, error.status, reason)
            if self._reasons.is_due(reason):
                log.error("%s: %s; that post is set aside in %s", self._target, reason, self._outbox.folder)
        else:
            self._outbox.finish([letter])
            self._outbox.note_answer(said)

    def close(self) -> None:
        """Stop; what is under way is left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pause.end()
        self._batches.close()
        self._singles.close()


def is_success(result: Any) -> bool:
    """Of one post in the answer to a batch."""
    return isinstance(result, dict) and cast("dict[str, Any]", result).get("success") is True
