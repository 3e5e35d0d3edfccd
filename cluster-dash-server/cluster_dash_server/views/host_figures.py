"""Takes one host's recent history, gives its charts."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from ..live.hosts import Host, Hosts, SeriesColumns
from ..points import GIB
from .figures import MOST_LINES, Figure, label, lines_figure


def of_host(hosts: Hosts, host: Host) -> list[Figure]:
    """The charts of one host; one without a single value is left out."""

    def by_gpu(column: SeriesColumns) -> str:
        return f"GPU {column.key.device}"

    def by_mount(column: SeriesColumns) -> str:
        return label(_tag(column, "mount"))

    def chart(title: str, metric: str, unit: str, name: Callable[[SeriesColumns], str], scale: float = 1) -> Figure:
        lines = [(name(column), column) for column in hosts.series(host, metric)]
        if len(lines) > MOST_LINES:
            title = f"{title}: {MOST_LINES} of {len(lines)}"
        return lines_figure(title, lines[:MOST_LINES], unit, scale)

    figures = [
        chart("GPU utilisation", "sys.gpu.util_percent", "%", by_gpu),
        chart("GPU memory used", "sys.gpu.mem_used_bytes", "GiB", by_gpu, 1 / GIB),
        chart("GPU power", "sys.gpu.power_w", "W", by_gpu),
        chart("GPU temperature", "sys.gpu.temperature_c", "°C", by_gpu),
        chart("CPU", "sys.cpu_percent", "%", lambda _: "CPU"),
        chart("Memory used", "sys.mem_used_bytes", "GiB", lambda _: "used", 1 / GIB),
        chart("Load, 1 minute", "sys.load_1m", "processes", lambda _: "load"),
        chart("Disks", "sys.disk.percent", "% used", by_mount),
    ]
    return [figure for figure in figures if figure["data"]]


def _tag(column: SeriesColumns, name: str) -> str:
    tags: dict[str, str] = orjson.loads(column.key.tags_json or "{}")
    return tags.get(name, "")
