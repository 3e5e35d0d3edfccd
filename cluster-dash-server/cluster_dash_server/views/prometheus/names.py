"""Takes the name of a series as moles report it, gives Prometheus' name, labels and unit for it.

No list of metrics: whatever a mole reports is there, by the ending of its name. What was sent can't break the format:
names keep letters, digits and _ only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

from ...points import NO_DEVICE, SeriesKey

PREFIX = "cluster_dash_"
SERVER = PREFIX + "server_"
"""Of the server itself: no reported metric may begin so."""
UNITS = (
    ("_bytes_per_s", "_bytes_per_second", 1, 1),
    ("_per_s", "_per_second", 1, 1),
    ("_percent", "_ratio", 1, 100),
    ("_count", "_number", 1, 1),  # with its ending Prometheus takes it for a part of a histogram
    ("_mhz", "_hertz", 1_000_000, 1),
    ("_ms", "_seconds", 1, 1000),
    ("_us", "_seconds", 1, 1_000_000),
    ("_s", "_seconds", 1, 1),
    ("_c", "_celsius", 1, 1),
    ("_w", "_watts", 1, 1),
    ("_j", "_joules", 1, 1),
)
"""How a name ends, how Prometheus' does, and what a value is multiplied with and divided by."""
DEVICES = (("sys.gpu.", "gpu"), ("sys.cpu.", "cpu"))
"""What a device's number is called; else `device`."""
OURS = {"host", "gpu", "cpu", "device"}


class Family(NamedTuple):
    name: str
    about: str
    times: int
    per: int


def family_of(metric: str, unit: str) -> Family:
    """Two metrics may have one name."""
    name = re.sub(r"[^a-zA-Z0-9]+", "_", metric.removeprefix("sys."))
    times = per = 1
    for ending, theirs, multiplied, divided in UNITS:
        if name.endswith(ending):
            name, times, per = name.removesuffix(ending) + theirs, multiplied, divided
            break
    about = f"{metric} ({unit}) of each host's latest post" if unit else f"{metric} of each host's latest post"
    return Family(PREFIX + name, about, times, per)


def labels_of(key: SeriesKey) -> dict[str, str]:
    """All but the host."""
    labels: dict[str, str] = {}
    if key.device != NO_DEVICE:
        labels[next((label for start, label in DEVICES if key.metric.startswith(start)), "device")] = str(key.device)
    if key.tags_json:
        for tag, value in orjson.loads(key.tags_json).items():
            labels.setdefault(_label(tag), str(value))
    return labels


def _label(tag: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_]", "_", tag)
    return name if re.match(r"[a-zA-Z]", name) and name not in OURS else f"tag_{name}"
