"""Takes the events that a host's posts tell, keeps the newest of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

MAX_EVENTS = 200
MAX_BYTES = 65_536
MAX_BYTES_OF_ONE = 8192
"""A larger one loses its data."""
SLEEP = "sleep"
"""The kind of one that tells how long its host was suspended, once it is awake again."""


class Events:
    """As JSON, in the order of their coming: bounded in number and in bytes. Not safe for threads by itself."""

    __slots__ = ("_bytes", "_kept")

    def __init__(self) -> None:
        self._kept: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def add(self, mono_s: float, event: dict[str, Any]) -> None:
        """`mono_s` is when it was, by the server's clock that nobody sets."""
        text = compact(event)
        if len(text) > MAX_BYTES_OF_ONE:
            text = compact({name: event.get(name) for name in ("time", "kind", "device", "text")})
        self._kept.append((mono_s, text))
        self._bytes += len(text)
        while self._kept and (len(self._kept) > MAX_EVENTS or self._bytes > MAX_BYTES):
            self._bytes -= len(self._kept.popleft()[1])

    def newest_first(self) -> list[tuple[float, dict[str, Any]]]:
        """Each with when it was."""
        events = sorted(self._kept, key=lambda kept: -kept[0])
        return [(mono_s, orjson.loads(text)) for mono_s, text in events]


class Slept(NamedTuple):
    woke_s: float
    """Unix seconds by the host's clock."""
    slept_s: float


def sleep_of(post: Mapping[str, Any]) -> Slept | None:
    """What a post tells of its host's sleep, a mole at most once in each."""
    for event in post.get("events", ()):
        if event["kind"] == SLEEP:
            data: Mapping[str, Any] = event.get("data") or {}
            slept_s = data.get("slept_s")
            if isinstance(slept_s, int | float) and slept_s is not True and slept_s > 0:
                return Slept(float(event["time"]), float(slept_s))
    return None


def compact(document: dict[str, Any]) -> bytes:
    """Its JSON; a copy, since what orjson returns holds up to twice its length in memory."""
    return memoryview(orjson.dumps(document)).tobytes()
