"""Takes posts that are carried into the tables, gives them with the times that their points count as, and remembers of
each host which of its posts are there and what dates them.

It is stored with the host's latest post, so it is as old or as new as the store.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..logs import quoted
from .dating import Dates, load_dates
from .kept import Kept, up_s_of
from .numbers import Number, Numbers, load_numbers, number_of

log = logging.getLogger(__name__)

NUMBERS, DATES = "kept_numbers", "kept_dates"
"""What the latest post of a host says beside what was sent: `Numbers.dump`, `Dates.dump`."""


class Portion(NamedTuple):
    """What is inserted together."""

    kept: list[Kept]
    """With the times that their points count as."""
    dates: dict[str, Dates]
    """Of their hosts, from then on."""
    unfixed: set[str]
    """Hosts of which posts may have another time when they come again."""


class Carried:
    """Not safe for threads by itself. Raises nothing."""

    def __init__(self) -> None:
        self.numbers: dict[str, Numbers] = {}
        """Of each host's posts that are in the tables."""
        self._dates: dict[str, Dates] = {}

    def dated(self, kept: Sequence[Kept]) -> Portion:
        """Without those that are in the tables and may have had another time there. The same again until `note`."""
        portion = Portion([], {}, set())
        numbers: set[tuple[str, Number]] = set()
        for each in kept:
            host, own_s = each.points.host, each.points.event_time
            dates = portion.dates.get(host) or portion.dates.setdefault(host, self._copied(host))
            at_s, is_fixed = dates.date(own_s, each.number, each.up_s, each.received_s, is_newest=each.is_newest)
            if not is_fixed:
                portion.unfixed.add(host)
                if each.number and ((host, each.number) in numbers or self._has(host, each.number)):
                    continue
            if at_s != own_s:
                each = each._replace(points=each.points._replace(event_time=at_s))
            portion.kept.append(each)
            if each.number:
                numbers.add((host, each.number))
        return portion

    def _copied(self, host: str) -> Dates:
        dates = self._dates.get(host)
        return dates.copy() if dates else Dates()

    def _has(self, host: str, number: Number) -> bool:
        return host in self.numbers and self.numbers[host].has(number)

    def note(self, portion: Portion) -> None:
        """It is in the tables."""
        self._dates |= portion.dates
        for each in portion.kept:
            if each.number:
                self.numbers.setdefault(each.points.host, Numbers()).add(each.number)

    def dump(self, host: str) -> dict[str, Any]:
        """What is stored with its latest post."""
        dumped: dict[str, Any] = {}
        if host in self.numbers:
            dumped[NUMBERS] = self.numbers[host].dump()
        if host in self._dates:
            dumped[DATES] = self._dates[host].dump()
        return dumped

    def load(self, host: str, post: dict[str, Any], received_s: float, *, is_whole: bool) -> None:
        """Takes that out of its latest post. Where the tables aren't whole, nobody knows which posts are there."""
        numbers, dates = post.pop(NUMBERS, ()), post.pop(DATES, None)
        try:
            if host not in self._dates:
                self._dates[host] = _dates_of(post, received_s) if dates is None else load_dates(dates)
            if is_whole:
                self.numbers.setdefault(host, Numbers()).merge(load_numbers(numbers))
        except (ValueError, TypeError, LookupError):
            log.error("what the store says of the posts of %s that it has can't be read", quoted(host))

    def forget(self, host: str) -> None:
        self.numbers.pop(host, None)
        self._dates.pop(host, None)


def _dates_of(post: dict[str, Any], received_s: float) -> Dates:
    """As its latest post alone tells it: the version before stored nothing of it."""
    dates = Dates()
    dates.date(float(post["timestamp"]), number_of(post), up_s_of(post), received_s, is_newest=True)
    return dates
