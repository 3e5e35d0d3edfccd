"""The chart pages of the original: server-side figures, and the GPU view that the browser draws."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, render_template, request

from ..live.hosts import Hosts
from ..points import GIB, tags_json
from ..query import HostNow, fleet_history, now
from . import figures
from .figures import Figure
from .wording import shortened

LOAD_HELP = (
    "Bar: processes that ran or waited in the last minute. Mark: the host's cores. A bar well beyond its mark means "
    "that work waits for the CPU, or for a disk or file server that doesn't answer."
)
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

    def recent_page(name: str, draw: Callable[[list[HostNow]], list[Figure]], help_text: str = "") -> Response:
        kept = hosts.kept()
        return page(name, draw, f"{help_text} {shortened(kept.recent_s, kept.share, kept.memory_mib)}".strip())

    def fleet_figures(hours: float) -> list[Figure]:
        now_s = hosts.clock.wall()
        return figures.fleet_history(fleet_history(hosts, hours, now_s), hours, now_s)

    @blueprint.get("/cpu-data")
    def cpu_data() -> Response:
        return recent_page(
            "CPU",
            lambda rows: [
                figures.cpu_now(rows),
                figures.recent("CPU, recent", hosts, rows, "sys.cpu_percent", "%"),
            ],
        )

    @blueprint.get("/memory")
    def memory() -> Response:
        return recent_page(
            "Memory",
            lambda rows: [
                figures.memory_now(rows),
                figures.recent("Memory used, recent", hosts, rows, "sys.mem_used_bytes", "GiB", scale=1 / GIB),
            ],
        )

    @blueprint.get("/root_drive")
    def root_drive() -> Response:
        return recent_page(
            "Disk",
            lambda rows: [
                figures.root_drive_now(rows),
                figures.fullest_disk_now(rows),
                figures.recent("Disk at /, recent", hosts, rows, "sys.disk.percent", "% used", tags=ROOT),
            ],
        )

    @blueprint.get("/load-data-1")
    def load_data_1() -> Response:
        return recent_page(
            "Load",
            lambda rows: [
                figures.load_now(rows),
                figures.recent("Load, recent, 1 minute", hosts, rows, "sys.load_1m", "processes"),
            ],
            LOAD_HELP,
        )

    @blueprint.get("/history")
    def history() -> Response:
        kept = hosts.kept()
        return page(
            "GPU history",
            lambda _: fleet_figures(kept.headline_s / 3600),
            f"The last {kept.headline_s / 3600:g} hours as far as this server remembers them: it keeps them in memory "
            f"and starts anew when it is restarted. {shortened(kept.headline_s, kept.share, kept.memory_mib)}".strip(),
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
