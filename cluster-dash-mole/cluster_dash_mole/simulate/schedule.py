"""Takes a fleet and a time, gives which posts are due: of each host the newest, in the order of their times."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_dash_mole.simulate.fleet import Fleet


class Due(NamedTuple):
    """A post to be sent: the host's index and the post's number. `place` is its own in the schedule."""

    host: int
    number: int
    place: int


class Schedule:
    """Of some hosts of a fleet, by index. Where `is_once` each posts its first post after the faults, and no more."""

    def __init__(self, fleet: Fleet, hosts: Sequence[int], *, is_once: bool = False) -> None:
        self._fleet, self._hosts = fleet, hosts
        self._place = len(hosts) if is_once else 0
        self._end = 2 * len(hosts) if is_once else None

    @property
    def has_ended(self) -> bool:
        """Whether no post will ever be due."""
        return self._end is not None and self._place >= self._end

    def due(self, now: float, most: int) -> list[Due]:
        """At most so many of those that are due now; `advance` past them once they are sent."""
        posts: list[Due] = []
        place = self._place
        while len(posts) < most and place != self._end and self._at(place) <= now:
            number, nth = divmod(place, len(self._hosts))
            if self._fleet.hosts[self._hosts[nth]].facts.is_sending(number):
                posts.append(Due(self._hosts[nth], number, place))
            elif not posts:
                self._place = place + 1
            place += 1
        return posts

    def advance(self, past: Due) -> None:
        """That one and those before it were sent, or given up."""
        self._place = past.place + 1

    def skip_old(self, now: float) -> int:
        """How many are left out, as there is a newer one of the same host."""
        rounds = 0 if self._end else max(0, int((now - self._at(self._place)) / self._fleet.interval_s))
        self._place += rounds * len(self._hosts)
        return rounds * len(self._hosts)

    def wait_s(self, now: float) -> float:
        """Seconds until the next is due."""
        return max(0.0, self._at(self._place) - now)

    def _at(self, place: int) -> float:
        number, nth = divmod(place, len(self._hosts))
        return self._fleet.hosts[self._hosts[nth]].facts.sent_at(number)
