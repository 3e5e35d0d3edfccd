"""The chart pages of the original: server-side figures, and the GPU view that the browser draws."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Blueprint, Response, render_template, request

from ..live.hosts import Hosts
from ..points import GIB, tags_json
from ..query import HostNow, fleet_history, now
from . import figures
from .figures import Figure

LOAD_HELP = (
    "Bar: processes that ran or waited in the last minute. Mark: the host's cores. A bar well beyond its mark means "
    "that work waits for the CPU, or for a disk or file server that doesn't answer."
)
HISTORY_H = 24
ROOT = tags_json({"mount": "/"})


def routes(hosts: Hosts) -> Blueprint:
    blueprint = Blueprint("charts", __name__)

    def page(name: str, draw: Callable[[list[HostNow]], list[Figure]], help_text: str = "") -> Response:
        rows = now(hosts)
        drawn = draw(rows) if rows else []
        if request.accept_mimetypes.best == "application/json":
            return figures.as_json(drawn)
        return Response(
            render_template(
                "plotly_express.html",
                name=name,
                help_text=help_text,
                figures=drawn,
                figures_json=figures.embed(drawn),
            ),
            headers={"Vary": "Accept"},
        )

    def fleet_figures(now_s: float) -> list[Figure]:
        return figures.fleet_history(fleet_history(hosts, HISTORY_H, now_s), HISTORY_H, now_s)

    @blueprint.get("/cpu-data")
    def cpu_data() -> Response:
        return page(
            "CPU",
            lambda rows: [
                figures.cpu_now(rows),
                figures.recent("CPU, recent", hosts, rows, "sys.cpu_percent", "%"),
            ],
        )

    @blueprint.get("/memory")
    def memory() -> Response:
        return page(
            "Memory",
            lambda rows: [
                figures.memory_now(rows),
                figures.recent("Memory used, recent", hosts, rows, "sys.mem_used_bytes", "GiB", scale=1 / GIB),
            ],
        )

    @blueprint.get("/root_drive")
    def root_drive() -> Response:
        return page(
            "Disk",
            lambda rows: [
                figures.root_drive_now(rows),
                figures.fullest_disk_now(rows),
                figures.recent("Disk at /, recent", hosts, rows, "sys.disk.percent", "% used", tags=ROOT),
            ],
        )

    @blueprint.get("/load-data-1")
    def load_data_1() -> Response:
        return page(
            "Load",
            lambda rows: [
                figures.load_now(rows),
                figures.recent("Load, recent, 1 minute", hosts, rows, "sys.load_1m", "processes"),
            ],
            LOAD_HELP,
        )

    @blueprint.get("/history")
    def history() -> Response:
        return page(
            "GPU history",
            lambda _: fleet_figures(time.time()),
            "The last 24 hours as far as this server remembers them: it keeps the recent posts in memory and starts "
            "anew when it is restarted.",
        )

    _add_drawn_by_the_browser(blueprint)
    return blueprint


def _add_drawn_by_the_browser(blueprint: Blueprint) -> None:
    @blueprint.get("/gpu-data")
    def gpu_data() -> str:
        return render_template("simple_chart.html", name="GPU memory by user", script="scripts/renderGpuData.js")

    @blueprint.get("/demo-plot")
    def demo_plot() -> str:
        return render_template("simple_chart.html", name="Demo", script="scripts/renderDemoData.js")
