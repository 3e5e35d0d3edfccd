"""Takes `POST /`, gives it to the live hosts and answers the mole."""

from __future__ import annotations

import time
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request

from ..errors import Refusal
from ..live.claim import NameTaken, NumberTaken
from ..live.hosts import Hosts, HostsFull
from ..live.identity import Sender
from ..live.sequences import Seen
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
        decoded: Any = decode(read_body())
        if not isinstance(decoded, dict):
            check_post(decoded)
        post = cast("dict[str, Any]", decoded)
        sender = gate.admit(post.get("auth_code"), request.environ)  # before the schema: else no work is done
        post.setdefault("auth_code", "")  # it came as a header
        seen = take(gate, hosts, post, sender)
        answer: dict[str, Any] = {"success": True, "msg": "stored result"}
        if seen is not Seen.NEW:
            answer[seen.name.lower()] = True
        if "mole" in post:  # the original's moles and scripts get the original's answer
            answer["server_time"] = time.time()
        return jsonify(answer)

    return blueprint


def take(gate: Gate, hosts: Hosts, post: dict[str, Any], sender: Sender) -> Seen:
    """One post whose sender may post: checked, turned into points, recorded. Raises Refusal."""
    gate.check_name(sender, post)
    check_post(post)
    kept: dict[str, Any] = {name: post[name] for name in KEPT if name in post}
    try:
        return hosts.record(kept, points_of_post(kept), time.time(), sender)
    except HostsFull as error:
        raise Refusal(429, str(error)) from None
    except NameTaken as error:
        raise Refusal(409 if sender.token_host is None else 403, str(error)) from None
    except NumberTaken as error:
        raise Refusal(409, str(error)) from None
