"""What started and when, as JSON: `/api/events`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request

from ..errors import Refusal
from ..store.events import read_events
from .asking import asked

if TYPE_CHECKING:
    from ..store.store import Store

DAY_S = 86_400.0
LATEST_S = 2**33


def routes(store: Store | None, wall: Callable[[], float]) -> Blueprint:
    blueprint = Blueprint("events", __name__)

    @blueprint.get("/api/events")
    def events() -> Response:
        """Of the last day where no `from` is given."""
        host = request.args.get("host", "")
        end_s = _seconds("to", wall())
        start_s = _seconds("from", max(0.0, end_s - DAY_S))
        if not start_s < end_s:
            raise Refusal(400, "from must be before to, both Unix seconds")
        found = asked(store, lambda store: read_events(store, host, start_s, end_s))
        told = [{"time": each.time_s, "kind": each.kind, "host": each.host, "data": each.data} for each in found]
        return jsonify({"events": told})

    return blueprint


def _seconds(name: str, default: float) -> float:
    text = request.args.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LATEST_S:
        raise Refusal(400, f"{name}={text[:100]!r} must be Unix seconds")
    return value
