"""Takes `POST /`, gives it to the live hosts and answers the mole."""

from __future__ import annotations

import time
from typing import Any, cast

from flask import Blueprint, Response, jsonify, request

from ..config import Limits
from ..errors import Refusal
from ..live.claim import NameTaken, NumberTaken
from ..live.hosts import Hosts, HostsFull
from ..live.identity import Sender
from ..live.sequences import Seen
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
        decoded: Any = parse("the post", body)
        if not isinstance(decoded, dict):
            check_post_form(decoded, body, limits)
            schema.check(decoded)
        post = cast("dict[str, Any]", decoded)
        sender = gate.admit(post.get("auth_code"), request.environ)  # before the rest: else no work is done
        check_post_form(post, body, limits)
        post.setdefault("auth_code", "")  # it came as a header
        return answer_to(post, take(gate, hosts, schema, post, sender))

    return blueprint


def answer_to(post: dict[str, Any], seen: Seen) -> Response:
    answer = told(seen)
    if "mole" not in post:  # the original's moles and scripts get the original's answer
        return jsonify(answer)
    response = jsonify(answer | {"server_time": time.time()})
    response.headers["Accept-Encoding"] = "gzip"
    return response


def told(seen: Seen) -> dict[str, Any]:
    answer: dict[str, Any] = {"success": True, "msg": "stored result"}
    return answer if seen is Seen.NEW else answer | {seen.name.lower(): True}


def take(gate: Gate, hosts: Hosts, schema: Schema, post: Any, sender: Sender) -> Seen:
    """One post whose sender may post: checked, turned into points, recorded. Raises Refusal."""
    schema.check(post)
    gate.check_name(sender, post)
    kept: dict[str, Any] = {name: post[name] for name in KEPT if name in post}
    try:
        return hosts.record(kept, points_of_post(kept), time.time(), sender)
    except HostsFull as error:
        raise Refusal(429, str(error)) from None
    except NameTaken as error:
        raise Refusal(409 if sender.token_host is None else 403, str(error)) from None
    except NumberTaken as error:
        raise Refusal(409, str(error)) from None
