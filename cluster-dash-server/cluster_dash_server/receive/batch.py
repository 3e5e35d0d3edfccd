"""Takes `POST /batch`, many posts in one body, and tells the sender of each whether it was kept.

A wrong envelope refuses the whole; a wrong post is told in its own place of `results` and costs the others nothing.
"""

from __future__ import annotations

import re
from typing import Any, cast

import orjson
from flask import Blueprint, Response, jsonify, request

from ..config import Limits
from ..errors import Refusal
from ..live.hosts import Hosts
from ..live.identity import Sender
from .access import Gate, bearer
from .bodies import Body, count_values, may_repeat_a_key, measure, parse, repeated, repeated_keys, size_of
from .posts import take, told
from .schema import Schema

_LEADING_AUTH_CODE = re.compile(rb'\s*\{\s*"auth_code"\s*:\s*("(?:[^"\\]|\\.){0,4096}")')


def routes(gate: Gate, hosts: Hosts, schema: Schema, limits: Limits) -> Blueprint:
    blueprint = Blueprint("batch", __name__)

    def take_one(post: Any, wrong: str | None, sender: Sender) -> dict[str, Any]:
        """The answer for one post; what the batch was sent with counts for each."""
        try:
            if wrong:
                raise Refusal(400, wrong)
            if not isinstance(post, dict):
                post = None  # as wrong, whatever its size
            else:
                post["auth_code"] = ""
            return told(take(gate, hosts, schema, post, sender))
        except Refusal as refusal:
            return {"success": False, "msg": str(refusal)}

    @blueprint.post("/batch")
    def receive_batch() -> Response:
        body = Body("the batch", limits, request.environ)
        start, is_all = body.start(limits.body_bytes)
        leading = _LEADING_AUTH_CODE.match(start)
        has_header = bearer(request.environ) is not None
        if leading or has_header:  # before the rest is unpacked: who may not post gets no work done
            gate.admit(_text(leading[1]) if leading else None, request.environ)
        elif not is_all or count_values(start) > limits.values:
            raise Refusal(400, "a batch that large must begin with its auth_code")
        text = body.read(limits.batch_bytes, limits.batch_values, ("batch_bytes", "batch_values"))
        batch = parse("the batch", text)
        auth_code: str = "" if has_header else _entry(batch, "auth_code", str, "string")
        sender = gate.admit(auth_code, request.environ)
        posts: list[Any] = _entry(batch, "posts", list, "array")
        if len(posts) > limits.batch_posts:
            raise Refusal(413, f"the batch has more than {limits.batch_posts} posts ([limits] batch_posts)")
        wrong = _check_forms(batch, posts, text, limits)
        results = [take_one(post, wrong.get(at), sender) for at, post in enumerate(posts)]
        response = jsonify({"success": True, "results": results})
        response.headers["Accept-Encoding"] = "gzip"
        return response

    return blueprint


def _text(literal: bytes) -> str:
    """Of a JSON string; "", which no passcode is, where it is none."""
    try:
        return orjson.loads(literal)
    except orjson.JSONDecodeError:
        return ""


def _entry(batch: Any, name: str, kind: type, word: str) -> Any:
    """Of the envelope, whose other keys are dropped. Raises Refusal(400)."""
    if not isinstance(batch, dict):
        raise Refusal(400, "schema violation: the batch must be of type object")
    envelope = cast("dict[str, Any]", batch)
    if name not in envelope:
        raise Refusal(400, f"schema violation: the batch lacks {name}")
    if not isinstance(envelope[name], kind):
        raise Refusal(400, f"schema violation: {name} must be of type {word}")
    return envelope[name]


def _check_forms(batch: dict[str, Any], posts: list[Any], text: bytes | bytearray, limits: Limits) -> dict[int, str]:
    """What is wrong with the form of a post, by its place in the batch. Raises Refusal where it is the envelope's."""
    wrong: dict[int, str] = {}
    keys = measure("the batch", batch | {"posts": None}, limits)
    is_counted = True
    for at, post in enumerate(posts):
        try:
            keys += measure("the post", post, limits)
        except Refusal as refusal:
            wrong[at] = str(refusal)
            is_counted = False
        else:
            is_long = len(text) > limits.body_bytes and isinstance(post, dict)
            if is_long and len(orjson.dumps(post)) > limits.body_bytes:
                wrong[at] = f"the post is larger than {size_of(limits.body_bytes)} ([limits] body_bytes)"
    if not is_counted or may_repeat_a_key(text, keys):
        for path in _repeated_keys(text):
            if len(path) < 3 or path[0] != "posts" or not isinstance(path[1], int):
                raise Refusal(400, repeated(path))
            wrong.setdefault(path[1], repeated(path[2:]))
    return wrong


def _repeated_keys(text: bytes | bytearray) -> list[list[str | int]]:
    try:
        return list(repeated_keys(text))
    except RecursionError:
        raise Refusal(400, "the batch is nested far too deep") from None
