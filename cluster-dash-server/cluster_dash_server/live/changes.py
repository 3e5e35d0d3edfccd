"""Takes what changed, gives it a number, tells what changed after a number.

Of each thing only its newest change is kept, in the order of the numbers. So nothing is lost between a first look and
the next one, however the two are timed, and a reader that was away gets each thing once. What doesn't fit any more is
the oldest: who asks from before that must read everything.
"""

from __future__ import annotations

import secrets
import threading


class Changes:
    """Safe for threads. `epoch` names this start of the server: numbers begin at 0 with it."""

    def __init__(self, most: int) -> None:
        self.epoch = secrets.token_hex(4)
        self.version = 0
        self._most = most
        self._newest: dict[tuple[str, str], int] = {}
        """(kind, key) and the number of its newest change, in order."""
        self._forgotten = 0
        self._lock = threading.Lock()

    def note(self, kind: str, key: str) -> None:
        """`kind` is host, later run; `key` its name."""
        place = (kind, key)
        with self._lock:
            self.version = version = self.version + 1
            newest = self._newest
            newest.pop(place, None)
            newest[place] = version
            if len(newest) > self._most:
                self._forgotten = newest.pop(next(iter(newest)))

    def since(self, version: int, kind: str) -> list[str] | None:
        """The keys of this kind that changed after this number, the latest first; None where that isn't known."""
        found: list[str] = []
        with self._lock:
            if not self._forgotten <= version <= self.version:
                return None
            for place, number in reversed(self._newest.items()):
                if number <= version:
                    break
                if place[0] == kind:
                    found.append(place[1])
        return found
