"""Takes byte strings, gives the file of a journal that holds them, and reads it back however it was damaged.

A file is MAGIC and records; a record is MARK, the payload's length and CRC-32, and the payload. What is torn or damaged
is passed over: reading goes on at the next record whose checksum is right.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAGIC = b"cluster-dash journal 1\n"
ANY_MAGIC = re.compile(rb"cluster-dash journal \d+")
MARK = b"\xf1REC"
_HEAD = struct.Struct("<4sII")
MAX_PAYLOAD_BYTES = 2**27


class Damage(NamedTuple):
    """Bytes of a file that belong to no whole record."""

    offset: int
    length: int
    is_tail: bool
    """As a process leaves the end of its file that ends while it writes."""


def record(payload: bytes) -> bytes:
    return _HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def read(path: Path) -> Iterator[bytes | Damage]:
    """The payloads in order, and what is no record where it stands. Raises OSError."""
    content = path.read_bytes()
    at = start_of_bad = len(MAGIC) if content.startswith(MAGIC) else 0
    while at < len(content):
        payload = _payload_at(content, at)
        if payload is None:
            found = content.find(MARK, at + 1)
            at = found if found >= 0 else len(content)
            continue
        if at > start_of_bad:
            yield Damage(start_of_bad, at - start_of_bad, is_tail=False)
        yield payload
        at = start_of_bad = at + _HEAD.size + len(payload)
    if at > start_of_bad:
        yield Damage(start_of_bad, at - start_of_bad, _is_torn(content, start_of_bad))


def is_of_another_version(path: Path) -> bool:
    """Which this one would take for garbage. What can't be read is told of elsewhere."""
    try:
        with path.open("rb") as file:
            first = file.read(len(MAGIC))
    except OSError:
        return False
    is_named_so = ANY_MAGIC.match(first) is not None and first != MAGIC
    return is_named_so and not any(isinstance(part, bytes) for part in read(path))  # else its first line is damaged


def _is_torn(content: bytes, at: int) -> bool:
    """Whether a record begins there, as far as it was written; a disk that lost its power leaves zeros."""
    if at == 0:
        return MAGIC.startswith(content)
    return MARK.startswith(content[at : at + len(MARK)]) or not content[at:].strip(b"\0")


def _payload_at(content: bytes, at: int) -> bytes | None:
    if len(content) - at < _HEAD.size:
        return None
    mark, length, checksum = _HEAD.unpack_from(content, at)
    if mark != MARK or length > MAX_PAYLOAD_BYTES:
        return None
    payload = content[at + _HEAD.size : at + _HEAD.size + length]
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None
