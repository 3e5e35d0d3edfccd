"""Bytes of any length on a stream: each piece after a line with its length, and 0 at the end; -1 where they broke off,
with why as JSON in the next line. So what is cut off is never taken for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import orjson

from ..store import StoreAway

LONGEST_LINE = 2**20
GONE = "the other side ended before all was sent"


class Stream(Protocol):
    """A connection as a file."""

    def readline(self, size: int = -1, /) -> bytes: ...

    def read(self, size: int = -1, /) -> bytes: ...

    def write(self, content: bytes, /) -> int: ...

    def flush(self) -> None: ...


def send(stream: Stream, pieces: Iterable[bytes]) -> None:
    """Raises OSError. What `pieces` raises as StoreAway is told."""
    try:
        for piece in pieces:
            stream.write(b"%d\n%b" % (len(piece), piece))
        stream.write(b"0\n")
    except StoreAway as error:
        stream.write(b"-1\n%b\n" % orjson.dumps(str(error)))
    stream.flush()


def receive(stream: Stream) -> Iterator[bytes]:
    """Raises StoreAway, also where the other side is gone."""
    while length := _length(stream):
        if length < 0:
            raise StoreAway(orjson.loads(stream.readline(LONGEST_LINE)))
        piece = stream.read(length)
        if len(piece) < length:
            raise StoreAway(GONE)
        yield piece


def _length(stream: Stream) -> int:
    line = stream.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise StoreAway(GONE)
    return int(line)
