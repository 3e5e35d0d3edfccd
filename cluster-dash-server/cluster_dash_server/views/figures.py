"""Takes the hosts, gives Plotly figures as plain dicts.

Plain dicts and orjson take a hundredth of the time of `plotly.graph_objects`; the tests hold each to its validators.
Plotly reads a subset of HTML in every text, so names are escaped here. Times are Unix milliseconds; the page turns them
into the viewer's own time.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import orjson
from flask import Response

from ..live.hosts import Hosts
from ..live.rows import SeriesColumns
from ..points import NO_DEVICE
from ..query import FleetBucket, HostNow, bucket_s
from .wording import duration, number, printable, shorten

Figure = dict[str, Any]

BAR_HEIGHT_PX = 26
LINES_HEIGHT_PX = 300
LONGEST_LABEL = 30
MOST_LINES = 40
MOST_NAMED_LINES = 12
"""Beyond these a legend takes more room than the lines; their names show where one points."""
COLOURS = ("#1f77b4", "#e07b00", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f")
FEW_POINTS = 60
"""Up to here each point is marked too: a single one makes no line."""
OLD_OPACITY = 0.35
CALM = "rgba(127, 148, 163, 0.45)"
"""Of what is left, on light and on dark: what is used is what one looks for."""
NO_DATA = "rgba(127, 148, 163, 0.14)"
ROOM_FOR_WORDS = 0.2
"""Of a chart's width."""
HOVER = ".1~f"
"""A decimal at most, and no .0 (d3-format)."""


def label(text: str, width: int = LONGEST_LABEL) -> str:
    return html.escape(shorten(printable(text), width), quote=False)


def embed(figures: list[Figure] | dict[str, Any]) -> str:
    """For a `<script type="application/json">`: no `<` ends it early."""
    return orjson.dumps(figures).decode().replace("<", "\\u003c").replace("\u2028", "\\u2028")


def as_json(figures: list[Figure]) -> Response:
    return Response(orjson.dumps(figures), mimetype="application/json")


# Bars: one per host, as it is now


def cpu_now(rows: list[HostNow]) -> Figure:
    return _bars("CPU now", rows, [("CPU", [row.cpu_percent for row in rows])], "%", (0, 100))


def memory_now(rows: list[HostNow]) -> Figure:
    available = [row.post.get("memory", {}).get("available_gb") for row in rows]
    figure = _bars("Memory now", rows, [("used", [row.mem_used_gib for row in rows]), ("available", available)], "GiB")
    figure["data"][1]["marker"]["color"] = CALM
    return figure


def root_drive_now(rows: list[HostNow]) -> Figure:
    return _bars(
        "Disk at / now",
        rows,
        [("used", [row.root_disk.percent if row.root_disk else None for row in rows])],
        "% used",
        (0, 100),
    )


def fullest_disk_now(rows: list[HostNow]) -> Figure:
    fullest = [row.fullest_disk for row in rows]
    values = [disk.percent if disk else None for disk in fullest]
    figure = _bars("Fullest disk now", rows, [("used", values)], "% used", (0, 100))
    figure["data"][0]["text"] = [
        f"{disk.percent:.0f} {label(disk.mount, 40)}" if disk and disk.percent is not None else "" for disk in fullest
    ]
    return figure


def load_now(rows: list[HostNow]) -> Figure:
    figure = _bars("Load now, 1 minute", rows, [("load", [row.load_1m for row in rows])], "processes ready to run")
    cores = [row.num_cpus for row in rows]
    figure["data"].append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "cores",
            "x": cores,
            "y": list(range(len(rows))),
            "marker": {"symbol": "line-ns-open", "size": 16, "line": {"width": 2}},
            "hovertemplate": "%{x} cores<extra></extra>",
        }
    )
    figure["layout"]["showlegend"] = True
    return figure


def _bars(
    title: str,
    rows: list[HostNow],
    traces: list[tuple[str, list[float | None]]],
    unit: str,
    x_range: tuple[float, float] | None = None,
) -> Figure:
    names = [label(row.name) + (f" ({duration(row.age_s)} ago)" if row.status != "up" else "") for row in rows]
    full_names = [label(row.name, 256) for row in rows]
    xaxis: dict[str, Any] = {"title": {"text": unit}, "rangemode": "tozero"} | ({"range": x_range} if x_range else {})
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "x": [None if value is None else round(value, 2) for value in values],
                "y": list(range(len(rows))),
                "customdata": full_names,
                "text": ["" if value is None else number(value) for value in values],
                "textposition": "auto",
                "textangle": 0,
                "cliponaxis": False,
                "marker": {"opacity": [1 if row.status == "up" else OLD_OPACITY for row in rows]},
                "hovertemplate": f"%{{customdata}}: %{{x:{HOVER}}} {unit} {name}<extra></extra>",
            }
            for name, values in traces
        ],
        "layout": {
            "meta": {"title": title},
            "barmode": "stack",
            "height": 90 + BAR_HEIGHT_PX * len(rows),
            "bargap": 0.25,
            "showlegend": len(traces) > 1,
            "xaxis": xaxis,
            "yaxis": {
                "tickvals": list(range(len(rows))),
                "ticktext": names,
                "autorange": False,
                "range": [len(rows) - 0.5, -0.5],
                "automargin": True,
            },
        },
    }


# Lines: the recent history


