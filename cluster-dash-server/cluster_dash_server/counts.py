"""How many posts came, and what became of them, since the server's start."""

from __future__ import annotations

import threading
from collections import Counter

from .live.sequences import Seen

TAKEN = (Seen.NEW, Seen.DUPLICATE, Seen.LATE)


class Counts:
    """Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[Seen] = Counter(dict.fromkeys(TAKEN, 0))
        self._refused: Counter[int] = Counter()

    def take(self, seen: Seen) -> None:
        with self._lock:
            self._taken[seen] += 1

    def refuse(self, status: int) -> None:
        with self._lock:
            self._refused[status] += 1

    def taken(self) -> dict[Seen, int]:
        with self._lock:
            return dict(self._taken)

    def refused(self) -> dict[int, int]:
        """By HTTP status."""
        with self._lock:
            return dict(self._refused)
