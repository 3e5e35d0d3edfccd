"""What was accepted, kept: first in a journal on disk, then in ClickHouse."""

from __future__ import annotations


class NotKept(Exception):
    """A post couldn't be put on disk; its sender should keep it and come again. The text says why."""


class StoreAway(Exception):
    """The store gives no answer; the text says why."""


class StoreBusy(StoreAway):
    """It answers others."""


class NobodyWaits(StoreAway):
    """Who asked has left, and the question was broken off."""


class TooSlow(Exception):
    """A question took longer than it may."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"that takes longer than {limit_s:.0f} s: ask for a shorter time, fewer series, or points=500")
