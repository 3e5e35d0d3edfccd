"""`GET /`: the fleet as a page or as text. `/host/<name>`: one host."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, render_template, request

from ..errors import Refusal, wants_page
from ..headers import CSP, PLOTLY_POLICY
from ..live.hosts import Hosts
from ..query import by_device, host_now
from . import figures, host_tables, notes
from .fleet.model import Fleets
from .host_figures import drawn_from_store, headline_of_host, of_host
from .kiosk import is_kiosk
from .text import fleet_table, wants_colour
from .wording import shortened

MOST_PROCESSES = 200
NO_STORE = (
    "This server keeps no history ([store] url is none): these charts are what it has in memory, and a restart of it "
    "forgets them."
)
NO_UPLOT = (
    "The history is kept, but this server was installed without uPlot, which draws it: these charts are what it has in "
    "memory. Install the package again where npm can fetch uPlot."
)
BESIDE = {
    "temperature": "sys.gpu.temperature_c",
    "power": "sys.gpu.power_w",
    "power_limit": "sys.gpu.power_limit_w",
    "sm_clock": "sys.gpu.sm_clock_mhz",
    "tensor": "sys.gpu.tensor_active_percent",
    "dram": "sys.gpu.dram_active_percent",
    "mem_temperature": "sys.gpu.mem_temperature_c",
}
"""Metrics that stand in a GPU's row of the host's page."""


def routes(
    hosts: Hosts, fleets: Fleets, warnings: Callable[[], list[str]], *, has_store: bool = False, has_uplot: bool = False
) -> Blueprint:
    """A host's charts are drawn from the store where there is one, else from memory."""
    blueprint = Blueprint("status", __name__)
    draws_store = has_store and has_uplot

    @blueprint.get("/")
    def fleet() -> Response:
        if wants_page():
            response = Response(render_template("overview.html"))
        else:
            address = f"{request.scheme}://{request.host}/"
            look = fleets.shown(kiosk=is_kiosk()).look()
            text = fleet_table(look, warnings(), address, coloured=wants_colour(request.args.get("color")))
            response = Response(text, mimetype="text/plain")
        response.headers["Vary"] = "Accept"
        return response

    @blueprint.get("/host/<path:name>")
    def host(name: str) -> Response:
        found = hosts.get(name)
        if found is None:
            raise Refusal(404, f"No host of the name “{name[:256]}” is known here: none reported, or it was removed.")
        long = "hours" in request.args
        drawn = headline_of_host(hosts, found) if long else of_host(hosts, found)
        if request.accept_mimetypes.best == "application/json":
            return figures.as_json(drawn)
        row, kept = host_now(hosts, found, hosts.own_error()), hosts.kept(found)
        page = render_template(
            "host.html",
            row=row,
            post=row.post,
            notes=list(notes.troubles(row)),
            figures=drawn,
            figures_json=figures.embed(drawn_from_store(found.name) if draws_store else drawn),
            draws_store=draws_store,
            no_charts=NO_UPLOT if has_store else NO_STORE,
            most_processes=MOST_PROCESSES,
            kept=kept,
            long=long,
            shortened=shortened(kept.headline_s if long else kept.recent_s, kept.share, kept.memory_mib),
            events=hosts.events(found),
            since_words=notes.since_words,
            tables=host_tables,
            wear=host_tables.wear(row.post),
            hot=host_tables.hot(row.post),
            beside={name: by_device(row.post, metric) for name, metric in BESIDE.items()},
        )
        response = Response(page, headers={"Vary": "Accept"})
        if not draws_store:
            response.headers[CSP] = PLOTLY_POLICY
        return response

    return blueprint
