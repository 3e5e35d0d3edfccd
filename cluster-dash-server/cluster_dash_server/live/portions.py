"""Takes the posts of a batch, gives those that may go to the disk together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..points import Points
from ..store.numbers import Number, number_of
from .identity import SOMEBODY, Sender

MOST_AT_ONCE = 32
"""Posts that are decoded and in memory together; one sync serves them."""


class Post(NamedTuple):
    """That was checked, with its points."""

    document: dict[str, Any]
    points: Points
    sender: Sender = SOMEBODY


def portions(posts: Iterable[Post]) -> Iterator[list[Post]]:
    """What is kept together: so many posts, and of a host only such as follow each other, since which of them is the
    newest is known before one is recorded.
    """
    portion: list[Post] = []
    numbers: dict[str, Number | None] = {}
    for post in posts:
        name, number = post.document["hostname"], number_of(post.document)
        if len(portion) == MOST_AT_ONCE or (name in numbers and not _follows(numbers[name], number)):
            yield portion
            portion, numbers = [], {}
        portion.append(post)
        numbers[name] = number
    if portion:
        yield portion


def _follows(before: Number | None, number: Number | None) -> bool:
    return before is not None and number is not None and before[:2] == number[:2] and before.seq < number.seq
