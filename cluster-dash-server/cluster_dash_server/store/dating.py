"""Takes when posts came and how long their hosts had been up then, tells when they were made by the server's clock.

A host's own time stands beside its points. It is no time where its clock was never set. The time of coming is none
either for what waited in an outbox: of many posts that come at once each point would be one row, and a post that comes
twice would be two. How long the host was up tells it, by a clock that nobody sets.
"""

from __future__ import annotations

import math
import threading

from .numbers import Number

FUTURE_S = 600.0
PAST_S = 31 * 86_400.0
MOST_BOOTS = 20_000
APART_S = 0.001
"""As far as times are told apart."""
MOST_DELAY_S = 30.0
EARLY_S = 1.0
"""Posts come a little sooner or later: as long as that is all, a boot keeps its date."""
ROUNDED_S = 0.01
"""More than what was noted loses on its way through the store."""


def dated(time_s: float, received_s: float) -> float:
    """The host's own time. One more than 10 minutes ahead or 31 days ago is a clock that was never set, and counts as
    the time when it came. All in Unix seconds.
    """
    return time_s if -PAST_S < time_s - received_s < FUTURE_S else received_s


class _Boot:
    """Of a host. `since_s` is when it was, by the server's clock, and `last_s` the last time that was given out."""

    __slots__ = ("last_s", "since_s")

    def __init__(self) -> None:
        self.since_s: int | None = None
        self.last_s = 0.0

    def note(self, came_s: float, up_s: float) -> None:
        """Whole seconds, and the same ones for as long as they explain when posts come."""
        since_s = came_s - up_s + ROUNDED_S
        if self.since_s is None or not -EARLY_S <= since_s - self.since_s < MOST_DELAY_S:
            self.since_s = math.floor(since_s)


class Dates:
    """Safe for threads."""

    def __init__(self) -> None:
        self._boots: dict[tuple[str, str], _Boot] = {}
        """The one that was used last at the end."""
        self._lock = threading.Lock()

    def note(self, number: Number | None, up_s: float | None, came_s: float) -> None:
        """A host's newest post."""
        if number is not None and up_s is not None:
            with self._lock:
                self._of(number).note(came_s, up_s)

    def restore(self, number: Number | None, up_s: float | None, made_s: float) -> None:
        """What `made_at` told of a post before this start: the same boot has the same date again."""
        if number is not None and up_s is not None:
            with self._lock:
                self._of(number).since_s = math.floor(made_s - up_s + ROUNDED_S)

    def made_at(self, number: Number | None, up_s: float | None, came_s: float, *, is_newest: bool) -> float:
        """Unix seconds, near the truth for a boot of which a post was noted. Others have the time of coming. No two
        newest posts have one time, nor two of an unknown boot.
        """
        if number is None:
            return came_s
        with self._lock:
            boot = self._of(number)
            made_s = came_s
            if up_s is not None and boot.since_s is not None:
                made_s = min(came_s + EARLY_S, boot.since_s + up_s)
                if not is_newest:
                    return made_s
            if boot.last_s > came_s + MOST_DELAY_S:  # the server's clock was set back
                boot.last_s = 0.0
            boot.last_s = max(made_s, boot.last_s + APART_S)
            return boot.last_s

    def _of(self, number: Number) -> _Boot:
        key = number.mole_id, number.epoch.partition(".")[0]
        boot = self._boots.pop(key, None) or _Boot()
        self._boots[key] = boot
        if len(self._boots) > MOST_BOOTS:
            del self._boots[next(iter(self._boots))]
        return boot
