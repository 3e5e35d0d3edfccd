"""Takes `POST /`, gives it to the live hosts and answers the mole."""

from __future__ import annotations

import time
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request

from ..errors import Refusal
from ..live.hosts import Hosts, HostsFull
from ..points import points_of_post
from .access import Gate
from .bodies import decode, read_body
from .schema import SCHEMA, check_post

KEPT = [name for name in SCHEMA["properties"] if name != "auth_code"]
"""What a newer mole sends beside these is taken and dropped."""


def routes(gate: Gate, hosts: Hosts) -> Blueprint:
    blueprint = Blueprint("receive", __name__)

    @blueprint.post("/")
    def receive_post() -> Response:
        post: Any = decode(read_body())
        auth_code: Any = cast("dict[str, Any]", post).get("auth_code") if isinstance(post, dict) else None
        if isinstance(auth_code, str):  # before the schema: who may not post gets no work done
            gate.admit(auth_code, request.environ)
        take(hosts, post)
        answer: dict[str, Any] = {"success": True, "msg": "stored result"}
        if "mole" in post:  # the original's moles and scripts get the original's answer
            answer["server_time"] = time.time()
        return jsonify(answer)

    return blueprint


def take(hosts: Hosts, post: Any) -> None:
    """One post whose sender may post: checked, turned into points, recorded. Raises Refusal."""
    check_post(post)
    kept: dict[str, Any] = {name: post[name] for name in KEPT if name in post}
    try:
        hosts.record(kept, points_of_post(kept), received_at=time.time())
    except HostsFull as error:
        raise Refusal(429, str(error)) from None
