"""Takes a salt and the number of a post, gives a number between -1 and 1: always the same, and without any order.

A look into a table instead of a generator, so that any post can be made without those before it, and for next to
nothing.
"""

from __future__ import annotations

import random
from array import array

_SIZE = 8192
_generator = random.Random("cluster-dash simulate")  # noqa: S311  no secret
_TABLE = array("d", [_generator.uniform(-1.0, 1.0) for _ in range(_SIZE)])
_STEP = 2741  # odd, so that a salt walks through the whole table


def noise(salt: int, number: int) -> float:
    """From -1 to 1, evenly."""
    return _TABLE[(salt + number * _STEP) % _SIZE]
