"""The tables of a host's page: each row is what the mole sent, and what it didn't send gives none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import posts
import pytest
from flask.testing import FlaskClient

from cluster_dash_server.views import host_tables
from cluster_dash_server.views.host_tables import Collector, Drive, Wait, Wear, Wire

CONTRACT: dict[str, Any] = json.loads((Path(__file__).parent.parent / "contract" / "mole_gpus.json").read_text("utf-8"))
PAGE = {"Accept": "text/html"}


def of_gpus(**values: list[float]) -> dict[str, Any]:
    return {
        f"sys.gpu.{metric}": {"device": list(range(len(column))), "value": column} for metric, column in values.items()
    }


def test_a_real_post_fills_every_table() -> None:
    assert host_tables.wires(CONTRACT) == [
        Wire("eno1", 1000000.0, 500000.0, 0.0, 0.2),
        Wire("mlx5_0/1", 1600000.0, 800000.0, None, None),
    ]
    assert host_tables.drives(CONTRACT) == [Drive("nvme0n1", 2097152.0, 1048576.0, 20.0)]
    assert host_tables.waits(CONTRACT) == [
        Wait("a free core", 1.5, None),
        Wait("disks and network file systems", 4.25, 2.75),
        Wait("memory", 0.0, 0.0),
    ]
    assert Collector("cpu", 0.001, True) in host_tables.collectors(CONTRACT)


def test_a_post_of_the_original_fills_none() -> None:
    post: dict[str, Any] = {"hostname": "old", "timestamp": 1.0, "gpu": {}, "cpu": {}}
    assert host_tables.wires(post) == host_tables.drives(post) == host_tables.waits(post) == []
    assert host_tables.collectors(post) == []
    assert host_tables.wear(post) == {}


def test_a_gpu_whose_driver_counts_errors_and_found_none_is_told_from_one_that_does_not_count() -> None:
    assert host_tables.wear({"metrics": of_gpus(ecc_uncorrected=[0])}) == {0: []}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"ecc_uncorrected": [1]}, Wear("bad", "1 uncorrected memory error since the driver started")),
        ({"ecc_corrected": [7]}, Wear("info", "7 corrected memory errors since the driver started")),
        ({"remapped_rows_failed": [1]}, Wear("bad", "a bad memory row could not be replaced: have this GPU exchanged")),
        ({"recovery_action": [1]}, Wear("bad", "the driver asks for a reset of this GPU")),
        ({"recovery_action": [4]}, Wear("bad", "the driver asks for recovery action 4")),
        ({"pcie_width": [8], "pcie_max_width": [16]}, Wear("warn", "PCIe with 8 of 16 lanes")),
    ],
)
def test_what_is_worn_is_told_with_what_to_make_of_it(values: dict[str, list[float]], told: Wear) -> None:
    assert host_tables.wear({"metrics": of_gpus(**values)}) == {0: [told]}


def test_a_gpu_is_hot_by_its_own_limits() -> None:
    limits: dict[str, list[float]] = {"temperature_max_c": [87, 87, 87], "mem_temperature_max_c": [95, 95]}
    values = of_gpus(temperature_c=[86, 87, 60, 99], mem_temperature_c=[94, 99, 99], **limits)
    assert host_tables.hot({"metrics": values}) == {1: "the core is meant for less than 87 °C"}


def test_the_worst_comes_first() -> None:
    found = host_tables.wear({"metrics": of_gpus(ecc_corrected=[3], ecc_uncorrected=[1], remapped_rows_pending=[1])})
    assert [each.level for each in found[0]] == ["bad", "warn", "info"]


def test_a_failed_collector_is_told(client: FlaskClient) -> None:
    tags = [{"collector": "disk"}]
    metrics = {"sys.collect.ok": {"tags": tags, "value": [0]}, "sys.collect.duration_s": {"tags": tags, "value": [2.5]}}
    client.post("/", json=posts.host_post("a", metrics=metrics))
    assert "disk 2500 ms and failed" in client.get("/host/a", headers=PAGE).text


def test_the_page_tells_what_the_mole_says_of_itself(client: FlaskClient) -> None:
    client.post("/", json=CONTRACT | {"auth_code": posts.PASSCODE})
    page = client.get(f"/host/{CONTRACT['hostname']}", headers=PAGE).text
    for text in ("9b1f1c52-7b57-4d5c-9d0c-3f2f6a0d8e11", "46 MiB", "977 KiB/s", "<dt>starts so far</dt><dd>3</dd>"):
        assert text in page


def test_the_kinds_of_events_are_words(client: FlaskClient) -> None:
    events = [{"kind": kind, "time": 1.0, "device": 0, "text": "x"} for kind in ("gpu_lost", "xid", "driver_reloaded")]
    client.post("/", json=posts.host_post("a", events=events))
    page = client.get("/host/a", headers=PAGE).text
    assert all(f"<td>{words}</td>" in page for words in ("GPU lost", "XID", "driver reloaded"))


def test_the_page_of_an_original_mole_says_that_it_tells_nothing(client: FlaskClient) -> None:
    post = posts.host_post("old")
    del post["mole"]
    client.post("/", json=post)
    assert "tells nothing of itself" in client.get("/host/old", headers=PAGE).text


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\u202efdp", "x" * 256])
def test_hostile_names_of_interfaces_and_collectors_are_text(client: FlaskClient, name: str) -> None:
    metrics = {
        metric: {"tags": [{tag: name}], "value": [1.0]}
        for metric, tag in (
            ("sys.net.recv_bytes_per_s", "iface"),
            ("sys.disk_io.busy_percent", "disk"),
            ("sys.pressure.some_percent", "resource"),
            ("sys.collect.duration_s", "collector"),
        )
    }
    assert client.post("/", json=posts.host_post("a", metrics=metrics)).status_code == 200
    page = client.get("/host/a", headers=PAGE).text
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_a_mount_that_does_not_answer_is_told_once_and_each_note_says_what_to_do(client: FlaskClient) -> None:
    disk = {
        mount: {"mount_point": mount, "device": "nas:/data", "stale_since": posts.host_post()["timestamp"] - 60}
        for mount in ("/data", "/" + "long" * 100)
    }
    errors = {
        "disk /data": "no answer",
        f"disk /{'long' * 100}"[:256]: "no answer",
        "driver": "reboot pending",
        "disk /gone": "Input/output error",
    }
    post = posts.host_post("a", disk=disk)
    post["mole"] = {**post["mole"], "errors": errors}
    assert client.post("/", json=post).status_code == 200
    page = client.get("/host/a", headers=PAGE).text
    assert page.count("/data doesn") == 1
    assert "no answer" not in page
    for text in ("ping -c 3 nas", "umount -f /data", "rmmod nvidia_uvm", "df /gone", "disk /gone: Input/output error"):
        assert text in page
    assert 'class="note bad"' in page
