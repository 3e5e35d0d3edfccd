"""Takes a document in which some numbers change, gives its JSON with them filled in: the rest is made once."""

from __future__ import annotations

import json
import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FORMS = {"int": "%d", "text": '"%s"', "json": "%s", ".1": "%.1f", ".3": "%.3f"}
_MARK = re.compile(r'"\\u0000(\d+) ([a-z.0-9]+)"')


class Slot:
    """A leaf that changes: the value at `place`, as a whole number ("int"), with so many digits after the point (".1",
    ".3"), as "text" without anything that JSON escapes, or as a piece of "json" that is rendered already.
    """

    __slots__ = ("form", "place")

    def __init__(self, place: int, form: str = ".1") -> None:
        self.place = place
        self.form = form

    def mark(self) -> str:
        """A text that no document has, as JSON can't hold the slot itself."""
        return f"\0{self.place} {self.form}"


class Template:
    """The JSON of a document with slots."""

    __slots__ = ("_pick", "_text")

    def __init__(self, document: Any) -> None:
        text = json.dumps(document, separators=(",", ":"), default=Slot.mark, allow_nan=False).replace("%", "%%")
        places = [int(place) for place, _ in _MARK.findall(text)]
        self._text = _MARK.sub(lambda found: _FORMS[found[2]], text)
        self._pick = _picker(places)

    def fill(self, values: Sequence[Any]) -> str:
        """With the value at its place in each slot."""
        return self._text % self._pick(values)


def _picker(places: list[int]) -> Callable[[Sequence[Any]], Any]:
    if not places:
        return _nothing
    if len(places) == 1:
        place = places[0]
        return lambda values: (values[place],)
    return itemgetter(*places)


def _nothing(values: Sequence[Any]) -> tuple[()]:  # noqa: ARG001  called as the others are
    return ()
