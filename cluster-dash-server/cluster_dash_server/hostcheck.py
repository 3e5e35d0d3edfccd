"""Takes a request's Host header; one that names no host is answered 400, before Flask would fail on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

_LABEL = r"(?!xn--(?:[.:]|$))[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}(\.{_LABEL})*\.?|\[[0-9a-f:.]+\])(:[0-9]{{1,5}})?", re.IGNORECASE)
LONGEST = 259
BODY = b'{"msg":"the Host header must name this server","success":false}\n'


def check_host(application: WsgiApp) -> WsgiApp:
    def checked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if host and (len(host) > LONGEST or not _HOST.fullmatch(host)):
            start_response(
                "400 Bad Request", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]
            )
            return [BODY]
        return application(environ, start_response)

    return checked
