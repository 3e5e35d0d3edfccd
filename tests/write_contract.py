"""Writes tests/contract/*.json from a live mole: `python tests/write_contract.py`. Read the difference before use."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mole.contract_scenario import GOLDEN, Cluster, fix, post_of_8_gpus, post_of_a_host_without_driver
from mole.peers import Peer
from nvml_standin import NvmlStandin, compile_standin, without_library


def write_without_driver(name: str, gpus_on_pci: int, folder: Path) -> None:
    os.environ.update(without_library(folder))
    write(name, folder, lambda start: post_of_a_host_without_driver(start, gpus_on_pci))


def write_with_gpus(name: str, folder: Path) -> None:
    standin = NvmlStandin(compile_standin(folder), folder)
    os.environ.update(standin.env)
    write(name, folder, lambda start: post_of_8_gpus(start, standin))


def write(name: str, folder: Path, make_post: Callable[[Callable[..., Cluster]], dict[str, Any]]) -> None:
    """The post of a mole of its own, which is ended afterwards."""
    peer = Peer()
    started: list[Cluster] = []

    def start(gpus_on_pci: int = 8) -> Cluster:
        started.append(Cluster(peer, folder / "host", gpus_on_pci))
        return started[-1]

    try:
        text = json.dumps(fix(make_post(start)), indent=2, ensure_ascii=False)
    finally:
        for cluster in started:
            cluster.runner.close()
        peer.close()
    Path(GOLDEN, name).write_text(text + "\n", encoding="utf-8")
    print("written:", name)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name, part) for part in ("no_gpu", "no_driver", "gpus")]
        for folder in folders:
            folder.mkdir()
        write_without_driver("mole_no_gpu.json", 0, folders[0])
        write_without_driver("mole_no_driver.json", 2, folders[1])
        write_with_gpus("mole_gpus.json", folders[2])


if __name__ == "__main__":
    main()
