"""Takes a host's history by the minute, gives the last hour as 60 whole percents: what its sparkline shows."""

from __future__ import annotations

from typing import Literal

from ...live.hosts import Host, Hosts
from ...live.minutes import headline_of

MINUTES = 60
GPU, CPU = "sys.gpu.mean_util_percent", "sys.cpu_percent"
SparkOf = Literal["gpu", "cpu"]


def spark(hosts: Hosts, host: Host, of: SparkOf, mono_s: float) -> list[int | None]:
    """Oldest first, None where nothing is known. The last is the minute of `mono_s`."""
    metric = GPU if of == "gpu" else CPU
    first = int(mono_s // 60) - MINUTES + 1
    found: list[int | None] = [None] * MINUTES
    for segment in reversed(hosts.minutes(host)):
        times = segment.time[: segment.rows]
        if not times or times[-1] // 60 < first:
            break
        own, places = headline_of(segment.layout)
        at = next((place for key, place in zip(own.series, places, strict=True) if key.metric == metric), None)
        if at is None:
            continue
        for time, value in zip(reversed(times), reversed(segment.column(at)), strict=True):
            minute = int(time // 60) - first
            if minute < 0:
                break
            if value == value and minute < MINUTES:
                found[minute] = round(value)
    return found
