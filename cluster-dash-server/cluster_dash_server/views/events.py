"""What started and when, as JSON: `/api/events`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request

from ..errors import Refusal
from ..store import StoreAway

if TYPE_CHECKING:
    from ..store.store import Store

log = logging.getLogger(__name__)

DAY_S = 86_400.0
LATEST_S = 2**33
NO_STORE = "this server keeps no history: [store] url is none"
AWAY = "the store does not answer; the server's log says why"


def routes(store: Store | None, wall: Callable[[], float]) -> Blueprint:
    blueprint = Blueprint("events", __name__)

    @blueprint.get("/api/events")
    def events() -> Response:
        """Of the last day where no `from` is given."""
        if store is None:
            raise Refusal(404, NO_STORE)
        from ..store.events import read_events  # what it needs is loaded where there is a store

        host = request.args.get("host", "")
        end_s = _seconds("to", wall())
        start_s = _seconds("from", max(0.0, end_s - DAY_S))
        if not start_s < end_s:
            raise Refusal(400, "from must be before to, both Unix seconds")
        try:
            store.carry_what_waits()
            found = read_events(store, host, start_s, end_s)
        except StoreAway as error:
            log.warning("a question to the store failed: %s", error)
            raise Refusal(503, AWAY, retry_after_s=10) from None
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
