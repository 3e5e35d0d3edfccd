"""Takes an accepted post with its points, gives the bytes that the journal keeps of it, and reads them again."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import orjson

from ..points import Points, points_of_post

_HEAD = struct.Struct("<dI")


class Parts(NamedTuple):
    """A post as JSON, in two objects."""

    near: bytes
    far: bytes

    def read(self) -> dict[str, Any]:
        return orjson.loads(self.near) | orjson.loads(self.far)


class Kept(NamedTuple):
    document: Parts
    points: Points
    received_s: float
    """When it came, Unix seconds by the server's clock."""


def pack(document: Parts, received_s: float) -> bytes:
    return _HEAD.pack(received_s, len(document.near)) + document.near + document.far


def unpack(payload: bytes) -> Kept:
    """Raises ValueError, KeyError: it isn't of this version."""
    received_s, near = _HEAD.unpack_from(payload)
    start = _HEAD.size
    document = Parts(payload[start : start + near], payload[start + near :])
    return Kept(document, points_of_post(document.read()), received_s)
