"""Takes a request's Host header; one that names no host is answered 400, before Flask would fail on it, and one that is
not on the list 421, where there is a list: a foreign page that had its own name point here can't read this server then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import orjson

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

_LABEL = r"(?!xn--(?:[.:]|$))[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}(\.{_LABEL})*\.?|\[[0-9a-f:.]+\])(:[0-9]{{1,5}})?", re.IGNORECASE)
LONGEST = 259
LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|\[::1\]")


def check_host(application: WsgiApp, allowed: Collection[str] = ()) -> WsgiApp:
    """`allowed` are names without port; empty: any. Those of loopback are always allowed."""
    names = {name.lower().rstrip(".") for name in allowed}

    def checked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if host and (len(host) > LONGEST or not _HOST.fullmatch(host)):
            return _refuse(start_response, "400 Bad Request", "the Host header must name this server")
        if names and not _is_allowed(host, names):
            return _refuse(
                start_response,
                "421 Misdirected Request",
                "this server doesn't answer to the name in the Host header: [access] allowed_hosts lists those it does",
            )
        return application(environ, start_response)

    return checked


def _is_allowed(host: str, names: set[str]) -> bool:
    name = re.sub(r":\d+$", "", host.lower()).rstrip(".")
    return name in names or LOOPBACK.fullmatch(name) is not None


def _refuse(start_response: Any, status: str, message: str) -> list[bytes]:
    body = orjson.dumps({"msg": message, "success": False}, option=orjson.OPT_APPEND_NEWLINE)
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
