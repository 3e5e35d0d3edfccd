"""Many posts as one table: the same rows as each post's own columns, whatever the posts have in common."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import posts

from cluster_dash_server.points import NO_DEVICE, Layout, Points, SeriesKey, points_of_post, tags_json
from cluster_dash_server.store.columns import MOST_BYTES, MOST_NAMES, Columns

NOW = 1_795_300_000.0
COLUMNS = ("event_time", "run_id", "host", "device", "metric", "value", "unit", "tags_json")


def points(name: str, ago_s: float = 0, **sections: Any) -> Points:
    return points_of_post(posts.host_post(name, timestamp=NOW - ago_s, **sections))


def rows(columns: dict[str, list[Any]]) -> set[tuple[Any, ...]]:
    return set(zip(*(columns[name] for name in COLUMNS), strict=True))


def held(kept: Columns, several: list[Points]) -> list[tuple[Any, ...]]:
    table = kept.table_of(several)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    columns["event_time"] = [at.timestamp() for at in columns["event_time"]]
    return sorted(zip(*(columns[name] for name in COLUMNS), strict=True))


def test_it_has_each_posts_own_rows() -> None:
    several = [
        points("gpu01", 10),
        points("gpu01", 5),
        points("gpu02", 3, gpus=2),
        points("gpu03", 1, gpus=0, disk={"/": {"mount_point": "/", "total_gb": 10, "used_gb": None}}),
    ]
    kept = Columns()
    for _ in range(2):  # the second time it knows their series
        assert held(kept, several) == sorted(row for each in several for row in rows(each.columns()))


def test_rows_are_in_the_order_of_the_tables_key() -> None:
    names = ["b", "a", "é", "z"]
    several = [points(name, ago_s) for ago_s in (5, 10, 0) for name in names]
    table = Columns().table_of(several)
    key = ("metric", "host", "device", "event_time", "tags_json")
    found = list(zip(*(table[name].to_pylist() for name in key), strict=True))
    assert len(set(found)) == len(found) > 100
    assert found == sorted(found)


def test_a_packed_post_has_the_same_rows() -> None:
    several = [points("gpu01", 10), points("gpu02", 5, gpus=0)]
    assert held(Columns(), [each.packed() for each in several]) == held(Columns(), several)


def test_values_that_are_no_number_are_left_out_and_infinite_ones_kept() -> None:
    series = [SeriesKey(name, NO_DEVICE, "") for name in ("nan", "inf", "-inf", "0")]
    layout = Layout(series, [""] * 4)
    table = Columns().table_of([Points("h", NOW, layout, [math.nan, math.inf, -math.inf, 0])])
    assert dict(zip(table["metric"].to_pylist(), table["value"].to_pylist(), strict=True)) == {
        "inf": math.inf,
        "-inf": -math.inf,
        "0": 0.0,
    }


def test_posts_without_a_value_make_a_table_without_a_row() -> None:
    empty = Points("h", NOW, Layout([SeriesKey("x", 0, "")], [""]), [math.nan])
    nothing = Points("h", NOW, Layout([], []), [])
    assert Columns().table_of([empty, nothing]).num_rows == 0


def test_more_names_than_are_remembered_are_names_all_the_same() -> None:
    kept = Columns()
    many = range(MOST_NAMES + 20_000)  # more than two bytes count, too
    layout = Layout([SeriesKey(f"m{at}", at % 7, tags_json({"n": str(at)})) for at in many], ["u"] * len(many))
    wide = Points("wide", NOW, layout, [float(at) for at in many])
    for _ in range(2):
        table = kept.table_of([wide, points("gpu01")])
        found = zip(*(table[name].to_pylist() for name in ("metric", "value", "tags_json")), strict=True)
        wide_rows = {(metric, value, tags) for metric, value, tags in found if metric.startswith("m")}
        assert wide_rows == {(f"m{at}", float(at), tags_json({"n": str(at)})) for at in many}
    assert held(kept, [points("gpu01")]) == sorted(rows(points("gpu01").columns()))


def test_ever_new_long_names_take_a_bounded_memory() -> None:
    kept, names, length = Columns(), 200, 16_384
    tracemalloc.start()
    try:
        for turn in range(3 * MOST_BYTES // (names * length)):
            series = [SeriesKey(f"{turn}.{at}".ljust(length, "x"), NO_DEVICE, "") for at in range(names)]
            kept.table_of([Points("h", NOW, Layout(series, [""] * names), [1.0] * names)])
            del series
        assert tracemalloc.get_traced_memory()[0] < 1.5 * MOST_BYTES
    finally:
        tracemalloc.stop()
