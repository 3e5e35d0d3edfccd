"""Takes posts, packed, gives the bytes of one file of the outbox, and back; one that was damaged gives what is whole.

A record is head, epoch, post. The head's checksum holds for all of them but for the state, a letter that is overwritten
where it stands: that takes no room and is whole or not done, whenever the mole is killed.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

WAITING, TAKEN, REFUSED = b"W", b"T", b"R"
"""The server hasn't taken it; has; never will. Any other letter is a damaged one, and counts as waiting."""
HEAD_BYTES = 24
_MAGIC = b"\xcdMo1"
_HEAD = struct.Struct("<4scxHIQI")  # magic, state, bytes of the epoch, bytes of the post, number, checksum
_CHECKED = struct.Struct("<HIQ")
_STATE_AT = 4
_MOST_EPOCH_BYTES = 256


class Head(NamedTuple):
    """What stands before a post. `size`: bytes of the whole record."""

    state: bytes
    epoch_bytes: int
    seq: int
    checksum: int
    size: int


class Record(NamedTuple):
    """A post with its place in the file."""

    offset: int
    size: int
    epoch: str
    seq: int
    state: bytes
    packed: bytes


class Damage(NamedTuple):
    """Bytes that are no record; `is_torn`: the end of the file, where a record stops before its end."""

    offset: int
    is_torn: bool


def encode_record(epoch: str, seq: int, packed: bytes, state: bytes) -> bytes:
    """One record."""
    name = epoch.encode()
    checksum = _checksum(seq, name, packed)
    return _HEAD.pack(_MAGIC, state, len(name), len(packed), seq, checksum) + name + packed


def _checksum(seq: int, name: bytes, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(name, zlib.crc32(_CHECKED.pack(len(name), len(packed), seq))))


def parse_head(data: bytes, offset: int = 0) -> Head | None:
    """None where none begins."""
    if len(data) - offset < HEAD_BYTES:
        return None
    magic, state, epoch_bytes, post_bytes, seq, checksum = _HEAD.unpack_from(data, offset)
    if magic != _MAGIC or epoch_bytes > _MOST_EPOCH_BYTES:
        return None
    return Head(state, epoch_bytes, seq, checksum, HEAD_BYTES + epoch_bytes + post_bytes)


def parse_record(data: bytes, offset: int = 0) -> Record | None:
    """None where no whole one begins."""
    head = parse_head(data, offset)
    if head is None or offset + head.size > len(data):
        return None
    name = data[offset + HEAD_BYTES : offset + HEAD_BYTES + head.epoch_bytes]
    packed = data[offset + HEAD_BYTES + head.epoch_bytes : offset + head.size]
    if _checksum(head.seq, name, packed) != head.checksum:
        return None
    state = head.state if head.state in (TAKEN, REFUSED) else WAITING
    return Record(offset, head.size, name.decode("utf-8", "replace"), head.seq, state, packed)


def parse_segment(data: bytes) -> Iterator[Record | Damage]:
    """All of a file, in its order."""
    offset = 0
    while offset < len(data):
        record = parse_record(data, offset)
        if record:
            yield record
            offset += record.size
            continue
        following = _find_record(data, offset + 1)
        yield Damage(offset, following is None and _is_torn(data, offset))
        offset = len(data) if following is None else following


def _find_record(data: bytes, start: int) -> int | None:
    offset = data.find(_MAGIC, start)
    while offset >= 0:
        if parse_record(data, offset):
            return offset
        offset = data.find(_MAGIC, offset + 1)
    return None


def _is_torn(data: bytes, offset: int) -> bool:
    head = parse_head(data, offset)
    if head is None:
        return len(data) - offset < HEAD_BYTES and data.startswith(_MAGIC[: len(data) - offset], offset)
    return offset + head.size > len(data)


def read_head(descriptor: int, offset: int) -> Head | None:
    """Of an open file; None at its end and where it is damaged."""
    return parse_head(os.pread(descriptor, HEAD_BYTES, offset))


def read_record(descriptor: int, offset: int, head: Head) -> Record | None:
    """Of an open file; None where it is damaged."""
    record = parse_record(os.pread(descriptor, head.size, offset))
    return record._replace(offset=offset) if record else None


def write_state(descriptor: int, offset: int, state: bytes) -> None:
    """Over the one that stands there. Raises OSError."""
    os.pwrite(descriptor, state, offset + _STATE_AT)