def recent(
    title: str, hosts: Hosts, rows: list[HostNow], metric: str, unit: str, *, scale: float = 1, tags: str = ""
) -> Figure:
    """A line per host; of more than MOST_LINES those that are highest now, and the title says so."""
    lines = [
        (label(row.name), column)
        for row in rows
        for column in hosts.series(row.host, metric)
        if column.key.tags_json == tags and column.key.device == NO_DEVICE
    ]
    if len(lines) > MOST_LINES:
        title = f"{title}: the {MOST_LINES} highest of {len(lines)}"
        lines = sorted(lines, key=lambda line: -_last(line[1]))[:MOST_LINES]
    return lines_figure(title, lines, unit, scale)


def fleet_history(found: list[FleetBucket], hours: float, now_s: float) -> list[Figure]:
    """None where no GPU was reported in all that time."""
    if not found:
        return []
    width_s = bucket_s(hours)
    buckets = _with_gaps(found, width_s)
    times = [int(min(bucket.started_at + width_s / 2, now_s) * 1000) for bucket in buckets]
    whole_range = [int((now_s - hours * 3600) * 1000), int(now_s * 1000)]

    def line(name: str, values: Iterable[float | None]) -> dict[str, Any]:
        shown = [None if value is None else round(value, 1) for value in values]
        return {
            "type": "scatter",
            "mode": _mode(len(shown)),
            "marker": {"size": 4},
            "name": name,
            "x": times,
            "y": shown,
        }

    def total(figure: str) -> list[float | None]:
        return [bucket.total(figure) if bucket.servers else None for bucket in buckets]

    gpus = [
        line("all GPUs", total("total_gpus")),
        line("free (under 30 % of memory and utilisation)", total("free_gpus")),
    ]
    use = [
        line("utilisation", [bucket.mean("avg_gpu_util") for bucket in buckets]),
        line("memory used", [bucket.mean("avg_gpu_memory_percent") for bucket in buckets]),
    ]
    figures: list[Figure] = [
        {"data": gpus, "layout": _line_layout("GPUs", "GPUs", 2)},
        {"data": use, "layout": _line_layout("Mean over all GPUs", "%", 2)},
    ]
    missing = _missing([bucket.started_at for bucket in found], width_s, now_s - hours * 3600, now_s)
    for figure in figures:
        figure["layout"]["xaxis"]["range"] = whole_range
        figure["layout"] |= _shaded(missing, hours * 3600)
    return figures


def _missing(starts: list[float], width_s: float, from_s: float, now_s: float) -> list[tuple[float, float]]:
    """From when to when there is no bucket; the newest may not have come yet."""
    ends = [from_s, *(start + width_s for start in starts)]
    found = zip(ends, [*starts, now_s - width_s], strict=True)
    return [(end, start) for end, start in found if start - end >= width_s]


def _shaded(missing: list[tuple[float, float]], range_s: float) -> dict[str, Any]:
    """With words where there is room for them."""
    place = {"xref": "x", "yref": "paper"}
    rectangle = {
        **place,
        "type": "rect",
        "layer": "below",
        "y0": 0,
        "y1": 1,
        "line": {"width": 0},
        "fillcolor": NO_DATA,
    }
    words = {**place, "y": 0.5, "text": "no data", "showarrow": False}
    return {
        "shapes": [{**rectangle, "x0": int(start * 1000), "x1": int(end * 1000)} for start, end in missing],
        "annotations": [
            {**words, "x": int((start + end) * 500)} for start, end in missing if end - start > range_s * ROOM_FOR_WORDS
        ],
    }


def _with_gaps(buckets: list[FleetBucket], width_s: float) -> list[FleetBucket]:
    """An empty one after each that isn't followed by the next, so that the line breaks there."""
    shown: list[FleetBucket] = []
    for bucket in buckets:
        if shown and bucket.started_at > shown[-1].started_at + width_s:
            shown.append(FleetBucket(shown[-1].started_at + width_s, {}))
        shown.append(bucket)
    return shown


def _mode(points: int) -> str:
    return "lines" if points > FEW_POINTS else "lines+markers"


def lines_figure(title: str, lines: list[tuple[str, SeriesColumns]], unit: str, scale: float = 1) -> Figure:
    """A line per series; those of a device keep its colour in every chart."""
    shared = {id(column.time): column.time for _, column in lines}
    times = {key: [int(time * 1000) for time in column] for key, column in shared.items()}
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": _mode(len(column.time)),
            "marker": {"size": 4},
            "name": name,
            "x": times[id(column.time)],
            "y": [round(value * scale, 2) if value == value else None for value in column.value],
            "hovertemplate": f"%{{y:{HOVER}}} {unit}",
        }
        for name, column in lines
    ]
    for trace, (_, column) in zip(data, lines, strict=True):
        if column.key.device != NO_DEVICE:
            trace["line"] = {"color": COLOURS[column.key.device % len(COLOURS)]}
    return {"data": data, "layout": _line_layout(title, unit, len(data))}


def _line_layout(title: str, unit: str, lines: int) -> dict[str, Any]:
    return {
        "meta": {"title": title},
        "height": LINES_HEIGHT_PX,
        "showlegend": 1 < lines <= MOST_NAMED_LINES,
        "hovermode": "x unified" if lines <= MOST_NAMED_LINES else "closest",
        "xaxis": {"type": "date"},
        "yaxis": {"title": {"text": unit}, "rangemode": "tozero"} | ({"range": (0, 100)} if "%" in unit else {}),
    }


def _last(column: SeriesColumns) -> float:
    """The newest value that is there."""
    return next((value for value in reversed(column.value) if value == value), float("-inf"))
