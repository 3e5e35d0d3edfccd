"""`GET /metrics`, read as Prometheus' own parser reads it: names, units, states, and nothing that could break it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import posts
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config, HostNames, Serve

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Time:
    """The server's clock since boot."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def app(clock: Time) -> Flask:
    config = Config(serve=Serve(held_streams=0), hosts=HostNames(expected=("gpu01", "gpu77")))
    return create_app(config, start=False, monotonic=clock)


def samples(client: FlaskClient, clock: Time) -> Samples:
    clock.now_s += 1.01  # what was told within a second is told again
    answer = client.get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    found: Samples = {}
    families: set[str] = set()
    for family in text_string_to_metric_families(answer.text):
        assert family.name not in families, f"{family.name} is there twice"
        families.add(family.name)
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"cluster_dash_{name}", tuple(sorted(labels.items()))))


def send(client: FlaskClient, name: str, **sections: Any) -> None:
    answer = client.post("/", json=posts.host_post(name, **sections))
    assert answer.status_code == 200, answer.text


def test_values_have_prometheus_names_and_base_units(client: FlaskClient, clock: Time) -> None:
    metrics = {
        "sys.gpu.temperature_c": {"unit": "C", "value": [61], "device": [0]},
        "sys.gpu.sm_clock_mhz": {"unit": "MHz", "value": [1410], "device": [0]},
        "sys.gpu.energy_j": {"unit": "J", "value": [5], "device": [0]},
        "sys.net.recv_bytes_per_s": {"unit": "B/s", "value": [12.5], "tags": [{"interface": "eth0"}]},
        "sys.cpu.core_percent": {"unit": "%", "value": [3, 50], "device": [0, 1]},
        "sys.uptime_s": {"unit": "s", "value": [100]},
    }
    send(client, "gpu01", gpus=2, metrics=metrics)
    found = samples(client, clock)
    gpu = {"host": "gpu01", "gpu": "0"}
    assert value(found, "gpu_util_ratio", **gpu) == 0.2
    assert value(found, "gpu_mem_used_bytes", **gpu) == 40960 * 2**20
    assert value(found, "gpu_user_mem_bytes", **gpu, user="alice") == 40960 * 2**20
    assert value(found, "gpu_temperature_celsius", **gpu) == 61
    assert value(found, "gpu_temperature_celsius", host="gpu01", gpu="1") is None  # missing is absent
    assert value(found, "gpu_sm_clock_hertz", **gpu) == 1.41e9
    assert value(found, "gpu_energy_joules", **gpu) == 5
    assert value(found, "net_recv_bytes_per_second", host="gpu01", interface="eth0") == 12.5
    assert value(found, "cpu_core_ratio", host="gpu01", cpu="1") == 0.5
    assert value(found, "cpu_ratio", host="gpu01") == 0.375
    assert value(found, "disk_ratio", host="gpu01", mount="/") == pytest.approx(0.464)
    assert value(found, "uptime_seconds", host="gpu01") == 100
    assert value(found, "cpu_number", host="gpu01") == 64
    assert value(found, "gpu_state", **gpu, state="busy") == 1
    assert value(found, "gpu_state", host="gpu01", gpu="1", state="free") == 1
    uuid = "GPU-00000000-aaaa-bbbb-cccc-000000000000"
    assert value(found, "gpu_info", **gpu, uuid=uuid, model="NVIDIA A100 80GB") == 1


