"""Takes when posts came and how long their hosts had been up then, tells when they were made by the server's clock.

A host's own time stands beside its points. It is no time where its clock was never set, and then the time of coming
counts: of a live post that is right, of one that waited in the outbox it isn't, and many that come at once would come
at one time, of which a point can only be once. How long a host is up tells it, by a clock that nobody sets.
"""

from __future__ import annotations

import threading

from .numbers import Number

MOST_BOOTS = 20_000
APART_S = 0.001
"""As far as times are told apart."""


class _Boot:
    """Of a host. `since_s` is when it was, by the server's clock, and `last_s` the last time that was given out."""

    __slots__ = ("last_s", "since_s")

    def __init__(self) -> None:
        self.since_s: int | None = None
        self.last_s = 0.0

    def note(self, received_s: float, up_s: float | None) -> None:
        """Whole seconds, and the same ones while they are true: a post that comes twice has one time."""
        since_s = None if up_s is None else round(received_s - up_s)
        if since_s is None or self.since_s is None or abs(since_s - self.since_s) > 1:
            self.since_s = since_s


class Dates:
    """Safe for threads."""

    def __init__(self) -> None:
        self._boots: dict[tuple[str, str], _Boot] = {}
        """The one that was used last at the end."""
        self._lock = threading.Lock()

    def made_at(self, number: Number | None, up_s: float | None, received_s: float, is_newest: bool) -> float:
        """Unix seconds; `received_s` for the newest post of a host, and where nobody can tell. Posts of a boot that
        wait have times of their own, in their order.
        """
        if number is None:
            return received_s
        with self._lock:
            boot = self._of(number)
            if is_newest:
                boot.note(received_s, up_s)
                return received_s
            if up_s is not None and boot.since_s is not None:
                return min(received_s, boot.since_s + up_s)
            boot.last_s = max(received_s, boot.last_s + APART_S)
            return boot.last_s

    def _of(self, number: Number) -> _Boot:
        key = number.mole_id, number.epoch.partition(".")[0]
        boot = self._boots.pop(key, None) or _Boot()
        self._boots[key] = boot
        if len(self._boots) > MOST_BOOTS:
            del self._boots[next(iter(self._boots))]
        return boot
