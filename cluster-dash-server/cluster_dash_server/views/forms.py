"""Takes the request of a form, refuses one that is too large or was sent from another site."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request

from ..errors import Refusal

LONGEST_FORM = 16_384
ELSEWHERE = "this form was sent from another site, or a proxy in front doesn't pass on the Host header"


def check_form() -> None:
    """Before anything of it is read. Raises Refusal(403, 413)."""
    if (request.content_length or 0) > LONGEST_FORM:
        raise Refusal(413, f"a form here has at most {LONGEST_FORM} bytes")
    if not _is_from_here():
        raise Refusal(403, ELSEWHERE)


def _is_from_here() -> bool:
    """By name: a proxy may pass on no port. Who says nothing is no browser."""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
    try:
        return urlsplit(origin).hostname == urlsplit(f"//{request.host}").hostname
    except ValueError:
        return False
