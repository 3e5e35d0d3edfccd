"""Takes requests of whoever may not look yet, gives the page to sign in; lets nobody else past it.

Open without the password: what holds no data (style, scripts), `/health` in one word, and posts, which have credentials
of their own.
"""

from __future__ import annotations

import math
from urllib.parse import quote

from flask import Blueprint, Flask, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ..errors import answer, wants_page
from ..viewing import LASTS_S, Viewing
from .forms import check_form

WITHOUT_DATA = {"static", "script", "assets.plotly_js"}
OPEN = {*WITHOUT_DATA, "login.show", "login.sign_in", "login.sign_out"}
TAKES_POSTS = {"receive", "batch"}
RENEWED_AFTER_S = 24 * 3600
LONGEST_NEXT = 2048
WRONG = "that is not the viewing password of this server"
HOW = (
    "this server has a viewing password: send it by HTTP Basic with any user name, as curl -u :PASSWORD does, "
    "or sign in at /login"
)


def may_look() -> bool:
    """Of the request at hand."""
    return g.get("may_look", True)


def is_signed_in() -> bool:
    """By a cookie, which can be given back."""
    return g.get("cookie_age_s") is not None


def register(app: Flask, viewing: Viewing) -> None:
    def finish(response: Response) -> Response:
        return _finish(viewing, response)

    app.before_request(lambda: _let_in(viewing))
    app.after_request(finish)
    app.register_blueprint(_routes(viewing))


def _let_in(viewing: Viewing) -> AnyResponse | None:
    g.may_look = False
    g.cookie_age_s = viewing.age_s(request.cookies.get(viewing.cookie_name, ""))
    g.may_look = is_signed_in()
    if request.endpoint in OPEN or (request.method == "POST" and request.blueprint in TAKES_POSTS):
        return None
    sent = _sent_password()
    if not g.may_look and sent is not None:
        g.may_look, wait_s = viewing.check(request.remote_addr or "", sent)
        if wait_s:
            return _too_many(answer(429, _word_wait(wait_s)), wait_s)
    if g.may_look or (request.endpoint == "health.health" and "verbose" not in request.args):
        return None
    return _refuse()


def _sent_password() -> str | None:
    """By HTTP Basic."""
    sent = request.authorization
    return sent.password if sent and sent.type == "basic" else None


def _refuse() -> AnyResponse:
    # Of our pages: the browser shall not ask by itself. An EventSource can't say so but by what it accepts.
    by_script = "X-Requested-With" in request.headers or "text/event-stream" in request.headers.get("Accept", "")
    if request.method in ("GET", "HEAD") and wants_page() and not by_script:
        query = request.query_string.decode("latin-1")
        wanted = quote(request.path) + (f"?{query}" if query else "")
        return redirect(url_for("login.show", next=wanted if wanted != "/" else None), 303)
    response = answer(401, WRONG if _sent_password() is not None else HOW)
    if not by_script:
        response.headers["WWW-Authenticate"] = 'Basic realm="cluster-dash", charset="UTF-8"'
    return response


def _routes(viewing: Viewing) -> Blueprint:
    blueprint = Blueprint("login", __name__)

    def page(status: int, wanted: str, message: str = "") -> Response:
        return Response(render_template("login.html", next=wanted, message=message), status)

    @blueprint.get("/login")
    def show() -> AnyResponse:
        wanted = local(request.args.get("next", ""))
        return redirect(wanted, 303) if is_signed_in() else page(200, wanted)

    @blueprint.post("/login")
    def sign_in() -> AnyResponse:
        check_form()
        wanted = local(request.form.get("next", ""))
        is_right, wait_s = viewing.check(request.remote_addr or "", request.form.get("password", ""))
        if wait_s:
            return _too_many(page(429, wanted, _word_wait(wait_s)), wait_s)
        if not is_right:
            return page(403, wanted, "That is not the password.")
        g.cookie_age_s = math.inf  # _finish gives a new one
        return redirect(wanted, 303)

    @blueprint.post("/logout")
    def sign_out() -> AnyResponse:
        check_form()
        g.cookie_age_s = None
        response = redirect(url_for("login.show"), 303)
        response.delete_cookie(viewing.cookie_name, httponly=True, samesite="Lax", secure=request.is_secure)
        return response

    return blueprint


def local(wanted: str) -> str:
    """The address if it is one of this server, else the fleet's. Browsers take a backslash for a slash."""
    is_path = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    return wanted if is_path and wanted.isprintable() and len(wanted) <= LONGEST_NEXT else "/"


def _word_wait(wait_s: float) -> str:
    return f"Too many wrong passwords from your address: try again in {math.ceil(wait_s)} s."


def _too_many(response: Response, wait_s: float) -> Response:
    response.headers["Retry-After"] = str(math.ceil(wait_s))
    return response


def _finish(viewing: Viewing, response: Response) -> Response:
    if request.endpoint not in WITHOUT_DATA:
        response.headers["Cache-Control"] = "no-store"
    age_s = g.get("cookie_age_s")
    if age_s is not None and age_s > RENEWED_AFTER_S:  # a screen on a wall stays signed in
        response.set_cookie(
            viewing.cookie_name,
            viewing.make_cookie(),
            max_age=LASTS_S,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure,
        )
    return response
