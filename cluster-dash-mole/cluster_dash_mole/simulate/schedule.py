"""Takes a fleet and a time, gives which posts are due: of each host the newest, in the order of their times."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_dash_mole.simulate.fleet import Fleet


class Due(NamedTuple):
    """Posts, as host and number, and the place in the schedule after them."""

    posts: list[tuple[int, int]]
    next_place: int


class Schedule:
    """Of some hosts of a fleet, by index. Where `is_once` each posts its first post after the faults, and no more."""

    def __init__(self, fleet: Fleet, hosts: Sequence[int], *, is_once: bool = False) -> None:
        self._fleet, self._hosts = fleet, hosts
        self._place = self._first = len(hosts) if is_once else 0
        self._is_once = is_once
        self.missed = 0
        """Posts that were not made, as there were newer ones of their hosts."""

    @property
    def has_ended(self) -> bool:
        """Whether no post will ever be due."""
        return self._is_once and self._place >= self._first + len(self._hosts)

    def due(self, now: float, most: int) -> Due:
        """At most so many; `advance` past them once they are sent."""
        posts: list[tuple[int, int]] = []
        place = self._place
        while len(posts) < most and not (self._is_once and place >= self._first + len(self._hosts)):
            number, at = divmod(place, len(self._hosts))
            host = self._fleet.hosts[self._hosts[at]]
            if host.sent_at(number) > now:
                break
            if host.is_sending(number):
                posts.append((self._hosts[at], number))
            place += 1
        return Due(posts, place)

    def advance(self, due: Due) -> None:
        """They were sent, or given up."""
        self._place = due.next_place

    def skip_old(self, now: float) -> int:
        """How many are left out, for there is a newer one of the same host."""
        late_s = now - self._next_at
        rounds = 0 if self._is_once else int(late_s / self._fleet.interval_s)
        if rounds <= 0:
            return 0
        skipped = rounds * len(self._hosts)
        self._place += skipped
        self.missed += skipped
        return skipped

    def wait_s(self, now: float) -> float:
        """Seconds until the next is due."""
        return max(0.0, self._next_at - now)

    @property
    def _next_at(self) -> float:
        number, at = divmod(self._place, len(self._hosts))
        return self._fleet.hosts[self._hosts[at]].sent_at(number)
