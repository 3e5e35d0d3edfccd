"""Takes the body of a request, gives the JSON document in it; one that is too large, too deep or no JSON is refused.

Whoever sends it costs little: what would take time or memory is refused before it does.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from ..config import Limits
from ..errors import Refusal

LONGEST_KEY = 80
LONGEST_LENGTH = 16
LONGEST_PATH = 300
SURELY_TOO_MANY = 4
"""Times the limit. A comma may stand in a string too, so that up to here the document itself is counted."""

_WHITE_SPACE = b" \t\r\n"
_NOT_COUNTED = bytes(set(range(256)) - set(b",[{"))
_GZIP = 31
_PIECE_BYTES = 2**16
_UNPACKED_PIECE_BYTES = 2**20


class Body:
    """Of a request, unpacked as far as somebody asks for it."""

    def __init__(self, what: str, limits: Limits, environ: Mapping[str, Any]) -> None:
        """`what` it is for a person, as "the post". Raises Refusal(413, 415)."""
        self.what = what
        coding = environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
        if not _is_json(environ.get("CONTENT_TYPE", "")):
            raise Refusal(415, f'{what} must be JSON: send it with the header "Content-Type: application/json"')
        if coding not in ("gzip", "identity"):
            raise Refusal(415, f"{what} may be packed by gzip, once, and by nothing else")
        try:
            sent = _read(environ, limits.body_bytes)
        except RequestEntityTooLarge:
            raise Refusal(413, f"{what} is larger than {size_of(limits.body_bytes)} ([limits] body_bytes)") from None
        self._gzip = Gzip(sent) if coding == "gzip" else None
        self._sent = sent

    def start(self, size: int) -> tuple[bytes | bytearray, bool]:
        """At least its first `size` bytes where it has so many, and whether that is all. Raises Refusal(400)."""
        if self._gzip is None:
            return self._sent, True
        try:
            return self._gzip.unpack(size)
        except zlib.error:
            raise Refusal(400, f"{self.what} isn't what gzip packs") from None

    def read(self, limit: int, values_limit: int, settings: tuple[str, str], times: int = 1) -> bytes | bytearray:
        """All of it; given up as soon as it is larger, or has by its commas and brackets `times` too many values.

        `settings` are those that limit the two. Raises Refusal(400, 413).
        """
        counted = values = 0
        is_all = False
        text: bytes | bytearray = b""
        while not is_all:
            text, is_all = self.start(min(len(text) + _UNPACKED_PIECE_BYTES, limit))
            if len(text) > limit:
                packed = " when unpacked" if self._gzip else ""
                raise Refusal(413, f"{self.what} is larger than {size_of(limit)}{packed} ([limits] {settings[0]})")
            if len(text) // 2 >= times * values_limit:  # else it can't have so many
                values += count_values(text[counted:])
                counted = len(text)
            if values > times * values_limit:
                raise _too_many(self.what, values_limit, settings[1])
        return text


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _read(environ: Mapping[str, Any], most: int) -> bytes:
    """Raises RequestEntityTooLarge."""
    length = environ.get("CONTENT_LENGTH", "")
    if length.isascii() and length.isdigit() and len(length) < LONGEST_LENGTH:
        if int(length) > most:
            raise RequestEntityTooLarge
        return environ["wsgi.input"].read(int(length))
    return get_input_stream(dict(environ), max_content_length=most).read()


class Gzip:
    """One gzip member, unpacked up to where it is asked for and never further: a bomb stays a spark."""

    def __init__(self, packed: bytes) -> None:
        self._packed = memoryview(packed)
        self._inflate = zlib.decompressobj(_GZIP)
        self._unpacked = bytearray()

    def unpack(self, size: int) -> tuple[bytearray, bool]:
        """Its first `size` bytes, with one more where there are more, and whether that is all. Raises zlib.error."""
        inflate, out = self._inflate, self._unpacked
        while not inflate.eof and len(out) <= size:
            piece = inflate.unconsumed_tail
            if not piece:
                piece, self._packed = self._packed[:_PIECE_BYTES], self._packed[_PIECE_BYTES:]
            wanted = min(size + 1 - len(out), _UNPACKED_PIECE_BYTES)
            got = inflate.decompress(piece, wanted)
            if not piece and not got:
                raise zlib.error("truncated")
            out += got
        if inflate.eof and (inflate.unused_data or self._packed):
            raise zlib.error("something follows")
        return out, inflate.eof and len(out) <= size


def count_values(text: bytes | bytearray) -> int:
    """By commas and brackets, so at least as many as there are."""
    return len(text.translate(None, _NOT_COUNTED))


def parse(what: str, body: bytes | bytearray) -> Any:
    """Strict JSON: NaN, Infinity, numbers beyond a double and bad UTF-8 are refused. Raises Refusal(400)."""
    if not body:
        raise Refusal(400, f"{what} is empty: it must be a JSON object")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"{what} isn't valid JSON: {error.msg} at byte {error.pos}") from None


def read_post(limits: Limits, environ: Mapping[str, Any]) -> bytes | bytearray:
    """The body of a request. Raises Refusal(400, 413, 415)."""
    body = Body("the post", limits, environ)
    return body.read(limits.body_bytes, limits.values, ("body_bytes", "values"), times=SURELY_TOO_MANY)


def check_form(what: str, document: Any, text: bytes | bytearray, limits: Limits) -> None:
    """Raises Refusal(400, 413) for what is too deep, has too many values, or a key twice. `text` is its JSON."""
    keys = measure(what, document, limits)
    if may_repeat_a_key(text, keys):
        for path in repeated_keys(text):
            raise Refusal(400, repeated(path))


def measure(what: str, document: Any, limits: Limits) -> int:
    """The number of keys in it, level by level so that no depth exhausts the stack. Raises Refusal(400, 413)."""
    keys = values = 0
    level: list[Any] = [document]
    for _ in range(limits.depth):
        below: list[Any] = []
        for value in level:
            if type(value) is dict:
                keys += len(value)  # pyright: ignore[reportUnknownArgumentType]
                below += value.values()
            elif type(value) is list:
                below += value
        values += len(below)
        if values > limits.values:
            raise _too_many(what, limits.values, "values")
        if not below:
            return keys
        level = below
    if any(isinstance(value, (dict, list)) for value in level):
        raise Refusal(400, f"{what} is nested deeper than {limits.depth} levels ([limits] depth)")
    return keys


def may_repeat_a_key(body: bytes | bytearray, keys: int) -> bool:
    """Whether some object of this JSON, which has `keys` of them when read, may have a key twice: False is certain.

    Reading keeps the last of equal keys, so it has as many as the text has colons between key and value, or fewer.
    Without white space each of those follows a quotation mark; counting such places counts every one of them, and
    rarely more: where a string begins with a colon, or has one behind an escaped quotation mark.
    """
    return body.translate(None, _WHITE_SPACE).count(b'":') != keys


def repeated_keys(body: bytes | bytearray) -> Iterator[list[str | int]]:
    """The path of each key that stands twice in an object of this JSON, in the document's order; no object twice.

    The exact way and the slow one. An object that a later equal key replaced isn't looked into.
    """
    repeats: dict[int, tuple[dict[str, Any], str]] = {}

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            repeats[id(found)] = (found, twice)  # with the object itself, so that its id stays its own
        return found

    # The numbers don't matter here, and one of 5,000 digits must not stop it.
    document = json.loads(body, object_pairs_hook=read_object, parse_int=len, parse_float=len)
    if repeats:
        yield from _paths(document, repeats)


def _paths(document: Any, repeats: dict[int, tuple[dict[str, Any], str]]) -> Iterator[list[str | int]]:
    """Of the objects in `repeats`, each with its key. A path is a chain of (key, the chain before)."""
    stack: list[tuple[Any, Any]] = [(document, None)]
    while stack:
        value, chain = stack.pop()
        if id(value) in repeats:
            yield _unchained((repeats[id(value)][1], chain))
        if isinstance(value, dict):
            items = list(cast("dict[str, Any]", value).items())
        elif isinstance(value, list):
            items = list(enumerate(cast("list[Any]", value)))
        else:
            continue
        stack += [(below, (key, chain)) for key, below in reversed(items) if isinstance(below, (dict, list))]


def _unchained(chain: Any) -> list[str | int]:
    path: list[str | int] = []
    while chain is not None:
        key, chain = chain
        path.append(key)
    return path[::-1]


def repeated(path: list[str | int]) -> str:
    return f"{path_of(path)} stands twice: a key may stand once in an object"


def path_of(keys: list[Any]) -> str:
    """`gpu["0_A100_66667c"].total_mem`, each name and the whole cut to a bearable length."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        elif str(key).isidentifier() and len(key) <= LONGEST_KEY:
            path += f".{key}" if path else key
        else:
            path += f"[{json.dumps(str(key)[:LONGEST_KEY])}]"
    return (path if len(path) <= LONGEST_PATH else path[:LONGEST_PATH] + "…") or "the post"


def _too_many(what: str, limit: int, setting: str) -> Refusal:
    return Refusal(413, f"{what} has more than {limit} values ([limits] {setting})")


def size_of(size: int) -> str:
    return f"{size // 2**20} MiB" if size % 2**20 == 0 else f"{size} bytes"
