"""Golden posts: what the mole must produce and every server accept.

The files hold whole posts, written by `python tests/write_contract.py`. What the scenario determines must be the same
in a live post, to the last digit; of what it does not (clocks, ids, cost) only the kind of value is compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nvml_standin import NvmlStandin, without_library

from mole.contract_scenario import GOLDEN, Cluster, fix, post_of_8_gpus, post_of_a_host_without_driver
from mole.peers import Peer


@pytest.fixture
def start_cluster(peer: Peer, tmp_path: Path) -> Any:
    started: list[Cluster] = []

    def start(gpus_on_pci: int = 8) -> Cluster:
        started.append(Cluster(peer, tmp_path / "host", gpus_on_pci))
        return started[-1]

    yield start
    for cluster in started:
        cluster.runner.close()


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("gpus_on_pci", "name"), [(0, "mole_no_gpu.json"), (2, "mole_no_driver.json")])
def test_a_host_without_gpus_or_without_their_driver_gives_the_golden_post(
    start_cluster: Callable[..., Cluster],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus_on_pci: int,
    name: str,
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", without_library(tmp_path)["LD_LIBRARY_PATH"])
    post = post_of_a_host_without_driver(start_cluster, gpus_on_pci)
    assert fix(post) == golden(name)


def test_a_host_with_8_gpus_of_which_one_is_lost_gives_the_golden_post(
    standin: NvmlStandin, start_cluster: Callable[..., Cluster]
) -> None:
    post = post_of_8_gpus(start_cluster, standin)
    assert fix(post) == golden("mole_gpus.json")


@pytest.mark.parametrize("name", ["mole_no_gpu.json", "mole_no_driver.json", "mole_gpus.json"])
def test_a_golden_post_holds_what_is_fixed(name: str) -> None:
    assert fix(golden(name)) == golden(name)


def test_a_change_of_any_determined_value_or_of_a_kind_would_be_seen() -> None:
    post = golden("mole_gpus.json")
    changed = json.loads(json.dumps(post))
    changed["gpu"]["0_NVIDIA-H100-80GB-HBM3_66667c"]["users"]["alice"]["4101"]["mem"] += 0.5
    assert fix(changed) != post
    for value in ("12", None, [1]):
        changed = json.loads(json.dumps(post))
        changed["timestamp"] = value
        assert fix(changed) != post
