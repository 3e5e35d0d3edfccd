"""Golden posts: what the mole must produce and every server accept.

The files hold whole posts. What the scenario determines must be the same in a live post, to the last digit; of what it
doesn't (clocks, this machine's load and disks, ids) only the kind of value is compared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from nvml_standin import GIB, MIB, Gpu, NvmlStandin, without_library

from cluster_dash_mole.comms import JsonSenderLogger
from cluster_dash_mole.config import JsonSenderLoggerSettings
from cluster_dash_mole.cpu_data import CpuCollector
from cluster_dash_mole.general_machine_data import GeneralMachineCollector
from cluster_dash_mole.gpu_data import GpuCollector
from cluster_dash_mole.main import MainRunner
from cluster_dash_mole.nvml_process import NvmlReader
from cluster_dash_mole.processes import UserNames
from mole.peers import ManualClock, Peer, wait_until
from mole.test_main import IDENTITY
from mole.test_pci import write_devices

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/contract"
SCHEMA = json.loads((ROOT / "cluster-dash-server/cluster_dash_server/machine-post-schema.json").read_text())
VOLATILE = [
    ("hostname",),
    ("timestamp",),
    ("general", "*"),
    ("cpu", "*"),
    ("cpu", "load_avgs", "*"),
    ("disk", "/", "total_gb"),
    ("disk", "/", "used_gb"),
    ("disk", "/", "percent_used"),
    ("mole", "version"),
    ("mole", "cpu_s"),
    ("mole", "rss_bytes"),
    ("metrics", "sys.cpu.iowait_percent", "value", "*"),
    ("metrics", "sys.uptime_s", "value", "*"),
    ("metrics", "sys.collect.duration_s", "value", "*"),
]
MEMINFO = "MemTotal: 527434752 kB\nMemAvailable: 499122176 kB\nSwapTotal: 8388608 kB\nSwapFree: 8126464 kB\n"
USERS = {1000: "alice", 1001: "bob", 0: "root"}
PROCESSES = {4101: (1000, "python"), 4102: (1000, "pt_data_worker"), 4203: (1001, "python"), 977: (0, "Xorg")}


def normalise(value: Any, path: tuple[str, ...] = ()) -> Any:
    """The post with each volatile value replaced by its kind."""
    if isinstance(value, dict):
        return {key: normalise(inner, (*path, str(key))) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [normalise(inner, (*path, "*")) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    if any(_fits(pattern, path) for pattern in VOLATILE):
        return "text" if isinstance(value, str) else "number"
    return value


def _fits(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(pattern) == len(path) and all(want in ("*", key) for want, key in zip(pattern, path, strict=True))


def write_proc(folder: Path) -> Path:
    """A /proc with known memory, one disk and the processes of the scenario."""
    Path(folder, "self").mkdir(parents=True)
    Path(folder, "meminfo").write_text(MEMINFO)
    Path(folder, "self/mountinfo").write_text("20 1 8:2 / / rw - ext4 /dev/nvme0n1p2 rw\n")
    for pid, (uid, name) in PROCESSES.items():
        Path(folder, str(pid)).mkdir()
        Path(folder, str(pid), "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        Path(folder, str(pid), "stat").write_text(f"{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 900 {pid} 0 0 20 0")
    return folder


class Cluster:
    """A mole on a host of the scenario; each round's post as the server gets it."""

    def __init__(self, peer: Peer, proc: Path, pci: Path) -> None:
        self.peer = peer
        self.clock = ManualClock()
        names = UserNames(look_up=USERS.__getitem__)
        gpus = GpuCollector(50, NvmlReader(), names, proc, pci)
        sender = JsonSenderLogger(JsonSenderLoggerSettings(address_in=peer.address), 5)
        collectors = [CpuCollector(), GeneralMachineCollector(proc), gpus]
        self.runner = MainRunner(IDENTITY, 5, collectors, [sender], self.clock)
        self.runner.step()
        time.sleep(0.1)  # the kernel counts CPU time in steps of 10 ms

    def post(self) -> dict[str, Any]:
        before = len(self.peer.posts)
        self.clock.now += 5
        self.runner.step()
        wait_until(lambda: len(self.peer.posts) > before)
        return self.peer.posts[-1]


@pytest.fixture
def start_cluster(peer: Peer, tmp_path: Path) -> Any:
    started: list[Cluster] = []

    def start(gpus_on_pci: int = 8) -> Cluster:
        pci = write_devices(tmp_path / "pci", *[("0x10de", "0x030200")] * gpus_on_pci)
        started.append(Cluster(peer, write_proc(tmp_path / "proc"), pci))
        return started[-1]

    yield start
    for cluster in started:
        cluster.runner.close()


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("gpus_on_pci", "name"), [(0, "mole_no_gpu.json"), (2, "mole_no_driver.json")])
def test_a_host_without_gpus_or_without_their_driver_gives_the_golden_post(
    start_cluster: Callable[[int], Cluster],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus_on_pci: int,
    name: str,
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", without_library(tmp_path)["LD_LIBRARY_PATH"])
    post = start_cluster(gpus_on_pci).post()
    jsonschema.validate(post, SCHEMA)
    assert normalise(post) == normalise(golden(name))


def test_a_host_with_8_gpus_of_which_one_is_lost_gives_the_golden_post(
    standin: NvmlStandin, start_cluster: Callable[[], Cluster]
) -> None:
    gpus = [Gpu(util=90 + index, used=(10 + index) * GIB, power=300_000 + index) for index in range(8)]
    gpus[0].processes = [("compute", 4101, 9 * GIB), ("compute", 4102, 512 * MIB), ("graphics", 977, 19 * MIB)]
    gpus[1].processes = [("compute", 4203, 10 * GIB), ("compute", 4999, None)]
    gpus[2] = Gpu(util=0, memory_util=0, used=0, temperature=29, power=71_000)
    gpus[3] = Gpu(util=None, memory_util=None, power=None)
    standin.set(*gpus)
    cluster = start_cluster()
    cluster.post()
    standin.set(*gpus, faults=("gpu 5 fail * 15",))
    post = cluster.post()
    jsonschema.validate(post, SCHEMA)
    assert normalise(post) == normalise(golden("mole_gpus.json"))


@pytest.mark.parametrize("name", ["mole_no_gpu.json", "mole_no_driver.json", "mole_gpus.json"])
def test_a_golden_post_fits_the_schema(name: str) -> None:
    jsonschema.validate(golden(name), SCHEMA)


def test_a_change_of_any_determined_value_would_be_seen() -> None:
    post = golden("mole_gpus.json")
    changed = json.loads(json.dumps(post))
    changed["gpu"]["0_NVIDIA-H100-80GB-HBM3_66667c"]["users"]["alice"]["4101"]["mem"] += 0.5
    assert normalise(changed) != normalise(post)
    changed = json.loads(json.dumps(post))
    changed["cpu"]["cpu_percent"] = "12"
    assert normalise(changed) != normalise(post)
