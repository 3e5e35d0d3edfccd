"""Takes posts that ClickHouse refuses together, finds those that it refuses by themselves, and brings in the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from .kept import Kept

AWAY = (ClickHouseError, OSError)
"""What is tried again: nothing is lost meanwhile."""
NO_TABLE = (ValueError, TypeError, OverflowError, pa.ArrowException)
"""Of posts that can't be made a table of; pyarrow's error of a file is none, see `is_refusal`."""
FAILED = (*AWAY, *NO_TABLE)
_CODE = re.compile(r"[Cc]ode: (\d+)")
_OF_THE_STORE = frozenset(
    {
        *(60, 62, 81, 218),  # no such table
        *(74, 75, 76, 87, 243),  # files, disk space
        *(159, 160, 198, 203, 209, 210, 279, 319, 394, 425, 999),  # time-outs, connections
        *(164, 192, 193, 194, 242, 497, 516),  # who may, read-only
        *(202, 241, 252, 285, 473, 1000, 1001, 1002),  # memory, too many parts or queries, anything else
    }
)


class Refused(NamedTuple):
    kept: Kept
    why: str


def is_refusal(error: Exception) -> bool:
    """Of what was sent; else the store takes nothing at all now, and all of it is tried again."""
    if isinstance(error, OSError):
        return False
    if isinstance(error, NO_TABLE):
        return True
    code = _CODE.search(str(error))
    is_of_data = isinstance(error, DatabaseError) and not isinstance(error, OperationalError)
    return is_of_data and code is not None and int(code[1]) not in _OF_THE_STORE


def sift(kept: Sequence[Kept], insert: Callable[[Sequence[Kept]], None]) -> list[Refused]:
    """Inserts all but those that are returned. Raises what `insert` raised where that isn't of what was sent, or where
    most of it is refused: then it isn't the posts.
    """
    refused: list[Refused] = []
    error: Exception | None = None
    rest = [list(kept)]
    while rest:
        some = rest.pop()
        try:
            insert(some)
        except Exception as why:
            if not is_refusal(why):
                raise
            error = why
            if len(some) == 1:
                refused.append(Refused(some[0], str(why)))
            else:
                half = len(some) // 2
                rest += [some[half:], some[:half]]
        if error and len(refused) * 2 > len(kept):
            raise error
    return refused
