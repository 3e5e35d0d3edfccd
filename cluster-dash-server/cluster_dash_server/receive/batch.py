"""Takes `POST /batch`, many posts in one body, and tells the sender of each whether it was kept.

A wrong envelope refuses the whole; a wrong post is told in its own place of `results` and costs the others nothing.
"""

from __future__ import annotations

import re
from typing import Any, cast

import orjson
from flask import Blueprint, Response, jsonify, request

from ..config import Limits
from ..counts import Counts
from ..errors import Refusal
from ..live.hosts import Hosts
from ..live.identity import Sender
from ..live.sequences import Seen
from ..store.numbers import number_of
from .access import Gate, bearer
from .bodies import Body, check_form, count_values, parse, size_of
from .envelope import Envelope
from .posts import take, told
from .schema import Schema

_LEADING_AUTH_CODE = re.compile(rb'\s*\{\s*"auth_code"\s*:\s*("(?:[^"\\]|\\.){0,4096}")')


def routes(gate: Gate, hosts: Hosts, schema: Schema, limits: Limits, counts: Counts) -> Blueprint:
    blueprint = Blueprint("batch", __name__)

    def take_one(text: memoryview, sender: Sender, taken: dict[str, tuple[Any, Seen]]) -> dict[str, Any]:
        """The answer for one post; what the batch was sent with counts for each. The last that was taken of each mole
        is noted.
        """
        try:
            if len(text) > limits.body_bytes:
                raise Refusal(413, f"the post is larger than {size_of(limits.body_bytes)} ([limits] body_bytes)")
            body = bytes(text)
            post: Any = parse("the post", body)
            check_form("the post", post, body, limits)
            if isinstance(post, dict):
                post["auth_code"] = ""
            seen = take(gate, hosts, schema, post, sender)
            if number := number_of(cast("dict[str, Any]", post)):
                taken[number.mole_id] = post, seen
            counts.take(seen)
            return told(seen)
        except Refusal as refusal:
            counts.refuse(refusal.status)
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
        envelope = Envelope(text, limits)
        sender = gate.admit("" if has_header else envelope.auth_code, request.environ)
        taken: dict[str, tuple[Any, Seen]] = {}
        results = [take_one(post, sender, taken) for post in envelope.posts()]
        # Of several moles nobody could tell whose numbers are meant.
        asked = hosts.asks(*next(iter(taken.values()))) if len(taken) == 1 else {}
        response = jsonify({"success": True, "results": results, **asked})
        response.headers["Accept-Encoding"] = "gzip"
        return response

    return blueprint


def _text(literal: bytes) -> str:
    """Of a JSON string; "", which no passcode is, where it is none."""
    try:
        return orjson.loads(literal)
    except orjson.JSONDecodeError:
        return ""
