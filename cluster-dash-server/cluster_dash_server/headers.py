"""The security headers of every answer, also of those that Flask never sees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .hostcheck import WsgiApp

_EVERYWHERE = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
CSP = "Content-Security-Policy"
PLOTLY_POLICY = _EVERYWHERE + "; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:"
"""For pages with Plotly.js, which sets inline styles. No script is ever inline."""

SECURITY_HEADERS = [
    (CSP, _EVERYWHERE),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),
]


def add_headers(application: WsgiApp) -> WsgiApp:
    """Those of SECURITY_HEADERS that the application hasn't set itself."""

    def answered(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            names = {name for name, _ in headers}
            return start_response(
                status, headers + [each for each in SECURITY_HEADERS if each[0] not in names], exc_info
            )

        return application(environ, start)

    return answered
