"""The store as JSON and CSV: `/api/series` and `/api/metrics`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import MultiDict

from ..errors import Refusal
from ..store.known import read_metrics, read_metrics_of
from ..store.series import MOST_POINTS, Selection, read_series
from .asking import LONGEST_TEXT, METRIC, MOST_METRICS, NO_STORE, ask, check_names, read_range, read_whole

if TYPE_CHECKING:
    from ..store.grouped import Series
    from ..store.store import Store

PARAMETERS = (METRIC, "host", "run", "device", "tags", "from", "to", "points", "format")
COLUMNS = ("min", "max", "mean", "count", "not_finite")
"""That only buckets have."""
HOUR_S = 3600.0
HIGHEST_DEVICE = 65534


def routes(store: Store | None, wall: Callable[[], float]) -> Blueprint:
    blueprint = Blueprint("series", __name__)

    @blueprint.get("/api/series")
    def series() -> Response:
        if store is None:
            raise Refusal(404, NO_STORE)
        wanted, wants_csv = read_selection(request.args, wall()), _wants_csv()
        found, bucket_s = ask(store, lambda store: read_series(store, wanted, wall()))
        if wants_csv:
            return Response(_csv(found), mimetype="text/csv")
        answer = {"series": [_document(each) for each in found], "bucket_s": bucket_s}
        return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), mimetype="application/json")

    @blueprint.get("/api/metrics")
    def metrics() -> Response:
        """Of the whole fleet, or what one host ever sent."""
        check_names(request.args, (METRIC, "host"))
        host, among = request.args.get("host"), tuple(request.args.getlist(METRIC))
        if among and host is None:
            raise Refusal(400, "metric is for what one host sent: give host, too")
        known = ask(store, lambda s: read_metrics(s) if host is None else read_metrics_of(s, host, among))
        return jsonify({"metrics": known.metrics} | ({"has_more": True} if known.has_more else {}))

    return blueprint


def read_selection(asked: MultiDict[str, str], now_s: float) -> Selection:
    """Without `from` the last hour. Raises Refusal."""
    check_names(asked, PARAMETERS)
    metrics = tuple(asked.getlist(METRIC))
    if not metrics or not all(metrics):
        raise Refusal(400, f"metric must be given, up to {MOST_METRICS} times; /api/metrics tells which there are")
    start_s, end_s = read_range(asked, now_s, HOUR_S)
    return Selection(
        metrics=metrics,
        start_s=start_s,
        end_s=end_s,
        host=asked.get("host"),
        run_id=asked.get("run"),
        device=read_whole(asked, "device", 0, HIGHEST_DEVICE),
        tags_json=_tags(asked.get("tags")),
        points=read_whole(asked, "points", 1, MOST_POINTS),
    )


def _tags(text: str | None) -> str | None:
    """As `metric_points` has them: sorted, without spaces."""
    if not text:
        return text
    try:
        tags: Any = orjson.loads(text)
        sorted_text = orjson.dumps(tags, option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # it reads what is deeper than it writes
        tags, sorted_text = None, ""
    if not isinstance(tags, dict):
        raise Refusal(400, 'tags must be a JSON object such as {"mount":"/"}, or empty for series without tags')
    return sorted_text if tags else ""


def _wants_csv() -> bool:
    asked = request.args.get("format")
    if asked not in (None, "json", "csv"):
        raise Refusal(400, f"format={asked[:LONGEST_TEXT]!r} must be json or csv")
    if asked:
        return asked == "csv"
    return request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv"


def _document(series: Series) -> dict[str, Any]:
    document: dict[str, Any] = {
        "metric": series.metric,
        "unit": series.unit,
        "host": series.host,
        "run_id": series.run_id,
        "rank": series.rank,
        "device": series.device,
        "tags": orjson.loads(series.tags_json or b"{}"),
        "time": series.time,
        "value": series.value,
    }
    for name in COLUMNS:
        if len(column := getattr(series, name)):
            document[name] = column
    return document


def _csv(found: list[Series]) -> str:
    """A row a point; times are Unix seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", "host", "run_id", "rank", "device", "metric", "tags", "unit", "value", *COLUMNS])
    for series in found:
        device = "" if series.device is None else series.device
        key = [series.host, series.run_id, series.rank, device, series.metric, series.tags_json, series.unit]
        before = [_plain(cell) for cell in key]
        columns = [_cells(getattr(series, name), len(series.time)) for name in ("value", *COLUMNS)]
        writer.writerows(
            [time_s, *before, *cells] for time_s, *cells in zip(series.time.tolist(), *columns, strict=True)
        )
    return text.getvalue()


def _cells(column: Any, rows: int) -> Iterable[float | str]:
    """Empty where JSON has null or nothing."""
    if not len(column):
        return repeat("", rows)
    return (value if math.isfinite(value) else "" for value in column.tolist())


def _plain(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula is quoted as text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
