"""Takes names of hosts as the settings write them, gives the names that they stand for, and which of them fit a host.

`gpu[01-16]` is gpu01 to gpu16, with as many digits as its first number has; more than one range may stand in a name.
Where a pattern is allowed `*` stands for any text and `?` for one sign. Capitals count.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import product

from .hostnames import is_clear

MOST_NAMES = 100_000
LONGEST_NAME = 256
_RANGE = re.compile(r"\[(\d{1,9})-(\d{1,9})\]")
_WILD = re.compile(r"[*?]")


class PatternError(ValueError):
    """The text says what is wrong and what is allowed instead."""

    def __init__(self, text: str, allowed: str) -> None:
        super().__init__(f"{text[:LONGEST_NAME]!r} {allowed}")


def expand(text: str, *, wild: bool = False) -> list[str]:
    """The names, or with `wild` patterns too. Raises PatternError."""
    if not text or len(text) > LONGEST_NAME or not is_clear(text):
        raise PatternError(
            text,
            f"must be a host's name of 1 to {LONGEST_NAME} printable characters, without blanks at its ends or two "
            "together, and with its letters in Unicode's composed form",
        )
    if not wild and _WILD.search(text):
        raise PatternError(text, "must be a host's name or a range like gpu[01-16]; * and ? are for tags")
    parts = _RANGE.split(text)
    if any("[" in part or "]" in part for part in parts[::3]):
        raise PatternError(text, "is no range: it is written as two numbers in brackets, like gpu[01-16]")
    choices: list[Collection[str]] = []
    count = 1
    for at in range(0, len(parts), 3):
        choices.append((parts[at],))
        if at + 1 < len(parts):
            first, last = parts[at + 1], parts[at + 2]
            if int(first) > int(last):
                raise PatternError(text, "is no range: it begins with its smaller number, like gpu[01-16]")
            count *= int(last) - int(first) + 1
            if count > MOST_NAMES:
                raise PatternError(text, f"stands for more than {MOST_NAMES} names")
            choices.append([f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)])
    return ["".join(chosen) for chosen in product(*choices)]


class Tags:
    """Which tags a host has. Raises PatternError where a pattern is none."""

    def __init__(self, patterns: Mapping[str, Iterable[str]]) -> None:
        self.names = sorted(patterns)
        self._literal: dict[str, list[str]] = {}
        self._wild: list[tuple[str, re.Pattern[str]]] = []
        for tag in self.names:
            for name in dict.fromkeys(each for text in patterns[tag] for each in expand(text, wild=True)):
                if _WILD.search(name):
                    self._wild.append((tag, re.compile(fnmatch.translate(name))))
                else:
                    self._literal.setdefault(name, []).append(tag)

    def of(self, host: str) -> list[str]:
        """By name."""
        found = {tag for tag, pattern in self._wild if pattern.match(host)}
        return sorted(found.union(self._literal.get(host, ())))
