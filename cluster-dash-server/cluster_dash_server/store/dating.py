"""Takes when a host's posts came and how long it had been up then, tells when they were made by the server's clock.

A host's own time is no time where its clock was never set. The time of coming is none either for what waited in an
outbox: of many posts that come at once each point would be one row. How long the host was up tells it, by a clock that
nobody sets.

Posts are dated when they are carried into the store, in the order of the journal, and what that goes by is stored
together with them: so what is carried again has the times that it had.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .numbers import Number

FUTURE_S = 600.0
PAST_S = 31 * 86_400.0
BOOTS = 16
"""That are remembered for a host."""
APART_S = 0.001
"""As far as times are told apart."""
MOST_OFF_S = 30.0
"""Posts come sooner or later: as long as that is all, a boot keeps its date, and points their order."""


def dated(time_s: float, made_s: float) -> float:
    """The host's own time. One more than 10 minutes ahead or 31 days ago is a clock that was never set, and counts as
    the time when it was made by the server's clock. All in Unix seconds.
    """
    return time_s if -PAST_S < time_s - made_s < FUTURE_S else made_s


class _Boot(NamedTuple):
    """When it was, by the server's clock, Unix seconds."""

    since_s: float
    before_s: float | None = None
    """The same before the server's clock was set."""
    before_up_s: float = 0.0
    """How long the host was up when that came out: what is older may be in the store by the time of before."""
    later_s: float | None = None
    """What the newest post alone says. It may have been on its way for long."""

    def noted(self, since_s: float, up_s: float) -> _Boot:
        """With what one more newest post says. No post comes before it was made."""
        if abs(since_s - self.since_s) < MOST_OFF_S:
            return self if self.later_s is None else self._replace(later_s=None)
        is_certain = since_s < self.since_s or (self.later_s is not None and abs(since_s - self.later_s) < MOST_OFF_S)
        return _Boot(since_s, self.since_s, up_s) if is_certain else self._replace(later_s=since_s)

    def had_other_date(self, up_s: float) -> bool:
        """When a post of then may have come."""
        return self.before_s is not None and up_s <= self.before_up_s

    def is_own_time(self, time_s: float, up_s: float, made_s: float) -> bool:
        """By this date or by the one before, where the post may have come when that counted."""
        bases = [made_s]
        if self.before_s is not None and self.had_other_date(up_s):
            bases.append(self.before_s + up_s)
        return any(dated(time_s, base_s) == time_s for base_s in bases)


class Date(NamedTuple):
    at_s: float
    """When a post's points count as, Unix seconds."""
    is_fixed: bool
    """Whether it is the same whenever the post comes: its own time, by a clock that nobody has doubted."""


class Dates:
    """Of one host's posts. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._boots: dict[tuple[str, str], _Boot] = {}
        """By the mole's id and the boot's. The one that was used last at the end."""
        self._last_s = 0.0
        """That was given out to one that could have had the same as another."""

    def copy(self) -> Dates:
        other = Dates()
        other._boots, other._last_s = dict(self._boots), self._last_s
        return other

    def date(self, time_s: float, number: Number | None, up_s: float | None, came_s: float, *, is_newest: bool) -> Date:
        """`time_s` is the post's own time, which counts or, where it is none, one near the truth for a boot of which a
        newest post came. Others have the time of coming. No two newest posts have one time that isn't their own, nor
        two of an unknown boot.
        """
        boot = None
        made_s = came_s
        if number is not None and up_s is not None:
            boot = self._note(number, came_s - up_s, up_s) if is_newest else self._boots.get(_key(number))
            if boot:
                made_s = min(came_s + MOST_OFF_S, boot.since_s + up_s)
                if boot.is_own_time(time_s, up_s, made_s):
                    return Date(time_s, not boot.had_other_date(up_s))
                if not is_newest:
                    return Date(made_s, False)
        if boot is None and dated(time_s, came_s) == time_s:
            return Date(time_s, True)
        if self._last_s > came_s + 2 * MOST_OFF_S:  # the server's clock was set back
            self._last_s = 0.0
        self._last_s = max(made_s, self._last_s + APART_S)
        return Date(self._last_s, False)

    def _note(self, number: Number, since_s: float, up_s: float) -> _Boot:
        key = _key(number)
        known = self._boots.pop(key, None)
        self._boots[key] = boot = known.noted(since_s, up_s) if known else _Boot(since_s)
        if len(self._boots) > BOOTS:
            del self._boots[next(iter(self._boots))]
        return boot

    def dump(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"last_s": self._last_s, "boots": [[*key, *boot] for key, boot in self._boots.items()]}


def load_dates(dumped: Any) -> Dates:
    """Raises ValueError, TypeError, LookupError: it is none that `dump` gave."""
    dates = Dates()
    dates._last_s = _finite(dumped["last_s"])  # pyright: ignore[reportPrivateUsage]  # of this file
    for mole_id, boot_id, since_s, before_s, before_up_s, later_s in dumped["boots"]:
        boot = _Boot(_finite(since_s), _finite_or_none(before_s), _finite(before_up_s), _finite_or_none(later_s))
        dates._boots[str(mole_id), str(boot_id)] = boot  # pyright: ignore[reportPrivateUsage]
    return dates


def _finite(number: Any) -> float:
    """Raises ValueError, TypeError."""
    if not math.isfinite(number):
        raise ValueError(number)
    return float(number)


def _finite_or_none(number: Any) -> float | None:
    return None if number is None else _finite(number)


def _key(number: Number) -> tuple[str, str]:
    return number.mole_id, number.epoch.partition(".")[0]
