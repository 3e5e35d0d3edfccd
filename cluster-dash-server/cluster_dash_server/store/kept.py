"""Takes an accepted post with its points, gives the bytes that the journal keeps of it, and reads them again."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from ..points import Points, points_of_post
from .numbers import Number, number_of

_HEAD = struct.Struct("<dI")
_LATE = 1 << 31
"""In the length of `near`, which is far shorter."""


class NotOurs(Exception):
    """A payload that `pack` never gave, or that of another version."""


class Parts(NamedTuple):
    """A post as JSON, in two objects. What stands in both counts by the second."""

    near: bytes
    far: bytes

    def read(self) -> dict[str, Any]:
        """In the order of both, so that the same parts are made of it again."""
        near: dict[str, Any] = orjson.loads(self.near)
        far: dict[str, Any] = orjson.loads(self.far)
        return {name: near[name] for name in near if name not in far} | far


class Coming(NamedTuple):
    """What is to be kept."""

    document: Parts
    points: Points
    number: Number | None
    is_newest: bool
    """Of its host."""
    up_s: float | None
    """How long its host had been up."""


class Kept(NamedTuple):
    document: Parts
    points: Points
    """By the host's clock, until they are dated: `dating.py`."""
    received_s: float
    """When it came, Unix seconds by the server's clock."""
    number: Number | None
    is_newest: bool
    """Of its host, when it came; else it came late."""
    up_s: float | None
    """How long its host had been up."""


def up_s_of(post: Mapping[str, Any]) -> float | None:
    """The mole's clock, which starts with the host's boot."""
    return post.get("mole", {}).get("mono_s")


def pack(kept: Kept) -> bytes:
    near, far = kept.document
    return _HEAD.pack(kept.received_s, len(near) | (0 if kept.is_newest else _LATE)) + near + far


def unpack(payload: bytes) -> Kept:
    """Raises NotOurs."""
    try:
        received_s, length = _HEAD.unpack_from(payload)
        end_of_near = _HEAD.size + (length & ~_LATE)
        document = Parts(payload[_HEAD.size : end_of_near], payload[end_of_near:])
        post = document.read()
        if not math.isfinite(received_s):
            raise NotOurs("it came at no time")
        is_newest = not length & _LATE
        return Kept(document, points_of_post(post), received_s, number_of(post), is_newest, up_s_of(post))
    except (struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise NotOurs(f"{type(error).__name__}: {error}") from None
