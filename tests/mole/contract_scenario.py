"""The scenario of the golden posts: a host with known /proc, /sys, disks and GPUs, and a real mole on it.

Each round the host's counters grow by the same, so all but the values in FIXED are the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvml_standin import GIB, MIB, Gpu, NvmlStandin

from cluster_dash_mole.config import JsonSenderLoggerSettings
from cluster_dash_mole.cpu_data import CpuCollector
from cluster_dash_mole.disk_io import DiskIoCollector
from cluster_dash_mole.disks import DiskCollector
from cluster_dash_mole.general_machine_data import GeneralMachineCollector
from cluster_dash_mole.gpu_data import GpuCollector
from cluster_dash_mole.identity import Identity
from cluster_dash_mole.kept_sender import KeptSender
from cluster_dash_mole.main import MainRunner
from cluster_dash_mole.memory import MemoryCollector
from cluster_dash_mole.network import NetworkCollector
from cluster_dash_mole.network_mounts import NetworkMounts
from cluster_dash_mole.nvml_process import NvmlReader
from cluster_dash_mole.outbox import Outbox
from cluster_dash_mole.pressure import PressureCollector
from cluster_dash_mole.user_names import UserNames
from mole.peers import ManualClock, Peer, wait_until
from mole.test_pci import write_devices

GOLDEN = Path(__file__).parents[1] / "contract"
IDENTITY = Identity("9b1f1c52-7b57-4d5c-9d0c-3f2f6a0d8e11", "e485afc5-0c4f-420c-b76f-c65c884ce61b.3")
LOST = "5_NVIDIA-H100-80GB-HBM3_666681"
# What differs from run to run, and what the files hold in its place. "*" is any key or place.
FIXED: dict[tuple[str, ...], Any] = {
    ("hostname",): "molgpu03",
    ("timestamp",): 1795308000.25,
    ("general", "hostname"): "molgpu03",
    ("general", "system_time"): "2026-11-22 00:40:00",
    ("general", "boottime"): "2026-11-01 06:12:05",
    ("mole", "version"): "0.1.0",
    ("mole", "backlog"): 0,
    ("mole", "kept"): [["e485afc5-0c4f-420c-b76f-c65c884ce61b.3", 1, 2]],
    ("mole", "cpu_s"): 1.25,
    ("mole", "rss_bytes"): 48234496,
    ("metrics", "sys.uptime_s", "value", "*"): 1794475.5,
    ("gpu", LOST, "since"): 1795307995.0,
    ("gpu", LOST, "error"): "GPU is lost (since 2026-11-22 00:39:55)",
    ("events", "*", "time"): 1795308000.0,
    ("gpu", "gpu_error", "since"): 1795307990.0,
    ("metrics", "sys.collect.duration_s", "value", "*"): 0.001,
    ("metrics", "sys.swap_out_bytes_per_s", "value", "*"): 40960.0,  # the kernel counts pages, whose size differs
}
USERS = {1000: "alice", 1001: "bob", 0: "root"}
PROCESSES = {4101: (1000, "python"), 4102: (1000, "pt_data_worker"), 4203: (1001, "python"), 977: (0, "Xorg")}
IN_A_CONTAINER = 4203
SIZES = {
    b"/": (4096, 239075328, 128115712, 115949568, 61014016, 58573456, 58573456),
    b"/dev/shm": (4096, 65929344, 65830912, 65830912, 65929344, 65929000, 65929000),
}
STILL = {
    "meminfo": "MemTotal: 527434752 kB\nMemAvailable: 499122176 kB\nBuffers: 1048576 kB\nCached: 104857600 kB\n"
    "SwapTotal: 8388608 kB\nSwapFree: 8126464 kB\nShmem: 393728 kB\n"
    "HugePages_Total: 512\nHugePages_Free: 500\nHugepagesize: 2048 kB\n",
    "loadavg": "3.50 3.25 3.00 4/1234 56789\n",
    "cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9654 96-Core Processor\n",
    "self/mountinfo": "20 1 8:2 / / rw - ext4 /dev/nvme0n1p2 rw\n",
    "sys/kernel/osrelease": "6.8.0-45-generic\n",
    "sys/kernel/random/boot_id": "e485afc5-0c4f-420c-b76f-c65c884ce61b\n",
    "pressure/cpu": "some avg10=1.50 avg60=0 avg300=0 total=9\nfull avg10=0.00 avg60=0 avg300=0 total=0\n",
    "pressure/memory": "some avg10=0.00 avg60=0 avg300=0 total=0\nfull avg10=0.00 avg60=0 avg300=0 total=0\n",
    "pressure/io": "some avg10=4.25 avg60=0 avg300=0 total=9\nfull avg10=2.75 avg60=0 avg300=0 total=9\n",
}


def fix(value: Any, path: tuple[str, ...] = ()) -> Any:
    """The post with FIXED in the place of what differs from run to run, where the kind of value is the same."""
    if isinstance(value, dict):
        return {key: fix(inner, (*path, str(key))) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        if isinstance(FIXED.get(path), list):
            return FIXED[path]
        return [fix(inner, (*path, "*")) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    fixed = FIXED.get(path)
    return value if fixed is None or isinstance(value, str) != isinstance(fixed, str) or value is None else fixed


def write_tree(folder: Path, files: dict[str, str]) -> None:
    """The files with their folders."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_host(folder: Path) -> None:
    """/proc, /sys and /etc of the scenario, in the folders of their names."""
    write_tree(folder / "proc", STILL)
    write_tree(folder / "etc", {"os-release": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\n'})
    Path(folder, "sys/class/net/eno1/device").mkdir(parents=True)
    for pid, (uid, name) in PROCESSES.items():
        status = f"Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
        stat = f"{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 900 {pid} 0 0 20 0 1 0 {100 * pid} 0 0"
        command = f"/usr/bin/{name}\0train.py\0--token\0canary\0"
        cgroup = f"0::/system.slice/docker-{pid}{'f' * 60}.scope\n" if pid == IN_A_CONTAINER else "0::/user.slice\n"
        files = {"status": status, "stat": stat, "cmdline": command, "cgroup": cgroup}
        write_tree(folder / f"proc/{pid}", files)
    write_counters(folder, 0)


def write_counters(folder: Path, turn: int) -> None:
    """What grows, as it is after so many rounds."""
    cores = [(60 * turn, 5 * turn, 30 * turn, 400 * turn, 5 * turn, 0, 0, 0) for _ in range(4)]
    lines = [" ".join(map(str, ("cpu ", *(sum(column) for column in zip(*cores)))))]
    lines += [" ".join(map(str, (f"cpu{number}", *ticks))) for number, ticks in enumerate(cores)]
    proc = {
        "stat": "\n".join([*lines, "btime 1793513125", "procs_running 5", "procs_blocked 1\n"]),
        "vmstat": f"pswpin 100\npswpout {100 + 50 * turn}\n",
        "diskstats": f" 259 0 nvme0n1 9 0 {8000 + 20480 * turn} 9 9 0 {8000 + 10240 * turn} 9 0 {1000 * turn} 9\n"
        f" 259 1 nvme0n1p1 9 0 {8000 * turn} 9 9 0 8000 9 0 9 9\n",
        "net/dev": f" a | b\n c |d\n    lo: {turn} 0 0 0 0 0 0 0 {turn} 0 0 0 0 0 0 0\n"
        f"  eno1: {5_000_000 * turn} 9 0 {turn} 0 0 0 0 {2_500_000 * turn} 9 0 0 0 0 0 0\n",
    }
    write_tree(folder / "proc", proc)
    words = {"port_rcv_data": f"{2_000_000 * turn}\n", "port_xmit_data": f"{1_000_000 * turn}\n"}
    write_tree(folder / "sys/class/infiniband/mlx5_0/ports/1/counters", words)


class Cluster:
    """A mole on a host of the scenario; each round's post as the server gets it."""

    def __init__(self, peer: Peer, folder: Path, gpus_on_pci: int = 8) -> None:
        write_host(folder)
        pci = write_devices(folder / "pci", *[("0x10de", "0x030200")] * gpus_on_pci)
        proc, sys = folder / "proc", folder / "sys"
        self.peer = peer
        self.folder = folder
        self.turn = 0
        self.clock = ManualClock()
        kept = Outbox(folder / "outbox", IDENTITY.epoch, 2**20)
        sender = KeptSender(JsonSenderLoggerSettings(address_in=peer.address), 5, kept, 6)
        names = UserNames(look_up=USERS.__getitem__)
        collectors = [
            CpuCollector(proc),
            PressureCollector(proc),
            MemoryCollector(proc, self.clock),
            DiskIoCollector(proc, self.clock),
            NetworkCollector(proc, sys, self.clock),
            GeneralMachineCollector(proc, folder / "etc"),
            DiskCollector(NetworkMounts(), proc, SIZES.get),
            GpuCollector(50, NvmlReader(), names, proc, pci),
        ]
        self.runner = MainRunner(IDENTITY, 5, collectors, [sender], self.clock, uptime=self.clock)
        self.runner.step()

    def post(self) -> dict[str, Any]:
        before = len(self.peer.posts)
        self.clock.now += 5
        self.turn += 1
        write_counters(self.folder, self.turn)
        self.runner.step()
        wait_until(lambda: len(self.peer.posts) > before)
        return self.peer.posts[-1]


def post_of_a_host_without_driver(start: Callable[..., Cluster], gpus_on_pci: int) -> dict[str, Any]:
    """Its library mustn't be found, which is the caller's part."""
    return start(gpus_on_pci).post()


def post_of_8_gpus(start: Callable[..., Cluster], standin: NvmlStandin) -> dict[str, Any]:
    """Each GPU is another case; one is lost between the first post and the second, which this is."""
    gpus = [Gpu(util=90 + index, used=(10 + index) * GIB, power=300_000 + index) for index in range(8)]
    gpus[0].processes = [("compute", 4101, 9 * GIB), ("compute", 4102, 512 * MIB), ("graphics", 977, 19 * MIB)]
    gpus[1].processes = [("compute", 4203, 10 * GIB), ("compute", 4999, None)]
    gpus[2] = Gpu(util=0, memory_util=0, used=0, temperature=29, power=71_000)
    gpus[3] = Gpu(util=None, memory_util=None, power=None)
    standin.set(*gpus)
    cluster = start()
    cluster.post()
    standin.set(*gpus, faults=("gpu 5 fail * 15",))
    return cluster.post()
