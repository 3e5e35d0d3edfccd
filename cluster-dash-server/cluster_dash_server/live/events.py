"""Takes the events that a host's posts tell, keeps the newest of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import orjson

MAX_EVENTS = 200
MAX_BYTES = 65_536
MAX_BYTES_OF_ONE = 8192
"""A larger one loses its data."""


class Events:
    """As JSON, in the order of their coming: bounded in number and in bytes. Not safe for threads by itself."""

    __slots__ = ("_bytes", "_kept")

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque()
        self._bytes = 0

    def extend(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            text = compact(event)
            if len(text) > MAX_BYTES_OF_ONE:
                text = compact({name: event.get(name) for name in ("time", "kind", "device", "text")})
            self._kept.append(text)
            self._bytes += len(text)
            while self._kept and (len(self._kept) > MAX_EVENTS or self._bytes > MAX_BYTES):
                self._bytes -= len(self._kept.popleft())

    def newest_first(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = [orjson.loads(text) for text in self._kept]
        return sorted(events, key=lambda event: -event["time"])


def compact(document: dict[str, Any]) -> bytes:
    """Its JSON; a copy, since what orjson returns holds up to twice its length in memory."""
    return memoryview(orjson.dumps(document)).tobytes()
