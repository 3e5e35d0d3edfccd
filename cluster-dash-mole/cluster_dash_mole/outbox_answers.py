"""Takes what an answer of the server says of other posts than its own, gives what of it can be meant."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

MOST_NEEDED = 1000  # posts that one answer may ask for again


class Ack(NamedTuple):
    """All of that start of the mole up to this number."""

    epoch: str
    seq: int


class Need(NamedTuple):
    """These again."""

    epoch: str
    first: int
    last: int


def read_ack(ack: Any) -> Ack | None:
    """`{"epoch": ..., "seq": ...}`; None for anything else."""
    if not isinstance(ack, dict):
        return None
    epoch, seq = (cast("dict[str, Any]", ack).get(name) for name in ("epoch", "seq"))
    return Ack(epoch, seq) if isinstance(epoch, str) and type(seq) is int else None


def read_needs(need: Any) -> list[Need]:
    """The ranges of `need`, up to MOST_NEEDED posts; what isn't one is left out."""
    needs: list[Need] = []
    left = MOST_NEEDED
    for each in cast("list[Any]", need)[:MOST_NEEDED] if isinstance(need, list) else []:
        parts = cast("list[Any]", each) if isinstance(each, list) else []
        if len(parts) != 3 or not isinstance(parts[0], str) or {type(part) for part in parts[1:]} != {int}:
            continue
        epoch, first, last = parts
        last = min(last, first + left - 1)
        if 0 <= first <= last:
            needs.append(Need(epoch, first, last))
            left -= last - first + 1
    return needs
