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


class Backend:
    """A way out, with a thread of its own that keeps only the newest post waiting, so nothing slow delays readings.

    A subclass delivers. Posts are numbered without a gap as they are handed in, so a gap at the receiver is a post
    that was lost on the way. What was given up could be kept on disk instead: `_give_up` is the one place for that.
    """

    target = ""

    def __init__(self, min_interval_s: float, poll_interval_s: float) -> None:
        self._min_interval_s = min_interval_s
        self._poll_interval_s = poll_interval_s
        self._slowed_to_s = 0.0
        self._last_at: float | None = None
        self._seq = 0
        self._changed = threading.Condition()
        self._waiting: dict[str, Any] | None = None
        self._busy = False
        self._closed = False
        self._failures = 0
        self._lost = 0
        self._reasons: dict[str, float] = {}
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
        with self._changed:
            if self._waiting is not None:
                self._give_up()
            self._waiting = numbered
            self._changed.notify_all()

    def read_skew(self) -> float | None:
        """How far this host's clock is ahead of the receiver's, in seconds; None where it doesn't tell."""
        return None

    def word(self, error: DeliveryError) -> str:
        """The error as the log may hold it."""
        return str(error)

    def deliver(self, post: dict[str, Any]) -> None:
        """Bring one post there; DeliveryError when it was not taken."""
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
            if str(error) not in self._reasons:
                log.exception("%s: a post could not be sent", self.target)
            return self._note_failure(post, DeliveryError(str(error), retry=False))
        finally:
            self._busy = False
        self._note_success()
        return 0.0

    def _note_failure(self, post: dict[str, Any], error: DeliveryError) -> float:
        """Keep the post or give it up, and log why; exponential back-off, jittered so that moles don't come at once."""
        self._failures += 1
        with self._changed:
            if error.retry and self._waiting is None:
                self._waiting = post
            else:
                self._give_up()
        self._log_failure(error)
        if not error.retry:
            return error.wait_s
        jitter_s = random.uniform(0, min(LONGEST_BACK_OFF_S, 2.0 ** min(self._failures, 10)))  # noqa: S311  no secret
        return error.wait_s + jitter_s

    def _log_failure(self, error: DeliveryError) -> None:
        """Each reason once an hour until the next success."""
        reason, now = self.word(error), time.monotonic()
        if reason not in self._reasons and len(self._reasons) >= _MOST_REASONS:
            return
        if now - self._reasons.get(reason, -math.inf) < _SAY_AGAIN_AFTER_S:
            return
        self._reasons[reason] = now
        does = "trying on" if error.retry else "this post is dropped, the next one is tried"
        log.warning("%s: %s; %s (said once an hour; posts lost: %d)", self.target, reason, does, self._lost)

    def _give_up(self) -> None:
        self._lost += 1

    def _note_success(self) -> None:
        if self._failures:
            log.info("%s: works again after %d failures; posts lost: %d", self.target, self._failures, self._lost)
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
