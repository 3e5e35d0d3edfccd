"""Takes the rows that come and go, gives what adds up over the fleet: by addition and subtraction, in whole numbers.

A look after which 200 of 10,000 hosts have changed costs 200 additions.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from .row import Row

STATUSES = ("up", "stale", "offline", "silent")
GPUS = ("busy", "idle", "free", "off", "bad", "unknown")
MOST_USERS = 1_000
"""That are told; a sender may invent more."""


class _User:
    __slots__ = ("gpus", "hosts", "idle", "mib", "mib_gpus", "util", "util_gpus")

    def __init__(self) -> None:
        self.gpus = self.mib = self.mib_gpus = self.idle = self.util = self.util_gpus = self.hosts = 0


class Totals:
    def __init__(self) -> None:
        self._statuses: Counter[str] = Counter()
        self._gpus: Counter[str] = Counter()
        self._power_w = 0
        self._power_known = 0
        self._users: dict[str, _User] = {}

    def change(self, before: Row | None, after: Row | None) -> None:
        """One row takes another one's place; None: there is none."""
        if before is not None:
            self._add(before, -1)
        if after is not None:
            self._add(after, 1)

    def _add(self, row: Row, times: int) -> None:
        self._statuses[row.status] += times
        for what, count in row.sums.gpus.items():
            self._gpus[what] += times * count
        if row.sums.power_w is not None:
            self._power_w += times * row.sums.power_w
            self._power_known += times
        for name, user in row.sums.users.items():
            sums = self._users.setdefault(name, _User())
            sums.hosts += times
            sums.gpus += times * user.gpus
            sums.mib += times * user.mib
            sums.mib_gpus += times * user.mib_gpus
            sums.idle += times * user.idle
            sums.util += times * user.util
            sums.util_gpus += times * user.util_gpus
            if not sums.hosts:
                del self._users[name]

    @property
    def counts(self) -> dict[str, int | None]:
        """Hosts by state, GPUs by what they are, and watts of those that tell; None where none does."""
        return {
            "hosts": sum(self._statuses.values()),
            **{status: self._statuses[status] for status in STATUSES},
            "gpus": sum(self._gpus.values()),
            **{what: self._gpus[what] for what in GPUS},
            "power_w": self._power_w if self._power_known else None,
        }

    def users(self) -> list[dict[str, Any]]:
        """Who has most GPUs first, then most memory; that and `util`, a mean, are None where no GPU tells."""
        ordered = sorted(self._users.items(), key=lambda each: (-each[1].gpus, -each[1].mib, each[0]))
        return [
            {
                "user": name,
                "gpus": user.gpus,
                "mem_gib": round(user.mib / 1024, 1) if user.mib_gpus else None,
                "util": round(user.util / user.util_gpus) if user.util_gpus else None,
                "idle": user.idle,
                "hosts": user.hosts,
            }
            for name, user in ordered[:MOST_USERS]
        ]
