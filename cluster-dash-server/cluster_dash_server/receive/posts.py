"""Takes `POST /`, gives it to the live hosts and answers the mole."""

from __future__ import annotations

import time
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request

from ..config import Limits
from ..errors import Refusal
from ..live.hosts import Hosts, HostsFull
from ..points import points_of_post
from .access import Gate
from .bodies import check_post_form, parse, read_post
from .schema import SCHEMA, Schema

KEPT = [name for name in SCHEMA["properties"] if name != "auth_code"]
"""What a newer mole sends beside these is taken and dropped."""


def routes(gate: Gate, hosts: Hosts, schema: Schema, limits: Limits) -> Blueprint:
    blueprint = Blueprint("receive", __name__)

    @blueprint.post("/")
    def receive_post() -> Response:
        body = read_post(limits)
        post: Any = parse("the post", body)
        auth_code: Any = cast("dict[str, Any]", post).get("auth_code") if isinstance(post, dict) else None
        if isinstance(auth_code, str):  # before the rest: who may not post gets no work done
            gate.admit(auth_code, request.environ)
        check_post_form(post, body, limits)
        take(hosts, schema, post)
        answer: dict[str, Any] = {"success": True, "msg": "stored result"}
        if "mole" not in post:  # the original's moles and scripts get the original's answer
            return jsonify(answer)
        response = jsonify(answer | {"server_time": time.time()})
        response.headers["Accept-Encoding"] = "gzip"
        return response

    return blueprint


def take(hosts: Hosts, schema: Schema, post: Any) -> None:
    """One post whose sender may post: checked, turned into points, recorded. Raises Refusal."""
    schema.check(post)
    kept: dict[str, Any] = {name: post[name] for name in KEPT if name in post}
    try:
        hosts.record(kept, points_of_post(kept), received_at=time.time())
    except HostsFull as error:
        raise Refusal(429, str(error)) from None
