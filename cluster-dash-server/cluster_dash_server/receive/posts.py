"""Takes `POST /`, gives it to the live hosts and answers the mole."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, cast

import orjson
from flask import Blueprint, Response, jsonify, request

from ..config import Limits
from ..counts import Counts
from ..errors import FAILED, Refusal, log_refusal
from ..hostcheck import WsgiApp
from ..live.claim import NameTaken
from ..live.hosts import REFUSALS, Hosts, HostsFull
from ..live.identity import Sender
from ..live.portions import Post
from ..live.sequences import Seen
from ..points import points_of_post
from ..store import NotKept
from .access import Gate
from .bodies import check_form, parse, read_post
from .schema import SCHEMA, Schema

log = logging.getLogger(__name__)

KEPT = [name for name in SCHEMA["properties"] if name != "auth_code"]
"""What a newer mole sends beside these is taken and dropped."""


RETRY_AFTER_S = 10

Answer = tuple[int, dict[str, Any], list[tuple[str, str]]]
"""Status, document, headers."""


class Posts:
    """`POST /`. A cluster sends thousands a second, so it is answered before Flask (`directly`): finding the route and
    making a request and a response of it costs as much as the post. Flask knows the route, too, for its methods.
    """

    def __init__(self, gate: Gate, hosts: Hosts, schema: Schema, limits: Limits, counts: Counts | None = None) -> None:
        self._gate, self._hosts, self._schema, self._limits = gate, hosts, schema, limits
        self._counts = counts or Counts()

    def receive(self, environ: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The answer's document and its headers. Raises Refusal."""
        body = read_post(self._limits, environ)
        decoded: Any = parse("the post", body)
        if not isinstance(decoded, dict):
            check_form("the post", decoded, body, self._limits)
            self._schema.check(decoded)
        post = cast("dict[str, Any]", decoded)
        sender = self._gate.admit(post.get("auth_code"), environ)  # before the rest: else no work is done
        check_form("the post", post, body, self._limits)
        post.setdefault("auth_code", "")  # it came as a header
        seen = take(self._gate, self._hosts, self._schema, post, sender)
        self._counts.take(seen)
        if "mole" not in post:  # the original's moles and scripts get the original's answer
            return told(seen), []
        return told(seen) | self._hosts.asks(post, seen) | {"server_time": time.time()}, [("Accept-Encoding", "gzip")]

    def directly(self, application: WsgiApp) -> WsgiApp:
        """Answers posts itself and leaves all else to the application."""

        def answered(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] != "/":
                return application(environ, start_response)
            status, document, headers = self._answer(environ)
            body = orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            start_response(f"{status} {HTTPStatus(status).phrase}", headers)
            return [body]

        return answered

    def _answer(self, environ: dict[str, Any]) -> Answer:
        try:
            return (200, *self.receive(environ))
        except Refusal as refusal:
            self._counts.refuse(refusal.status)
            log_refusal(environ.get("REMOTE_ADDR"), refusal)
            return refusal.status, {"success": False, "msg": str(refusal)}, refusal.headers.copy()
        except Exception:
            log.exception("a post could not be taken")
            return 500, {"success": False, "msg": FAILED}, []

    def routes(self) -> Blueprint:
        blueprint = Blueprint("receive", __name__)

        @blueprint.post("/")
        def receive_post() -> Response:
            document, headers = self.receive(request.environ)
            response = jsonify(document)
            response.headers.extend(headers)
            return response

        return blueprint


def told(seen: Seen) -> dict[str, Any]:
    answer: dict[str, Any] = {"success": True, "msg": "stored result"}
    return answer if seen is Seen.NEW else answer | {seen.name.lower(): True}


def take(gate: Gate, hosts: Hosts, schema: Schema, post: Any, sender: Sender) -> Seen:
    """One post whose sender may post: checked, turned into points, recorded. Raises Refusal."""
    try:
        return hosts.record(*checked(gate, schema, post, sender))
    except (*REFUSALS, NotKept) as error:
        raise refusal_of(error, sender) from None


def checked(gate: Gate, schema: Schema, post: Any, sender: Sender) -> Post:
    """Raises Refusal."""
    schema.check(post)
    gate.check_name(sender, post)
    kept: dict[str, Any] = {name: post[name] for name in KEPT if name in post}
    return Post(kept, points_of_post(kept), sender)


def refusal_of(error: Exception, sender: Sender) -> Refusal:
    """Of a post that was not recorded."""
    if isinstance(error, HostsFull):
        return Refusal(429, str(error))
    if isinstance(error, NotKept):
        return Refusal(503, str(error), retry_after_s=RETRY_AFTER_S)
    if isinstance(error, NameTaken) and sender.token_host is not None:
        return Refusal(403, str(error))
    return Refusal(409, str(error))
