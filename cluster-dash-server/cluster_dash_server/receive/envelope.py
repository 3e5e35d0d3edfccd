"""Takes the text of a batch, gives its envelope and the text of each post, which nobody has read yet.

msgspec finds where a value ends at a fraction of what reading it costs. So a post is read only where it may be one, and
what is no JSON or too large is told in its place.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ..config import Limits
from ..errors import Refusal
from .bodies import check_form, parse

WHAT = "the batch"
_OPENING = ord("[")


class _Split(msgspec.Struct):
    posts: msgspec.Raw


class Envelope:
    """A batch without its posts."""

    def __init__(self, text: bytes | bytearray, limits: Limits) -> None:
        """Raises Refusal(400)."""
        self._limits = limits
        self._posts = _posts_of(text)
        self._rest = text if self._posts is None else _without(text, self._posts, limits)
        document = parse(WHAT, self._rest)
        if not isinstance(document, dict):
            raise Refusal(400, f"schema violation: {WHAT} must be of type object")
        self._entries = cast("dict[str, Any]", document)

    @property
    def auth_code(self) -> str:
        """Raises Refusal(400)."""
        return self._entry("auth_code", str, "string")

    def posts(self) -> list[memoryview]:
        """The text of each. Raises Refusal(400, 413) for what is wrong with the envelope."""
        self._entry("posts", list, "array")
        check_form(WHAT, self._entries, self._rest, self._limits)
        posts = [] if self._posts is None else msgspec.json.decode(self._posts, type=list[msgspec.Raw])
        if len(posts) > self._limits.batch_posts:
            most = self._limits.batch_posts
            raise Refusal(413, f"{WHAT} has more than {most} posts ([limits] batch_posts)")
        return [memoryview(post) for post in posts]

    def _entry(self, name: str, kind: type, word: str) -> Any:
        if name not in self._entries:
            raise Refusal(400, f"schema violation: {WHAT} lacks {name}")
        if not isinstance(self._entries[name], kind):
            raise Refusal(400, f"schema violation: {name} must be of type {word}")
        return self._entries[name]


def _posts_of(text: bytes | bytearray) -> memoryview | None:
    """The text of the list; None where there is none, of which the envelope's rules tell. Raises Refusal(400)."""
    try:
        posts = memoryview(msgspec.json.decode(text, type=_Split).posts)
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError as error:
        if not text:
            return None
        raise Refusal(400, f"{WHAT} isn't valid JSON: {error}") from None
    except RecursionError:
        raise Refusal(400, f"{WHAT} isn't valid JSON: nested far too deep") from None
    return posts if posts[0] == _OPENING else None


def _without(text: bytes | bytearray, posts: memoryview, limits: Limits) -> bytes:
    """The envelope with an empty list. Raises Refusal(400): looking for so much in so much could take long."""
    end = len(text.rstrip(b" \t\r\n}"))
    if text.endswith(posts, 0, end):
        return bytes(text[: end - len(posts)]) + b"[]" + bytes(text[end:])
    if len(text) > limits.body_bytes:
        raise Refusal(400, "a batch that large must end with its posts")
    return bytes(text).replace(posts, b"[]", 1)  # equal text before it is as good: then the posts are read, too
