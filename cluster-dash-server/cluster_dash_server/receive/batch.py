"""Takes `POST /batch`, many posts in one body, and tells the sender of each whether it was kept.

A wrong envelope refuses the whole; a wrong post is told in its own place of `results` and costs the others nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson
from flask import Blueprint, Response, jsonify, request

from ..config import Limits
from ..counts import Counts
from ..errors import Refusal
from ..live.hosts import Hosts
from ..live.identity import Sender
from ..live.portions import Post
from ..live.sequences import Seen
from ..store.numbers import number_of
from .access import Gate, bearer
from .bodies import Body, check_form, count_values, parse, size_of
from .envelope import Envelope
from .posts import checked, refusal_of, told
from .schema import Schema

_LEADING_AUTH_CODE = re.compile(rb'\s*\{\s*"auth_code"\s*:\s*("(?:[^"\\]|\\.){0,4096}")')

ASKING = ("hostname", "mole")
"""Of a post, what `Hosts.asks` needs."""
Taken = tuple[dict[str, Any], Seen]


class Batches:
    """What is in one that was admitted."""

    def __init__(self, gate: Gate, hosts: Hosts, schema: Schema, limits: Limits, counts: Counts) -> None:
        self._gate, self._hosts, self._schema, self._limits, self._counts = gate, hosts, schema, limits, counts

    def take(self, texts: list[memoryview], sender: Sender) -> tuple[list[dict[str, Any]], dict[str, Taken]]:
        """The answer for each, and of each mole the last that was taken. They are read as they are recorded, so that
        few are decoded at a time.
        """
        answers: dict[int, dict[str, Any]] = {}
        good: list[tuple[int, dict[str, Any]]] = []

        def read_all() -> Iterator[Post]:
            for at, text in enumerate(texts):
                try:
                    post = self._read(text, sender)
                except Refusal as refusal:
                    answers[at] = self._refused(refusal)
                    continue
                good.append((at, {name: post.document[name] for name in ASKING if name in post.document}))
                yield post

        taken: dict[str, Taken] = {}
        for seen, (at, post) in zip(self._hosts.record_all(read_all()), good, strict=True):
            if isinstance(seen, Exception):
                answers[at] = self._refused(refusal_of(seen, sender))
                continue
            if number := number_of(post):
                taken[number.mole_id] = post, seen
            self._counts.take(seen)
            answers[at] = told(seen)
        return [answers[at] for at in range(len(texts))], taken

    def _read(self, text: memoryview, sender: Sender) -> Post:
        """What the batch was sent with counts for each. Raises Refusal."""
        if len(text) > self._limits.body_bytes:
            raise Refusal(413, f"the post is larger than {size_of(self._limits.body_bytes)} ([limits] body_bytes)")
        body = bytes(text)
        post: Any = parse("the post", body)
        check_form("the post", post, body, self._limits)
        if isinstance(post, dict):
            post["auth_code"] = ""
        return checked(self._gate, self._schema, post, sender)

    def _refused(self, refusal: Refusal) -> dict[str, Any]:
        self._counts.refuse(refusal.status)
        return {"success": False, "msg": str(refusal)}


def routes(gate: Gate, hosts: Hosts, schema: Schema, limits: Limits, counts: Counts) -> Blueprint:
    blueprint = Blueprint("batch", __name__)
    batches = Batches(gate, hosts, schema, limits, counts)

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
        results, taken = batches.take(envelope.posts(), sender)
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
