"""Many posts as one table: the same rows as each post's own columns, whatever the posts have in common."""

from __future__ import annotations

from typing import Any

import posts
import pytest

from cluster_dash_server.points import Points, points_of_post
from cluster_dash_server.store.columns import table_of

NOW = 1_795_300_000.0


def points(name: str, ago_s: float = 0, **sections: Any) -> Points:
    return points_of_post(posts.host_post(name, timestamp=NOW - ago_s, **sections))


def rows(columns: dict[str, list[Any]]) -> set[tuple[Any, ...]]:
    names = ("event_time", "run_id", "host", "device", "metric", "value", "unit", "tags_json")
    return set(zip(*(columns[name] for name in names), strict=True))


def test_it_has_each_posts_own_rows() -> None:
    several = [
        points("gpu01", 10),
        points("gpu01", 5),
        points("gpu02", 3, gpus=2),
        points("gpu03", 1, gpus=0, disk={"/": {"mount_point": "/", "total_gb": 10, "used_gb": None}}),
    ]
    table = table_of([(each, NOW) for each in several])
    columns = {name: table[name].to_pylist() for name in table.column_names}
    columns["event_time"] = [at.timestamp() for at in columns["event_time"]]
    expected = {row for each in several for row in rows(each.columns())}
    assert rows(columns) == expected
    assert len(columns["value"]) == len(expected)


@pytest.mark.parametrize(
    ("ahead_s", "is_kept"), [(599, True), (601, False), (1e9, False), (-30 * 86_400, True), (-NOW, False)]
)
def test_a_clock_that_was_never_set_does_not_date_a_point(ahead_s: float, is_kept: bool) -> None:
    table = table_of([(points("gpu01", -ahead_s), NOW)])
    assert {at.timestamp() for at in table["event_time"].to_pylist()} == {NOW + ahead_s if is_kept else NOW}
