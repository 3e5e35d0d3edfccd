"""Takes `POST /`, gives it to the live hosts and answers the mole."""

from __future__ import annotations

import time
from typing import Any

import orjson
from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from ..errors import Refusal
from ..live.hosts import Hosts, HostsFull
from ..points import points_of_post
from .access import Gate
from .schema import check_post

MAX_BODY_BYTES = 2**20


def routes(gate: Gate, hosts: Hosts) -> Blueprint:
    blueprint = Blueprint("receive", __name__)

    @blueprint.post("/")
    def receive_post() -> Response:
        post = decode(_body())
        check_post(post)
        gate.admit(post.pop("auth_code"), request.environ)
        try:
            hosts.record(post, points_of_post(post), received_at=time.time())
        except HostsFull as error:
            raise Refusal(429, str(error)) from None
        return jsonify({"success": True, "msg": "stored result"})

    @blueprint.before_request
    def limit_body() -> None:
        if not request.is_json:
            raise Refusal(415, 'the post must be JSON: send it with the header "Content-Type: application/json"')
        request.max_content_length = MAX_BODY_BYTES

    return blueprint


def _body() -> bytes:
    try:
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise Refusal(413, f"the post is larger than {MAX_BODY_BYTES // 2**20} MiB") from None


def decode(body: bytes) -> Any:
    """Strict JSON: NaN, Infinity, numbers beyond a double and bad UTF-8 are refused with 400."""
    if not body:
        raise Refusal(400, "the post is empty: it must be a JSON object")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the post isn't valid JSON: {error.msg} at byte {error.pos}") from None
