"""What scripts of the original read, byte for byte, from a server that runs on a clock of the test."""

from __future__ import annotations

import time
from typing import Any

import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> FlaskClient:
    return create_app(Config(), start=False, monotonic=clock, wall=wall_beside(clock)).test_client()


def two_gpus(first_util: float = 90, first_used: float = 20000) -> dict[str, Any]:
    users = {"bob": {"77": {"mem": 19000.0, "time": 3.5, "name": "python"}}}
    return {
        "0_NVIDIA-A100_aaaaaa": posts.gpu(0, util=first_util, used_mib=first_used, users=users, total_mem=40000.0),
        "1_NVIDIA-A100_bbbbbb": posts.gpu(1, util=0, used_mib=2000, total_mem=40000.0),
    }


def test_gpu_data_simple_is_empty_without_hosts(client: FlaskClient) -> None:
    assert client.get("/data-out/gpu-data-simple").data == b"{}\n"


def test_gpu_data_simple_gives_the_posted_entries_with_their_age(client: FlaskClient, clock: Clock) -> None:
    gpus = two_gpus()
    client.post("/", json=posts.host_post("gpu01", gpu=gpus))
    clock.now_s += 150.5
    age = {"received_timestamp": 150.5, "time_received_mins": 3}
    assert client.get("/data-out/gpu-data-simple").json == {
        "gpu01": {gpu_id: {**entry, **age} for gpu_id, entry in gpus.items()}
    }


def test_gpu_summary_is_the_originals_table_byte_for_byte(client: FlaskClient, clock: Clock) -> None:
    client.post("/", json=posts.host_post("gpu02", gpu=two_gpus(10, 36000), cpu={"cpu_percent": 79.4}))
    client.post("/", json=posts.host_post("gpu01", gpu=two_gpus(), cpu={"cpu_percent": 81}))
    answer = client.get("/api/gpu-summary")
    assert answer.mimetype == "text/plain"
    assert answer.data == (
        b"\x1b[1mServer\t\tGPUs\tFree\tGPU%\tCPU%\tStatus\x1b[0m\n"
        b"gpu01\t2\t1\t\x1b[92m28%\x1b[0m\t\x1b[91m81%\x1b[0m\t\x1b[92monline\x1b[0m\n"
        b"gpu02\t2\t1\t\x1b[92m48%\x1b[0m\t\x1b[93m79%\x1b[0m\t\x1b[92monline\x1b[0m"
    )
    clock.now_s += 700
    assert client.get("/api/gpu-summary").text.count("\x1b[91moffline\x1b[0m") == 2


def test_a_host_whose_gpus_cannot_be_read_has_no_free_gpu_in_the_summary(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("gpu01", gpu={"gpu_error": posts.GPU_ERROR}, cpu={}))
    assert client.get("/api/gpu-summary").text.splitlines()[1].startswith("gpu01\t0\t0\t–\t–\t")


def test_a_hostname_cannot_steer_the_terminal(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("gpu\u200b01", gpus=0))
    assert "\u200b" not in client.get("/api/gpu-summary").text + client.get("/").text


def test_dashboard_data_has_the_originals_fields(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("gpu01", gpu={**two_gpus(), "gpu_error": posts.GPU_ERROR}))
    body: Any = client.get("/api/dashboard-data").json
    assert abs(body["timestamp"] - time.time()) < 60
    assert body["servers"] == {
        "gpu01": {
            "status": "online",
            "last_seen_mins": 0,
            "cpu": {"cpu_percent": 38, "num_cpus": 64},
            "gpus": [
                {
                    "index": 0, "name": "NVIDIA A100 80GB", "total_mem_mb": 40000, "used_mem_mb": 20000,
                    "memory_percent": 50, "gpu_util": 90,
                    "users": {"bob": {"77": {"mem": 19000.0, "time": 3.5, "name": "python"}}},
                },
                {
                    "index": 1, "name": "NVIDIA A100 80GB", "total_mem_mb": 40000, "used_mem_mb": 2000,
                    "memory_percent": 5, "gpu_util": 0, "users": {},
                },
            ],
            "summary": {"total_gpus": 2, "free_gpus": 1, "avg_gpu_memory_percent": 28, "avg_gpu_util": 45},
            "gpu_error": "NVML Shared Library Not Found",
        }
    }  # fmt: skip


def test_what_is_missing_is_null_and_not_zero(client: FlaskClient) -> None:
    entry = posts.gpu(0, used_mem=None, gpu_util=None)
    client.post("/", json=posts.host_post("gpu01", gpu={"0_X": entry}, cpu={"cpu_percent": None}))
    body: Any = client.get("/api/dashboard-data").json
    server = body["servers"]["gpu01"]
    assert server["cpu"] == {"cpu_percent": None, "num_cpus": None}
    assert (server["gpus"][0]["used_mem_mb"], server["gpus"][0]["gpu_util"]) == (None, None)
    assert server["summary"] == {
        "total_gpus": 1, "free_gpus": 0, "avg_gpu_memory_percent": None, "avg_gpu_util": None
    }  # fmt: skip


def test_history_data_without_posts_is_the_originals_empty_answer(client: FlaskClient) -> None:
    body: Any = client.get("/api/history-data").json
    assert (body["hours"], body["series"]) == (24, [])
    assert set(body["stats"].values()) == {0}


def test_history_data_sums_the_fleet_in_buckets(client: FlaskClient) -> None:
    for _ in range(3):
        client.post("/", json=posts.host_post("gpu01", gpu=two_gpus()))
        client.post("/", json=posts.host_post("gpu02", gpu=two_gpus(0, 0)))
        client.post("/", json=posts.host_post("cpu01", gpus=0))
    body: Any = client.get("/api/history-data?hours=1").json
    bucket = body["series"][-1]
    assert bucket["timestamp"] % 300 == 0
    assert (bucket["total_gpus"], bucket["free_gpus"]) == (4, 3)
    assert (bucket["avg_gpu_util"], bucket["avg_gpu_memory_percent"]) == (22.5, 15.0)
    assert bucket["servers"]["gpu01"] == {"total_gpus": 2, "free_gpus": 1, "avg_gpu_util": 45.0}
    assert body["stats"]["waste_percent"] == 75.0


@pytest.mark.parametrize(("asked", "hours"), [("x", 24), ("-5", 1), ("0", 1), ("6", 6), ("99999999", 17568)])
def test_hours_out_of_bounds_are_brought_within(client: FlaskClient, asked: str, hours: int) -> None:
    body: Any = client.get(f"/api/history-data?hours={asked}").json
    assert body["hours"] == hours


def test_what_cannot_be_is_a_fault_for_scripts_of_the_original_too(client: FlaskClient) -> None:
    gpus = {"a": posts.gpu(0, used_mib=1e15), "b": posts.gpu(1, util=900), "c": posts.gpu(2)}
    client.post("/", json=posts.host_post("gpu1", gpu=gpus))
    simple: Any = client.get("/data-out/gpu-data-simple").json
    told = simple["gpu1"]
    assert [told[name]["used_mem"] for name in "abc"] == [None, 400, 400]
    assert [told[name]["gpu_util"] for name in "abc"] == [0, None, 0]
    assert [told[name].get("state") for name in "abc"] == ["error", "error", None]
    answer: Any = client.get("/api/dashboard-data").json
    summary = answer["servers"]["gpu1"]["summary"]
    assert (summary["avg_gpu_memory_percent"], summary["avg_gpu_util"], summary["free_gpus"]) == (0, 0, 1)
