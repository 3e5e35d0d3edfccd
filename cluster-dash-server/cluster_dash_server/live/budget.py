"""Takes the hosts' histories, shortens all of them alike until they fit into the memory that the settings give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .history import RecentHistory

MOST_OF_MEAN = 4
"""While memory is short a host has at most so many times what each would have: one must not eat the others' history."""
SHORTER, SHORTER_AT_ONCE, LONGER = 0.95, 0.7, 1.02
LONGER_BELOW = 0.9
SHORTEST = 0.005


class Budget:
    """`share` is what the hosts have of the minutes and hours promised."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.share = 1.0

    def keep(self, histories: Sequence[RecentHistory], forget: Callable[[RecentHistory], None]) -> None:
        """`forget` drops what is older than a history's share of what is promised."""
        used = self._used(histories)
        if used < LONGER_BELOW * self.limit_bytes:
            self.share = min(1.0, self.share * LONGER)
        for history in histories:
            history.share = min(self.share, history.share * LONGER)
            forget(history)
        if self._used(histories) > self.limit_bytes:
            self._cut_the_largest(histories, forget)
        while (used := self._used(histories)) > self.limit_bytes and self.share > SHORTEST:
            self.share *= _shorter(used, self.limit_bytes)
            for history in histories:
                history.share = min(self.share, history.share)
                forget(history)

    def _cut_the_largest(self, histories: Sequence[RecentHistory], forget: Callable[[RecentHistory], None]) -> None:
        most = MOST_OF_MEAN * self.limit_bytes / len(histories)
        for history in histories:
            while history.bytes > most and history.share > SHORTEST:
                history.share *= _shorter(history.bytes, most)
                forget(history)

    @staticmethod
    def _used(histories: Sequence[RecentHistory]) -> int:
        return sum(history.bytes for history in histories)


def _shorter(used: int, limit: float) -> float:
    """By what it is tried next. A small step for each try would keep the server busy for seconds with 10,000 hosts."""
    return min(SHORTER, max(SHORTER_AT_ONCE, limit / used))
