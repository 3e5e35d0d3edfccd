"""Takes the body of a request, gives the JSON document in it; one that is too large, too deep or no JSON is refused."""

from __future__ import annotations

from typing import Any

import orjson
from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from ..errors import Refusal

MAX_BODY_BYTES = 2**20
MAX_VALUES = 20_000
"""Counted by commas and brackets. A post of 8 GPUs has 400; work and memory grow with them more than with bytes."""
MAX_DEPTH = 32
CONTAINERS = (dict, list)


def read_body() -> bytes:
    """Of the request at hand. Raises Refusal(413, 415)."""
    if not request.is_json:
        raise Refusal(415, 'the post must be JSON: send it with the header "Content-Type: application/json"')
    request.max_content_length = MAX_BODY_BYTES
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise Refusal(413, f"the post is larger than {MAX_BODY_BYTES // 2**20} MiB") from None


def decode(body: bytes) -> Any:
    """Strict JSON: NaN, Infinity, numbers beyond a double and bad UTF-8 are refused, and so is too much of it."""
    if not body:
        raise Refusal(400, "the post is empty: it must be a JSON object")
    if body.count(b",") + body.count(b"{") + body.count(b"[") > MAX_VALUES:
        raise Refusal(413, f"the post has more than {MAX_VALUES} values")
    try:
        post = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the post isn't valid JSON: {error.msg} at byte {error.pos}") from None
    if is_deeper_than(MAX_DEPTH, post):
        raise Refusal(400, f"the post is nested deeper than {MAX_DEPTH} levels")
    return post


def is_deeper_than(levels: int, document: Any) -> bool:
    """Level by level, so that no depth exhausts the stack: not here, and not where the document is written again."""
    level: list[Any] = [document]
    for _ in range(levels):
        containers: list[Any] = [value for value in level if isinstance(value, CONTAINERS)]
        level = [value for each in containers for value in (each.values() if isinstance(each, dict) else each)]  # pyright: ignore
    return any(isinstance(value, CONTAINERS) for value in level)
