"""The fleet's history of a real server with a store, as pages and scripts of the original read it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import posts
import pyarrow as pa
import pytest
from processes import SERVE, Server, until

from cluster_dash_server.store.target import DATABASE, target_of

pytestmark = pytest.mark.slow


def post_of(host: str, at: float, util: float) -> posts.Post:
    gpu = {"a": posts.gpu(0, util=util, used_mib=40960), "b": posts.gpu(1, util=0)}
    return posts.host_post(host, gpu=gpu, timestamp=at)


def test_the_history_goes_beyond_a_restart_and_beyond_what_memory_has(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    now = time.time()
    long_ago = now // 900 * 900 - 5 * 86400
    with Server(tmp_path, environ, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok)
        for ago, util in ((0, 100.0), (10, 50.0)):
            server.post(post_of("gpu01", long_ago + ago, util)).raise_for_status()
        server.post(post_of("gpu02", long_ago + 5, 20.0)).raise_for_status()
        server.post(posts.host_post("cpu01", gpus=0, timestamp=long_ago)).raise_for_status()
        server.end()
        server.port = 0
        server.start()
        until(lambda: server.get("/api/history-data").ok)
        assert server.get("/api/history-data").json()["series"] == []
        of_gpu01 = {"free_gpus": 1, "total_gpus": 2, "avg_gpu_util": 37.5}
        expected = [
            {
                "timestamp": long_ago,
                "total_gpus": 4,
                "free_gpus": 2,
                "avg_gpu_util": 23.8,
                "avg_gpu_memory_percent": 25.2,
                "servers": {"gpu01": of_gpu01, "gpu02": {**of_gpu01, "avg_gpu_util": 10.0}},
            }
        ]
        # What came late for a minute that was rolled up already is in its tier some seconds later.
        week: dict[str, Any] = {}

        def is_whole() -> bool:
            week.update(server.get("/api/history-data?hours=168").json())
            return week["series"] == expected

        until(is_whole, message=str(week))
        assert week["stats"]["total_snapshots"] == 1
        page = server.get("/history?hours=168", accept="text/html").text
        assert '<a href="?hours=168" aria-current="true">7 d</a>' in page
        assert "starts anew" not in page
        [gpus, _] = server.get("/history?hours=168", accept="application/json").json()
        assert [trace["y"] for trace in gpus["data"]] == [[4], [2]]


def test_rows_that_somebody_else_has_put_into_the_store_spoil_no_sum(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    at = time.time() // 300 * 300 - 3600
    with Server(tmp_path, environ, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok)
        server.post(post_of("gpu01", at, 20.0)).raise_for_status()
        server.end()
    rows = (
        ("utilisation only", "sys.gpu.mean_util_percent", 5.0),
        ("no GPU", "sys.gpu.count", 0.0),
        ("no GPU", "sys.gpu.little_used_count", 0.0),
        ("infinite", "sys.gpu.count", float("inf")),
        ("beyond a double", "sys.gpu.little_used_count", 1e308),
        ("beyond a double", "sys.gpu.count", 1e308),
    )
    with contextlib.closing(target_of("", tmp_path / "state").connect()) as client:  # pyright: ignore[reportOptionalMemberAccess]  # it is one
        for host, metric, value in (*rows, *rows):
            at += 1  # of two numbers near the largest double the sum is infinite
            client.insert_arrow(
                f"{DATABASE}.metric_points",
                pa.table(
                    {
                        "event_time": pa.array([int(at * 1000)], pa.timestamp("ms", tz="UTC")),
                        "run_id": [""],
                        "host": [host],
                        "metric": [metric],
                        "value": [value],
                    }
                ),
            )
    with Server(tmp_path, environ, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").ok)
        day: dict[str, Any] = server.get("/api/history-data?hours=24").json()
        assert [(each["total_gpus"], list(each["servers"])) for each in day["series"]] == [(2, ["gpu01"])]
        assert server.get("/history", accept="application/json").ok
