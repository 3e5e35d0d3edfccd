"""Takes users' names, gives the letters that stand for them on a wall screen: A to Z, AA and so on, for as long as the
server runs. It keeps names off a screen in a hallway, and is no protection from whoever asks this server for more.
"""

from __future__ import annotations

import threading

LETTERS = 26
MOST = 10_000


class Aliases:
    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def of(self, user: str) -> str:
        with self._lock:
            known = self._known.get(user)
            if known is None:
                if len(self._known) >= MOST:
                    return "?"
                known = self._known[user] = letters(len(self._known))
            return known


def letters(number: int) -> str:
    """0 is A, 25 Z, 26 AA."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, LETTERS)
        text = chr(ord("A") + rest) + text
    return text
