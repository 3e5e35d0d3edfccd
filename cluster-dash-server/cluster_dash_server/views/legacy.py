"""The JSON and text that scripts of the original read, in its own names, units and order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request

from ..gpus import Gpu, gpus_of
from ..live.host import OFFLINE_AFTER_S, Latest
from ..live.hosts import Hosts
from ..points import mean
from ..query import FleetBucket, HostNow, fleet_history, host_now, stored_fleet_history
from .asking import ask
from .wording import MISSING, printable

if TYPE_CHECKING:
    from ..store.store import Store

BOLD, GREEN, YELLOW, RED, RESET = "\033[1m", "\033[92m", "\033[93m", "\033[91m", "\033[0m"
LONGEST_HISTORY_H = 2 * 366 * 24


def routes(hosts: Hosts, store: Store | None = None) -> Blueprint:
    """The fleet's history is the store's where there is one."""
    blueprint = Blueprint("legacy", __name__)

    def rows() -> list[HostNow]:
        return [host_now(hosts, host) for host in hosts.all()]

    @blueprint.get("/data-out/gpu-data-simple")
    def gpu_data_simple() -> Response:
        latest = {host.name: host.latest for host in hosts.all()}
        return jsonify({name: _with_age(each, hosts.age_s(each)) for name, each in latest.items()})

    @blueprint.get("/api/gpu-summary")
    def gpu_summary() -> Response:
        header = f"{BOLD}Server\t\tGPUs\tFree\tGPU%\tCPU%\tStatus{RESET}"
        return Response("\n".join([header, *map(_summary_line, rows())]), mimetype="text/plain")

    @blueprint.get("/api/dashboard-data")
    def dashboard_data() -> Response:
        return jsonify({"timestamp": hosts.clock.wall(), "servers": {row.name: _server(row) for row in rows()}})

    @blueprint.get("/api/history-data")
    def history_data() -> Response:
        hours = min(max(1, request.args.get("hours", 24, type=int)), LONGEST_HISTORY_H)
        now = hosts.clock.wall()
        buckets = fleet_buckets(hosts, store, hours, now)
        return jsonify(
            {"hours": hours, "series": [_bucket(b) for b in buckets], "stats": _stats(buckets), "generated_at": now}
        )

    return blueprint


def fleet_buckets(hosts: Hosts, store: Store | None, hours: float, now_s: float) -> list[FleetBucket]:
    """Raises Refusal."""
    if store is None:
        return fleet_history(hosts, hours, now_s)
    return ask(store, lambda store: stored_fleet_history(store, hours, now_s))


def _with_age(latest: Latest, age_s: float) -> dict[str, Any]:
    """The posted entries; `received_timestamp` is an age in seconds, as the original has it."""
    post = latest.post
    age = {"received_timestamp": age_s, "time_received_mins": round(age_s / 60)}
    faults = {gpu.id: _fault(gpu) for gpu in gpus_of(post) if gpu.is_impossible}
    return {gpu_id: {**entry, **faults.get(gpu_id, {}), **age} for gpu_id, entry in post["gpu"].items()}


def _fault(gpu: Gpu) -> dict[str, Any]:
    """What stands in place of values that can't be, which would spoil any sum or chart."""
    values = {"total_mem": gpu.total_mib, "used_mem": gpu.used_mib, "gpu_util": gpu.util_percent}
    return {**values, "state": gpu.state, "error": gpu.error}


def _online(row: HostNow) -> bool:
    return round(row.age_s / 60) <= OFFLINE_AFTER_S / 60


def _summary_line(row: HostNow) -> str:
    status = f"{GREEN}online{RESET}" if _online(row) else f"{RED}offline{RESET}"
    gpus = row.posted_gpus
    memory = mean([gpu.mem_percent for gpu in gpus])
    free = sum(gpu.is_little_used for gpu in gpus)
    cells = [printable(row.name), len(gpus), free, _share(memory), _share(row.cpu_percent), status]
    return "\t".join(map(str, cells))


def _share(percent: float | None) -> str:
    if percent is None:
        return MISSING
    whole = round(percent)
    return f"{GREEN if whole < 50 else YELLOW if whole < 80 else RED}{whole}%{RESET}"


def _rounded(value: float | None, digits: int | None = None) -> float | None:
    return None if value is None else round(value, digits)


def _server(row: HostNow) -> dict[str, Any]:
    gpus = row.posted_gpus
    memory, util = mean([gpu.mem_percent for gpu in gpus]), mean([gpu.util_percent for gpu in gpus])
    server: dict[str, Any] = {
        "status": "online" if _online(row) else "offline",
        "last_seen_mins": round(row.age_s / 60),
        "cpu": {"cpu_percent": _rounded(row.cpu_percent), "num_cpus": row.num_cpus},
        "gpus": [_gpu(gpu) for gpu in gpus],
        "summary": {
            "total_gpus": len(gpus),
            "free_gpus": sum(gpu.is_little_used for gpu in gpus),
            "avg_gpu_memory_percent": _rounded(memory) if gpus else 0,
            "avg_gpu_util": _rounded(util) if gpus else 0,
        },
    }
    if row.gpu_error:
        server["gpu_error"] = row.gpu_error[1]
    return server


def _gpu(gpu: Gpu) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "name": gpu.name,
        "total_mem_mb": _rounded(gpu.total_mib),
        "used_mem_mb": _rounded(gpu.used_mib),
        "memory_percent": _rounded(gpu.mem_percent),
        "gpu_util": gpu.util_percent,
        "users": gpu.users,
    }


def _bucket(bucket: FleetBucket) -> dict[str, Any]:
    return {
        "timestamp": bucket.started_at,
        "total_gpus": round(bucket.total("total_gpus")),
        "free_gpus": round(bucket.total("free_gpus")),
        "avg_gpu_util": _rounded(bucket.mean("avg_gpu_util"), 1),
        "avg_gpu_memory_percent": _rounded(bucket.mean("avg_gpu_memory_percent"), 1),
        "servers": {
            name: {
                "free_gpus": round(figures["free_gpus"]),
                "total_gpus": round(figures["total_gpus"]),
                "avg_gpu_util": _rounded(figures.get("avg_gpu_util"), 1),
            }
            for name, figures in bucket.servers.items()
        },
    }


def _stats(buckets: list[FleetBucket]) -> dict[str, float | None]:
    """Over the spans of the series; all 0 where there is none, as the original answers."""
    if not buckets:
        names = ("avg_total_gpus", "avg_free_gpus", "peak_free_gpus", "min_free_gpus", "avg_cluster_util")
        return dict.fromkeys([*names, "avg_cluster_mem", "waste_percent", "total_snapshots"], 0)
    total = [bucket.total("total_gpus") for bucket in buckets]
    free = [bucket.total("free_gpus") for bucket in buckets]
    return {
        "avg_total_gpus": round(sum(total) / len(total)),
        "avg_free_gpus": round(sum(free) / len(free), 1),
        "peak_free_gpus": round(max(free)),
        "min_free_gpus": round(min(free)),
        "avg_cluster_util": _rounded(mean([bucket.mean("avg_gpu_util") for bucket in buckets]), 1),
        "avg_cluster_mem": _rounded(mean([bucket.mean("avg_gpu_memory_percent") for bucket in buckets]), 1),
        "waste_percent": round(sum(free) / sum(total) * 100, 1),
        "total_snapshots": len(buckets),
    }
