"""Takes a document with durations that go on, gives its JSON as a template: each duration is filled in when it is sent.

So the JSON is made once, however many look at it and however long they do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

_SECONDS, _TENTHS = orjson.Fragment(b"\x00"), orjson.Fragment(b"\x01")
"""No JSON text holds these bytes otherwise: in strings they are escaped."""


class Holes:
    """When each duration began, in the order in which they stand in the document: that in which they are asked for."""

    __slots__ = ("marks",)

    def __init__(self) -> None:
        self.marks: list[float] = []

    def since(self, mono_s: float) -> orjson.Fragment:
        """Whole seconds."""
        self.marks.append(mono_s)
        return _SECONDS

    def age(self, mono_s: float) -> orjson.Fragment:
        """With tenths."""
        self.marks.append(mono_s)
        return _TENTHS


def part(document: object) -> bytes:
    """Of a template."""
    return as_text(orjson.dumps(document)).replace(b"\x00", b"%.0f").replace(b"\x01", b"%.1f")


def as_text(json: bytes) -> bytes:
    """JSON that stays as it is, for a template."""
    return json.replace(b"%", b"%%")


class Template:
    __slots__ = ("_marks", "_text")

    def __init__(self, text: bytes, holes: Holes) -> None:
        self._text, self._marks = text, tuple(holes.marks)

    @classmethod
    def of(cls, document: dict[str, Any], last: str, entries: Iterable[bytes], holes: Holes) -> Template:
        """The document, and under the key `last` the entries, parts already."""
        return cls(b'%b,"%b":[%b]}' % (part(document)[:-1], last.encode(), b",".join(entries)), holes)

    def filled(self, mono_s: float) -> bytes:
        """The JSON as it is at that time, by the clock of the marks."""
        return self._text % tuple([mono_s - mark if mono_s > mark else 0.0 for mark in self._marks])
