"""`GET /`: the fleet as a page or as text. `/host/<name>`: one host."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, render_template, request

from ..errors import Refusal, wants_page
from ..live.hosts import Hosts
from ..query import HostNow, host_now, now
from . import figures
from .text import fleet_table, notes_of


def routes(hosts: Hosts) -> Blueprint:
    blueprint = Blueprint("status", __name__)

    @blueprint.get("/")
    def fleet() -> Response:
        rows = now(hosts)
        if wants_page():
            response = Response(render_template("fleet.html", rows=rows, totals=totals(rows), notes_of=notes_of))
        else:
            warning = current_app.jinja_env.globals["warning"]
            response = Response(fleet_table(rows, warning, request.url_root), mimetype="text/plain")  # pyright: ignore
        response.headers["Vary"] = "Accept"
        return response

    @blueprint.get("/host/<path:name>")
    def host(name: str) -> Response:
        found = hosts.get(name)
        if found is None:
            raise Refusal(404, f"No host of the name “{name[:256]}” has reported since this server started.")
        drawn = figures.of_host(hosts, found)
        if request.accept_mimetypes.best == "application/json":
            return figures.as_json(drawn)
        row = host_now(hosts, found)
        page = render_template(
            "host.html", row=row, post=found.post, notes=notes_of(row), figures=drawn, figures_json=figures.embed(drawn)
        )
        return Response(page)

    return blueprint


def totals(rows: list[HostNow]) -> dict[str, int]:
    """What the top of the page counts; the GPUs of a host that is offline are in none but `gpus`."""
    here = [gpu for row in rows if row.status != "offline" for gpu in row.gpus]
    free = sum(gpu.is_free for gpu in here)
    readable = sum(gpu.state == "ok" and gpu.mem_percent is not None for gpu in here)
    return {
        "hosts": len(rows),
        "up": sum(row.status == "up" for row in rows),
        "gpus": sum(len(row.gpus) for row in rows),
        "free": free,
        "in_use": readable - free,
        "broken": len(here) - readable,
    }
