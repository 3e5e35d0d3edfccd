"""Takes a kept post as JSON, gives of it what the overview shows. Skipping the rest saves half the time."""

from __future__ import annotations

from typing import Any, TypedDict, cast

import msgspec


class Process(TypedDict, total=False):
    name: Any
    mem: Any


class Gpu(TypedDict, total=False):
    name: Any
    uuid: Any
    index: Any
    total_mem: Any
    used_mem: Any
    gpu_util: Any
    memory_util: Any
    state: Any
    error: Any
    mig: Any
    throttle_reasons: Any
    users: dict[str, dict[str, Process]] | None


Metrics = TypedDict(
    "Metrics",
    {
        "sys.gpu.power_w": Any,
        "sys.gpu.power_limit_w": Any,
        "sys.gpu.temperature_c": Any,
        "sys.net.recv_bytes_per_s": Any,
        "sys.net.sent_bytes_per_s": Any,
    },
    total=False,
)


class Mole(TypedDict, total=False):
    errors: Any


class Post(TypedDict, total=False):
    """Its values are as the schema let them in, so none is looked at again."""

    cpu: Any
    memory: Any
    disk: Any
    mole: Mole
    gpu: dict[str, Gpu]
    metrics: Metrics


_decoder = msgspec.json.Decoder(Post)


def decode_glance(document: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", _decoder.decode(document))
