"""What started and when, as JSON: `/api/events`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request

from ..store.events import read_events
from .asking import ask, check_names, read_range

if TYPE_CHECKING:
    from ..store.store import Store

DAY_S = 86_400.0


def routes(store: Store | None, wall: Callable[[], float]) -> Blueprint:
    blueprint = Blueprint("events", __name__)

    @blueprint.get("/api/events")
    def events() -> Response:
        """Of the last day where no `from` is given."""
        check_names(request.args, ("host", "from", "to"))
        host = request.args.get("host", "")
        start_s, end_s = read_range(request.args, wall(), DAY_S)
        found = ask(store, lambda store: read_events(store, host, start_s, end_s))
        told = [{"time": each.time_s, "kind": each.kind, "host": each.host, "data": each.data} for each in found]
        return jsonify({"events": told})

    return blueprint
