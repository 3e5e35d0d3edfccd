"""Takes a post, keeps it as JSON in two parts: what the overview shows, and all else.

Decoding costs by length, and most of a post is metrics that only the host's own page shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from .events import compact

NEAR = ("hostname", "timestamp", "cpu", "memory", "disk", "gpu", "mole")
NEAR_METRICS = (
    "sys.gpu.power_w",
    "sys.gpu.power_limit_w",
    "sys.gpu.temperature_c",
    "sys.gpu.sm_active_percent",
    "sys.gpu.tensor_active_percent",
    "sys.gpu.dram_active_percent",
    "sys.net.recv_bytes_per_s",
    "sys.net.sent_bytes_per_s",
)


class Document(NamedTuple):
    near: bytes
    """What the overview shows."""
    far: bytes
    """The rest, with all metrics: those above stand twice."""

    def read(self) -> dict[str, Any]:
        """The post; decoded anew each time."""
        return orjson.loads(self.near) | orjson.loads(self.far)

    def glance(self) -> dict[str, Any]:
        """What the overview shows of it."""
        return orjson.loads(self.near)


def document_of(post: Mapping[str, Any]) -> Document:
    near = {name: post[name] for name in NEAR if name in post}
    metrics = post.get("metrics")
    if metrics:
        near["metrics"] = {name: metrics[name] for name in NEAR_METRICS if name in metrics}
    return Document(compact(near), compact({name: post[name] for name in post if name not in NEAR}))
