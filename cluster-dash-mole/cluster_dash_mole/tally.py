"""Takes what was lost and what was refused, keeps the sums in a file, over restarts."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from cluster_dash_mole.identity import open_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST = 2**53


class Tally:
    """`dropped`: posts that were lost since this installation began; `refused`: that the server will never take.

    `gone` is the number of the file whose loss is counted already: a mole that is killed before it has removed that
    file doesn't count it twice.
    """

    def __init__(self, path: Path, set_aside: Callable[[Path], None]) -> None:
        self._path = path
        self._set_aside = set_aside
        self._lock = threading.Lock()
        self.dropped = self.refused = self.dropped_since_start = 0
        self.gone = -1
        self._is_saved = True

    def load(self) -> None:
        """Add what the file holds. Raises OSError."""
        try:
            kept: Any = json.loads(self._path.read_bytes())
            dropped, refused, gone = (_whole(kept[name]) for name in ("dropped", "refused", "gone"))
        except FileNotFoundError:
            return
        except (IsADirectoryError, ValueError, TypeError, KeyError, RecursionError):
            self._set_aside(self._path)
            return
        with self._lock:
            self.dropped += dropped
            self.refused += refused
        self.gone = gone

    def count(self, dropped: int = 0, refused: int = 0) -> None:
        """Count, from any thread; it is saved with the next `save`."""
        with self._lock:
            self.dropped += dropped
            self.dropped_since_start += dropped
            self.refused += refused
            self._is_saved = False

    def add(self, dropped: int, gone: int | None = None) -> None:
        """Count and save; where that fails it is saved with the next."""
        self.count(dropped)
        if gone is not None:
            self.gone = gone
        self.save()

    def save(self) -> None:
        """Where something is not saved yet."""
        if self._is_saved:
            return
        self._is_saved = True
        new = self._path.with_suffix(".new")
        sums = {"dropped": self.dropped, "refused": self.refused, "gone": self.gone}
        try:
            with open_private(new) as file:
                file.write(json.dumps(sums).encode() + b"\n")
            new.replace(self._path)
        except OSError:
            self._is_saved = False


def _whole(value: Any) -> int:
    if type(value) is not int or not -1 <= value < _MOST:
        raise ValueError("not a number of posts")
    return value
