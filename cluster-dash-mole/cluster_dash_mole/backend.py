"""Takes posts, brings the newest one to where a subclass delivers, in a thread that delays no reading."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from typing import Any

log = logging.getLogger(__name__)

LONGEST_BACK_OFF_S = 60.0
_MOST_REASON = 300
_MOST_REASONS = 10
_SAY_AGAIN_AFTER_S = 3600.0


class DeliveryError(Exception):
    """Why a post was not taken, for a person.

    `retry` False: this very post will never be taken. `wait_s`: stay away at least so long. `status` is that of the
    answer, None where there was none.
    """

    def __init__(self, reason: str, retry: bool = True, wait_s: float = 0.0, status: int | None = None) -> None:
        text = "".join(letter if letter.isprintable() else " " for letter in reason)
        super().__init__(text if len(text) <= _MOST_REASON else text[:_MOST_REASON] + "…")
        self.retry = retry
        self.wait_s = wait_s
        self.status = status


class Reasons:
    """Why it fails, each said once an hour, ten of them at most, until it works again."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def is_known(self, reason: str) -> bool:
        """Whether it was said."""
        return reason in self._said_at

    def is_due(self, reason: str) -> bool:
        """Whether it is to be said now, which counts as said."""
        now = time.monotonic()
        if reason not in self._said_at and len(self._said_at) >= _MOST_REASONS:
            return False
        if now - self._said_at.get(reason, -math.inf) < _SAY_AGAIN_AFTER_S:
            return False
        self._said_at[reason] = now
        return True

    def clear(self) -> None:
        """It works."""
        self._said_at.clear()


def back_off_s(failures: int) -> float:
    """Seconds until the next try after so many failures in a row, jittered so that moles don't come at once."""
    return random.uniform(0, min(LONGEST_BACK_OFF_S, 2.0 ** min(failures, 10)))  # noqa: S311  no secret


class Backend:
    """A way out, with a thread of its own that keeps only the newest post waiting, so nothing slow delays readings.

    A subclass delivers. Posts are numbered without a gap as they are handed in, so a gap at the receiver is a post
    that was lost on the way, where no subclass keeps what was given up.
    """

    target = ""
    gives_up = "this post is dropped, the next one is tried"

    def __init__(self, min_interval_s: float, poll_interval_s: float) -> None:
        self._min_interval_s = min_interval_s
        self._poll_interval_s = poll_interval_s
        self._slowed_to_s = 0.0
        self._last_at: float | None = None
        self._seq = 0
        self._changed = threading.Condition()
        self._waiting: Any = None
        self._busy = False
        self._closed = False
        self._failures = 0
        self._lost = 0
        self._reasons = Reasons()
        threading.Thread(target=self._run, name=type(self).__name__, daemon=True).start()

    @property
    def _least_s(self) -> float:
        # A poll may come a little early; without the slack each second one would be left out then.
        return max(self._min_interval_s, self._slowed_to_s) - self._poll_interval_s / 10

    @property
    def interval_s(self) -> float:
        """Seconds from one post to the next: as many polls as the least time between two posts takes."""
        polls = max(1, -int(-self._least_s // self._poll_interval_s))
        return polls * self._poll_interval_s

    def due(self, now: float) -> bool:
        """Whether the least time between two posts has passed, by the clock of `now`."""
        return self._last_at is None or now - self._last_at >= self._least_s

    def slow_down(self, least_s: float) -> None:
        """From now on so many seconds between two posts at least; never less than the settings say."""
        self._slowed_to_s = least_s

    def send(self, post: dict[str, Any], now: float) -> None:
        """Hand a post in; one that still waits is given up for it."""
        self._last_at = now
        self._seq += 1
        numbered = {**post, "mole": {**post["mole"], "seq": self._seq, "interval_s": self.interval_s}}
        prepared = self.prepare(numbered)
        if prepared is None:
            return
        with self._changed:
            if self._waiting is not None:
                self.give_up(self._waiting)
            self._waiting = prepared
            self._changed.notify_all()

    def prepare(self, post: dict[str, Any]) -> Any:
        """What waits for `deliver`; None where the post can't be sent at all."""
        return post

    def read_skew(self) -> float | None:
        """How far this host's clock is ahead of the receiver's, in seconds; None where it doesn't tell."""
        return None

    def word(self, error: DeliveryError) -> str:
        """The error as the log may hold it."""
        return str(error)

    def deliver(self, post: Any) -> None:
        """Bring one post, as it was prepared, there; DeliveryError when it was not taken."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._closed:
            self._pause(self._step())

    def _step(self) -> float:
        """Deliver the newest post, waiting for one; the seconds to stay away after it."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._closed)
            post, self._waiting = self._waiting, None
            self._busy = post is not None
        if post is None:
            return 0.0
        try:
            self.deliver(post)
        except DeliveryError as error:
            return self._note_failure(post, error)
        except Exception as error:
            if not self._reasons.is_known(str(error)):
                log.exception("%s: a post could not be sent", self.target)
            return self._note_failure(post, DeliveryError(str(error), retry=False))
        finally:
            self._busy = False
        self._note_success()
        return 0.0

    def _note_failure(self, post: Any, error: DeliveryError) -> float:
        """Keep the post or give it up, and log why; exponential back-off, jittered so that moles don't come at once."""
        self._failures += 1
        with self._changed:
            if error.retry and self._waiting is None:
                self._waiting = post
            else:
                self.give_up(post, error)
        self._log_failure(error)
        return error.wait_s + (back_off_s(self._failures) if error.retry else 0.0)

    def _log_failure(self, error: DeliveryError) -> None:
        """Each reason once an hour until the next success."""
        reason = self.word(error)
        if self._reasons.is_due(reason):
            level, does = (logging.WARNING, "trying on") if error.retry else (logging.ERROR, self.gives_up)
            log.log(level, "%s: %s; %s (said once an hour; %s)", self.target, reason, does, self.count_lost())

    def give_up(self, post: Any, error: DeliveryError | None = None) -> None:  # noqa: ARG002  for who keeps it
        """A newer post takes this one's place, or it will never be taken."""
        self._lost += 1

    def count_lost(self) -> str:
        """What became of posts since the last success, for the log."""
        return f"posts lost: {self._lost}"

    def _note_success(self) -> None:
        if self._failures:
            log.info("%s: works again after %d failures; %s", self.target, self._failures, self.count_lost())
        self._failures = self._lost = 0
        self._reasons.clear()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def close(self, patience_s: float = 0.2) -> None:
        """Stop; a delivery that is under way gets a moment, then the process ends without it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        until = time.monotonic() + patience_s
        while self._busy and time.monotonic() < until:
            time.sleep(0.01)