def test_a_host_whose_posts_stopped_has_no_values_and_is_down(client: FlaskClient, clock: Time) -> None:
    send(client, "gpu01", mole={**posts.host_post("gpu01")["mole"], "interval_s": 5})
    found = samples(client, clock)
    assert value(found, "host_up", host="gpu01") == 1
    assert value(found, "host_post_age_seconds", host="gpu01") == 1.01
    assert value(found, "host_up", host="gpu77") == 0  # expected, never heard
    assert value(found, "host_post_age_seconds", host="gpu77") is None
    assert value(found, "hosts", state="silent") == 1
    for later_s, state in ((20, "stale"), (1000, "offline")):
        clock.now_s += later_s
        found = samples(client, clock)
        of_it = {name for name, labels in found if ("host", "gpu01") in labels}
        assert of_it == {"cluster_dash_host_up", "cluster_dash_host_post_age_seconds"}
        assert value(found, "host_up", host="gpu01") == 0
        assert (value(found, "hosts", state=state), value(found, "hosts", state="up")) == (1, 0)


def test_the_server_tells_how_it_is_itself(client: FlaskClient, clock: Time) -> None:
    post = posts.host_post("gpu01", gpus=1)
    for each in (post, post, {**post, "auth_code": "wrong"}, {"auth_code": posts.PASSCODE}):
        client.post("/", json=each)
    client.post("/batch", json={"auth_code": posts.PASSCODE, "posts": [posts.host_post("gpu02"), {}]})
    found = samples(client, clock)
    assert value(found, "server_posts_total", **{"as": "new"}) == 2
    assert value(found, "server_posts_refused_total", code="401") == 1
    assert value(found, "server_posts_refused_total", code="400") == 2
    assert value(found, "server_held_streams") == 0
    assert value(found, "server_info", version="0.1.0") == 1
    assert value(found, "server_step_failures_total", step="look at the clock") == 0
    assert found["process_resident_memory_bytes", ()] > 0


def test_names_that_were_sent_cannot_break_the_format(client: FlaskClient, clock: Time) -> None:
    user = 'eve"} 1 # \\'
    metrics = {
        'sys."} 1\\': {"unit": '\\ "', "value": [1]},
        "sys.host_up": {"unit": "", "value": [7]},
        "sys.server_info": {"unit": "", "value": [7]},
        "sys.server_posts_total": {"unit": "", "value": [7]},
        "sys.twice_x": {"unit": "", "value": [1]},
        "sys.twice.x": {"unit": "", "value": [2]},
        "sys.été": {"unit": "", "value": [3]},
        "sys.tagged": {
            "unit": "",
            "value": [4, 5],
            "tags": [{"host": "x", "__name__": "y", "1": "z"}, {"a-b": "x", "a.b": "y"}],
        },
    }
    host = 'gpu "01" \\n{}'
    send(client, host, gpus=1, metrics=metrics, disk={"/": {"mount_point": user, "total_gb": 1, "used_gb": 1}})
    found = samples(client, clock)
    assert value(found, "host_up", host=host) == 1
    assert value(found, "disk_total_bytes", host=host, mount=user) == 2**30
    assert value(found, "tagged", host=host, tag_host="x", tag___name__="y", tag_1="z") == 4
    assert value(found, "tagged", host=host, a_b="x") == 5
    twice = [number for (name, _), number in found.items() if name == "cluster_dash_twice_x"]
    assert len(twice) == 1
    assert 7 not in found.values()


def test_what_was_told_a_moment_ago_is_told_again(client: FlaskClient, clock: Time) -> None:
    """So those who ask without a pause cost as much as one."""
    samples(client, clock)
    send(client, "gpu01")
    assert "gpu01" not in client.get("/metrics").text.replace('host="gpu01"} 0', "")
    assert value(samples(client, clock), "host_up", host="gpu01") == 1


def test_it_is_behind_the_viewing_password(clock: Time, tmp_path: Path) -> None:
    access = Access(viewing_password="look", token_file=str(tmp_path / "tokens.json"))
    app = create_app(Config(access=access), start=False, monotonic=clock)
    client = app.test_client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", auth=("prometheus", "look")).status_code == 200
    named = create_app(Config(access=Access(allowed_hosts=("dash.lab",))), start=False)
    assert named.test_client().get("/metrics", headers={"Host": "evil.example"}).status_code == 421
