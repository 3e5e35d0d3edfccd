"""Takes words, gives numbers and ids that belong to them: the same in every process, for any other word others."""

from __future__ import annotations

import uuid
import zlib

_SPACE = uuid.UUID("5f1d9f86-5f0e-4c8d-9a53-0e6c1b0f7a11")


def salt_of(*words: object) -> int:
    """A whole number of 32 bits."""
    return zlib.crc32(" ".join(map(str, words)).encode())


def share_of(*words: object) -> float:
    """From 0 to 1."""
    return salt_of(*words) / 2**32


def uuid_of(*words: object) -> str:
    """A UUID."""
    return str(uuid.uuid5(_SPACE, " ".join(map(str, words))))
