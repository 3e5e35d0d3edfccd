"""The chart pages of the original: server-side figures, and the GPU view that the browser draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from flask import Blueprint, Response, render_template, request

from ..live.hosts import Hosts
from ..points import GIB, tags_json
from ..query import HostNow, now
from . import figures
from .figures import Figure
from .legacy import LONGEST_HISTORY_H, fleet_buckets
from .wording import shortened

if TYPE_CHECKING:
    from ..store.store import Store

LOAD_HELP = (
    "Bar: processes that ran or waited in the last minute. Mark: the host's cores. A bar well beyond its mark means "
    "that work waits for the CPU, or for a disk or file server that doesn't answer."
)
NO_GPUS = (
    "No host has reported a GPU in this range of time. This page shows how many GPUs there were, how many of them were "
    "free, and how busy they were."
)
ROOT = tags_json({"mount": "/"})


Draw = Callable[[list[HostNow]], list[Figure]]


class Page(Protocol):
    def __call__(self, name: str, draw: Draw, help_text: str = "", **more: Any) -> Response: ...


DAY_H = 24
SPANS = {6: "6 h", DAY_H: "24 h", 7 * DAY_H: "7 d", 30 * DAY_H: "30 d", 365 * DAY_H: "1 y"}


def routes(hosts: Hosts, store: Store | None = None) -> Blueprint:
    """The fleet's history is the store's where there is one."""
    blueprint = Blueprint("charts", __name__)

    def page(name: str, draw: Draw, help_text: str = "", **more: Any) -> Response:
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
                has_hosts=bool(rows),
                **more,
            ),
            headers={"Vary": "Accept"},
        )

    def recent_page(name: str, draw: Draw, help_text: str = "") -> Response:
        kept = hosts.kept()
        return page(name, draw, f"{help_text} {shortened(kept.recent_s, kept.share, kept.memory_mib)}".strip())

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

    _add_history(blueprint, hosts, store, page)
    _add_drawn_by_the_browser(blueprint)
    return blueprint


def _add_history(blueprint: Blueprint, hosts: Hosts, store: Store | None, page: Page) -> None:
    def fleet_figures(hours: float) -> list[Figure]:
        now_s = hosts.clock.wall()
        return figures.fleet_history(fleet_buckets(hosts, store, hours, now_s), hours, now_s)

    @blueprint.get("/history")
    def history() -> Response:
        if store is not None:
            hours = min(max(1, request.args.get("hours", DAY_H, type=int)), LONGEST_HISTORY_H)
            return page("GPU history", lambda _: fleet_figures(hours), spans=SPANS, span=hours, nothing=NO_GPUS)
        kept = hosts.kept()
        return page(
            "GPU history",
            lambda _: fleet_figures(kept.headline_s / 3600),
            f"The last {kept.headline_s / 3600:g} hours as far as this server remembers them: it keeps them in memory "
            f"and starts anew when it is restarted. {shortened(kept.headline_s, kept.share, kept.memory_mib)}".strip(),
            nothing=NO_GPUS,
        )


def _add_drawn_by_the_browser(blueprint: Blueprint) -> None:
    @blueprint.get("/gpu-data")
    def gpu_data() -> str:
        return render_template("simple_chart.html", name="GPU memory by user", script="scripts/renderGpuData.js")

    @blueprint.get("/demo-plot")
    def demo_plot() -> str:
        return render_template("simple_chart.html", name="Demo", script="scripts/renderDemoData.js")
