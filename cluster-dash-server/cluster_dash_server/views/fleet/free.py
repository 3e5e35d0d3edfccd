"""Takes the fleet's rows and what somebody needs, gives where to run it, best first.

What is offered together is on one host and of one model. Of a host the GPUs that have been free the longest are taken.
Best is, in this order:

1. free for QUIET_S at least: before that it may be the pause between two jobs;
2. the fewest GPUs left over on that host, so that the large gaps stay for those who need them;
3. free for the longest.

An instance of a GPU that MIG splits is offered where one GPU is asked for: CUDA gives a process one instance at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .row import Row
from .sums import FreeGpu

QUIET_S = 600.0
MOST_GPUS = 1_000
MOST_MEM_GIB = 1_000_000.0
MIB_OF_GIB = 1024
_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z/-]{1,200}")


class Asked(NamedTuple):
    gpus: int = 1
    mem_gib: float = 0.0
    """Of each, that must be free."""
    model: str = ""
    """Part of its name, in any case."""
    tag: str = ""
    """Of the host."""


@dataclass(slots=True)
class Offer:
    host: str
    gpus: list[FreeGpu]
    left: int
    """Further GPUs that are free on the host, or instances on that GPU."""
    free_since_mono_s: float
    """Since when all of them are."""

    @property
    def cuda_visible_devices(self) -> str:
        """UUIDs, which are right whatever CUDA_DEVICE_ORDER says; indices in the order of the PCI bus where a GPU tells
        none that can be trusted in a shell.
        """
        uuids = [gpu.uuid for gpu in self.gpus if _UUID.fullmatch(gpu.uuid)]
        return ",".join(uuids if self.has_uuids else [str(gpu.index) for gpu in self.gpus])

    @property
    def has_uuids(self) -> bool:
        return all(_UUID.fullmatch(gpu.uuid) for gpu in self.gpus)


def offers(rows: Iterable[Row], asked: Asked, mono_s: float) -> list[Offer]:
    """Best first, one for each host and model."""
    found = [offer for row in rows if _has_tag(row, asked) for offer in _of_host(row, asked)]
    return sorted(
        found, key=lambda offer: (_is_restless(offer, mono_s), offer.left, offer.free_since_mono_s, offer.host)
    )


def most_on_a_host(rows: Iterable[Row], asked: Asked) -> tuple[str, int]:
    """The host with the most free GPUs that fit, of one model, and how many; ("", 0) where none does."""
    best = ("", 0)
    for row in rows:
        for group in _groups(row, asked).values() if _has_tag(row, asked) else ():
            if len(group) > best[1]:
                best = (row.name, len(group))
    return best


def _has_tag(row: Row, asked: Asked) -> bool:
    return not asked.tag or asked.tag in row.tags


def _is_restless(offer: Offer, mono_s: float) -> bool:
    return mono_s - offer.free_since_mono_s < QUIET_S


def _groups(row: Row, asked: Asked) -> dict[tuple[str, int | None], list[FreeGpu]]:
    """The free GPUs that fit, by model; the instances of each split GPU are a group."""
    groups: dict[tuple[str, int | None], list[FreeGpu]] = {}
    for gpu in row.sums.free:
        fits = gpu.mem_free_mib >= asked.mem_gib * MIB_OF_GIB and asked.model.lower() in gpu.model.lower()
        if fits and (gpu.instance is None or asked.gpus == 1):
            groups.setdefault((gpu.model, None if gpu.instance is None else gpu.index), []).append(gpu)
    return groups


def _of_host(row: Row, asked: Asked) -> Iterable[Offer]:
    whole = sum(gpu.instance is None for gpu in row.sums.free)
    for (_, split), group in _groups(row, asked).items():
        if len(group) < asked.gpus:
            continue
        taken = sorted(
            group, key=lambda gpu: (gpu.since_mono_s, gpu.mem_free_mib if split is not None else 0, gpu.index)
        )
        taken = taken[: asked.gpus]
        offer = Offer(
            row.name,
            sorted(taken, key=lambda gpu: gpu.index),
            (len(group) if split is not None else whole) - asked.gpus,
            max(gpu.since_mono_s for gpu in taken),
        )
        if split is None or offer.has_uuids:  # an instance has no other name for CUDA
            yield offer
