"""Takes a refusal or a failure, gives the answer: JSON for a script, a page for a person, a line for a terminal."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError, NotFound

from .logs import quoted

log = logging.getLogger(__name__)

NO_PAGE = "There is nothing at this address."
AGAIN_S = 10
"""After which a page asks again for what isn't there for the moment."""
FAILED = "The server failed to answer this; its log says why."


class Refusal(Exception):
    """What came in is not taken; the text says what, where and what would be right, and holds no secret."""

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = [] if retry_after_s is None else [("Retry-After", str(retry_after_s))]


def log_refusal(address: str | None, refusal: Refusal) -> None:
    """Of a post: a mole that isn't heard should be seen in the server's log too."""
    words = (quoted(address), refusal.status, quoted(refusal))
    log.warning("refused a post from %s: %d %s", *words, extra={"kind": f"refused {address} {refusal.status}"})


def wants_page() -> bool:
    """Whether the client names text/html itself; curl's `*/*` doesn't."""
    return any(kind == "text/html" and quality > 0 for kind, quality in request.accept_mimetypes)


def answer(status: int, message: str) -> Response:
    if request.method in ("GET", "HEAD") and wants_page():
        words = {"status": status, "phrase": HTTPStatus(status).phrase, "message": message, "again_s": AGAIN_S}
        response = Response(render_template("error.html", **words), mimetype="text/html")
    else:
        response = jsonify({"success": False, "msg": message})
    response.status_code = status
    return response


def register(app: Flask) -> None:
    def refused(error: Refusal) -> Response:
        if request.method == "POST":
            log_refusal(request.remote_addr, error)
        response = answer(error.status, str(error))
        response.headers.extend(error.headers)
        return response

    def http_error(error: HTTPException) -> Response:
        if isinstance(error, InternalServerError):
            return answer(500, FAILED)
        given = error.get_response()
        is_plain = isinstance(error, NotFound) and error.description == NotFound.description
        response = answer(error.code or 500, NO_PAGE if is_plain else error.description or error.name)
        for name in ("Allow", "Location", "Retry-After"):
            if name in given.headers:
                response.headers[name] = given.headers[name]
        return response

    app.register_error_handler(Refusal, refused)
    app.register_error_handler(HTTPException, http_error)
