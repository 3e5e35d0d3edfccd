"""Posts for tests: a host of any size as a mole would send it, deterministic, each field changeable."""

from __future__ import annotations

import copy
import itertools
import json
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PASSCODE = "lab_cluster_2025"
EXAMPLE = ROOT / "etc" / "example_data1.json"
GPU_ERROR: dict[str, Any] = {
    "name": "error",
    "uuid": "none",
    "index": 0,
    "total_mem": 0,
    "used_mem": 0,
    "users": {},
    "gpu_util": 0,
    "memory_util": 0,
    "error": "NVML Shared Library Not Found",
}
"""How the original mole tells that it could read no GPU."""
USERS = ("alice", "bob", "chen", "dana")

Post = dict[str, Any]


def example() -> Post:
    return json.loads(EXAMPLE.read_text("utf-8"))


def gpu(index: int, *, util: float = 0, used_mib: float = 400, users: Post | None = None, **fields: Any) -> Post:
    return {
        "name": "NVIDIA A100 80GB",
        "uuid": f"GPU-0000000{index}-aaaa-bbbb-cccc-000000000000",
        "index": index,
        "total_mem": 81920.0,
        "used_mem": used_mib,
        "gpu_util": util,
        "memory_util": util / 2,
        "users": users or {},
        **fields,
    }


def busy_gpu(index: int, user: str, *, util: float = 80, used_mib: float = 40960) -> Post:
    process = {"mem": used_mib, "time": 12.5, "name": "python", "uid": 1000 + index, "command": "python train.py"}
    return gpu(index, util=util, used_mib=used_mib, users={user: {str(4000 + index): process}})


_numbers = itertools.count(1)


def host_post(hostname: str = "gpu01", gpus: int = 8, seq: int | None = None, **sections: Any) -> Post:
    """Every other GPU is free, the others are used by USERS in turn. Each post has a number of its own, each hostname a
    mole of its own.
    """
    seq = next(_numbers) if seq is None else seq
    entries = [
        gpu(index) if index % 2 else busy_gpu(index, USERS[index // 2 % len(USERS)], util=min(100, 20 + 10 * index))
        for index in range(gpus)
    ]
    post: Post = {
        "auth_code": PASSCODE,
        "hostname": hostname,
        "timestamp": time.time(),
        "general": {"hostname": hostname, "system_time": "2026-11-22 10:00:00", "boottime": "2026-11-01 08:00:00"},
        "cpu": {"cpu_percent": 37.5, "load_avgs": [4.2, 3.9, 3.5], "num_cpus": 64},
        "memory": {"total_gb": 503.5, "available_gb": 401.2, "used_gb": 96.4},
        "disk": {
            "/": {"mount_point": "/", "device": "/dev/sda2", "total_gb": 915.3, "used_gb": 402.7, "percent_used": 46.4},
            "/data": {
                "mount_point": "/data",
                "device": "/dev/md0",
                "total_gb": 7000,
                "used_gb": 6510,
                "percent_used": 93,
            },
        },
        "gpu": {f"{entry['index']}_NVIDIA-A100-80GB_{entry['uuid'][4:10]}": entry for entry in entries},
        "mole": {
            "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, hostname)),
            "version": "0.1.0",
            "epoch": "boot.1",
            "seq": seq,
            "mono_s": 100.0 + seq,
            "interval_s": 5.0,
            "cpu_s": 1.5,
            "rss_bytes": 31457280,
            "errors": {},
        },
        "metrics": {
            "sys.gpu.power_w": {
                "unit": "W",
                "device": list(range(gpus)),
                "value": [100.0 + 20 * i for i in range(gpus)],
            },
            "sys.cpu.iowait_percent": {"unit": "%", "value": [1.5]},
        },
    }
    return copy.deepcopy(post | sections)


def full_post(hostname: str = "gpu01", gpus: int = 8, mounts: int = 6, users: tuple[str, ...] = USERS) -> Post:
    """About what a GPU host in full use sends: three processes on each GPU, several disks; 5.5 kB with 8 GPUs."""
    entries = {
        f"{index}_NVIDIA-A100-80GB_{index:06}": gpu(index, util=90, used_mib=61440, users=_processes(index, users))
        for index in range(gpus)
    }
    disk = {
        f"/mnt/{hostname}-{number}" if number else "/": {
            "mount_point": f"/mnt/{hostname}-{number}" if number else "/",
            "device": f"/dev/nvme{number}n1",
            "total_gb": 7000.5,
            "used_gb": 3100.25 + number,
            "percent_used": 44.3,
        }
        for number in range(mounts)
    }
    of_gpus = {"temperature_c": ("°C", 61.0), "power_w": ("W", 412.5), "sm_clock_mhz": ("MHz", 1980.0)}
    metrics: Post = {
        f"sys.gpu.{name}": {"unit": unit, "device": list(range(gpus)), "value": [value] * gpus}
        for name, (unit, value) in of_gpus.items()
    }
    resources: list[Post] = [{"resource": name} for name in ("cpu", "memory", "io")]
    metrics["sys.pressure.some_percent"] = {"unit": "%", "tags": resources, "value": [1.5, 0.0, 4.25]}
    return host_post(hostname, disk=disk, gpu=entries, metrics=metrics)


def _processes(index: int, users: tuple[str, ...]) -> Post:
    """Of the GPU: two of one user, one of the next."""
    pids = [str(40000 + 10 * index + number) for number in range(3)]
    process = {"mem": 20480.0, "time": 12345.6, "name": "python", "uid": 1000, "command": "python train.py"}
    first, second = users[index % len(users)], users[(index + 1) % len(users)]
    return {first: {pids[0]: process, pids[1]: process}, second: {pids[2]: process}}
