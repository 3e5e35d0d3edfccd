"""Takes `POST /`, gives it to the live hosts and answers the mole."""

from __future__ import annotations

import time
from typing import Any, cast

import orjson
from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from ..errors import Refusal
from ..live.hosts import Hosts, HostsFull
from ..points import points_of_post
from .access import Gate
from .schema import SCHEMA, check_post

MAX_BODY_BYTES = 2**20
MAX_VALUES = 20_000
"""Counted by commas and brackets. A post of 8 GPUs has 400; work and memory grow with them more than with bytes."""
MAX_DEPTH = 32
CONTAINERS = (dict, list)
KEPT = [name for name in SCHEMA["properties"] if name != "auth_code"]
"""What a newer mole sends beside these is taken and dropped."""


def routes(gate: Gate, hosts: Hosts) -> Blueprint:
    blueprint = Blueprint("receive", __name__)

    @blueprint.post("/")
    def receive_post() -> Response:
        limit_body()
        post: Any = decode(_body())
        auth_code: Any = cast("dict[str, Any]", post).get("auth_code") if isinstance(post, dict) else None
        if isinstance(auth_code, str):  # before the schema: who may not post gets no work done
            gate.admit(auth_code, request.environ)
        check_post(post)
        kept: dict[str, Any] = {name: post[name] for name in KEPT if name in post}
        try:
            hosts.record(kept, points_of_post(kept), received_at=time.time())
        except HostsFull as error:
            raise Refusal(429, str(error)) from None
        answer: dict[str, Any] = {"success": True, "msg": "stored result"}
        if "mole" in kept:  # the original's moles and scripts get the original's answer
            answer["server_time"] = time.time()
        return jsonify(answer)

    return blueprint


def limit_body() -> None:
    if not request.is_json:
        raise Refusal(415, 'the post must be JSON: send it with the header "Content-Type: application/json"')
    request.max_content_length = MAX_BODY_BYTES


def _body() -> bytes:
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
