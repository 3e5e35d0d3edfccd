"""What was accepted, kept: first in a journal on disk, then in ClickHouse."""

from __future__ import annotations


class NotKept(Exception):
    """A post couldn't be put on disk; its sender should keep it and come again. The text says why."""


class StoreAway(Exception):
    """The store gives no answer; the text says why."""
