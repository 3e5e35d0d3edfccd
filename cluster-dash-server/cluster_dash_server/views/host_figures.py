"""Takes one host's recent history, gives its charts; and which charts its page draws from the store."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from ..live.host import Host
from ..live.hosts import Hosts
from ..live.rows import SeriesColumns
from ..plausible import SENSORS
from ..points import GIB, MIB, NO_DEVICE
from .figures import MOST_LINES, Figure, label, lines_figure
from .host_tables import WAITS_FOR

WAITED_FOR = {**WAITS_FOR, "io": "disks or network"}


class Chart(NamedTuple):
    """`metrics`: what each metric's lines are called, before their device and tags; `words`: what values of those
    tags are called.
    """

    title: str
    unit: str
    metrics: dict[str, str]
    scale: float = 1
    words: dict[str, str] = {}  # noqa: RUF012  nobody writes it


CHARTS = (
    Chart("GPU utilisation", "%", {"sys.gpu.util_percent": ""}),
    Chart("GPU memory used", "GiB", {"sys.gpu.mem_used_bytes": ""}, 1 / GIB),
    Chart("Tensor cores", "%", {"sys.gpu.tensor_active_percent": ""}),
    Chart("GPU memory bandwidth", "%", {"sys.gpu.dram_active_percent": ""}),
    Chart("GPU power", "W", {"sys.gpu.power_w": ""}),
    Chart("GPU temperature", "°C", {"sys.gpu.temperature_c": ""}),
    Chart("CPU", "%", {"sys.cpu_percent": "busy", "sys.cpu.iowait_percent": "waits for disk or network"}),
    Chart("Memory used", "GiB", {"sys.mem_used_bytes": "used", "sys.swap_used_bytes": "swap"}, 1 / GIB),
    Chart("Load, 1 minute", "processes", {"sys.load_1m": "load"}),
    Chart(
        "Work that waited",
        "% of the time",
        {"sys.pressure.some_percent": "for"},
        words=WAITED_FOR,
    ),
    Chart("Disks", "% used", {"sys.disk.percent": ""}),
    Chart(
        "Disk traffic",
        "MiB/s",
        {"sys.disk_io.read_bytes_per_s": "read", "sys.disk_io.written_bytes_per_s": "written"},
        1 / MIB,
    ),
    Chart(
        "Network",
        "MiB/s",
        {
            "sys.net.recv_bytes_per_s": "in",
            "sys.net.sent_bytes_per_s": "out",
            "sys.infiniband.recv_bytes_per_s": "in",
            "sys.infiniband.sent_bytes_per_s": "out",
        },
        1 / MIB,
    ),
)


HEADLINE = (
    Chart("GPU utilisation", "%", {"sys.gpu.util_percent": ""}),
    Chart("GPU memory used", "GiB", {"sys.gpu.mem_used_bytes": ""}, 1 / GIB),
    Chart("CPU", "%", {"sys.cpu_percent": "busy"}),
    Chart("Memory used", "GiB", {"sys.mem_used_bytes": "used"}, 1 / GIB),
    Chart("Fullest disk", "% used", {"sys.disk.fullest_percent": "used"}),
)
"""What is kept by the minute."""


def of_host(hosts: Hosts, host: Host) -> list[Figure]:
    """The last minutes: those charts of which something was reported."""
    figures = [_figure(chart, hosts.series(host, *chart.metrics)) for chart in CHARTS]
    return [figure for figure in figures if figure["data"]]


def headline_of_host(hosts: Hosts, host: Host) -> list[Figure]:
    """The last hours."""
    figures = [_figure(chart, hosts.headline(host, *chart.metrics)) for chart in HEADLINE]
    return [figure for figure in figures if figure["data"]]


def drawn_from_store(host: str) -> dict[str, Any]:
    """What scripts/history/page.js draws: the charts with the metrics that each asks `/api/series` for."""
    return {"host": host, "charts": [_spec(chart) for chart in CHARTS]}


def _spec(chart: Chart) -> dict[str, Any]:
    limits = {metric: (SENSORS[metric].least, SENSORS[metric].most) for metric in chart.metrics if metric in SENSORS}
    return {**chart._asdict(), "limits": limits}


def _figure(chart: Chart, columns: list[SeriesColumns]) -> Figure:
    title = chart.title
    if len(columns) > MOST_LINES:
        title = f"{title}: {MOST_LINES} of {len(columns)}"
    lines = [(_name(chart, column), _possible(column)) for column in columns[:MOST_LINES]]
    return lines_figure(title, lines, chart.unit, chart.scale)


def _possible(column: SeriesColumns) -> SeriesColumns:
    """With gaps where a value can't be, which would flatten all others."""
    limits = SENSORS.get(column.key.metric)
    if limits is None:
        return column
    values = [value if limits.least <= value <= limits.most else math.nan for value in column.value]
    return replace(column, value=array(column.value.typecode, values))


def _name(chart: Chart, column: SeriesColumns) -> str:
    word = chart.metrics[column.key.metric]
    device = "" if column.key.device == NO_DEVICE else f"GPU {column.key.device}"
    tags: dict[str, str] = orjson.loads(column.key.tags_json or "{}")
    of_tags = [chart.words.get(each, each) for each in tags.values()]
    return label(" ".join(part for part in (word, device, *of_tags) if part) or column.key.metric)
