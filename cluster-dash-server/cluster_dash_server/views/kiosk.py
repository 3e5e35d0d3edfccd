"""Whether a request is a wall screen's."""

from __future__ import annotations

from flask import request


def is_kiosk() -> bool:
    """`?kiosk` and `?kiosk=1`, as on the page."""
    return request.args.get("kiosk", "no").lower() not in ("0", "false", "no")
