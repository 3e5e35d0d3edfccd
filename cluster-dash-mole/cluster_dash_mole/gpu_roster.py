"""Takes the GPUs that NVML lists and those on the PCI bus, gives all that this host has: lost and vanished ones too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_dash_mole.nvml_process import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cluster_dash_mole.reading import Json

_LOST = "lost"


class _Since(NamedTuple):
    state: str
    at: float


class GpuRoster:
    """Remembers every GPU by UUID for as long as the mole runs."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._known: dict[str, dict[str, Any]] = {}
        self._states: dict[str, _Since] = {}
        self._events: list[dict[str, Json]] = []

    def complete(self, listed: Sequence[dict[str, Any]], on_pci: Sequence[str] | None) -> list[dict[str, Any]]:
        """The listed GPUs, a lost one with the name and UUID it had, then those that NVML lists no more or never did.

        Each has `id_index`, its part of the id, and `since` where its state isn't "ok".
        """
        gpus = self._name_lost(listed)
        gpus += self._find_vanished(gpus, on_pci)
        gpus += find_unlisted(gpus, on_pci)
        now = self._wall_clock()
        return [self._note_state(gpu, now) for gpu in gpus]

    def _name_lost(self, listed: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        seen = {gpu["uuid"] for gpu in listed}
        gone = [uuid for uuid in self._known if uuid not in seen]
        nameless = sum(gpu["uuid"] is None for gpu in listed)
        named: list[dict[str, Any]] = []
        for gpu in listed:
            uuid = gpu["uuid"]
            if uuid is None:
                # The one that was there last; if only one can't be told, it is the one that is gone.
                there = [uuid for uuid in gone if self._known[uuid]["index"] == gpu["index"]]
                uuid = there[-1] if there else gone[0] if len(gone) == nameless == 1 else None
            named.append({**gpu, **self._remember(uuid, gpu), "id_index": gpu["index"]})
        return named

    def _remember(self, uuid: str | None, gpu: dict[str, Any]) -> dict[str, Any]:
        """What is known of the GPU with this UUID, in place of what it can't tell now."""
        if uuid is None:
            return {}
        before = self._known.pop(uuid, {})  # the last seen shall stand last
        told = {key: gpu.get(key) for key in ("name", "pci_bus_id")}
        known = {key: before.get(key) if value is None else value for key, value in told.items()}
        self._known[uuid] = {**known, "uuid": uuid, "index": gpu["index"]}
        return self._known[uuid]

    def _find_vanished(self, gpus: Sequence[dict[str, Any]], on_pci: Sequence[str] | None) -> list[dict[str, Any]]:
        """Known GPUs whose UUID is gone. They keep their id, but not an index that is another's by now."""
        seen = {gpu["uuid"] for gpu in gpus}
        taken = {gpu["index"] for gpu in gpus}
        vanished: list[dict[str, Any]] = []
        for uuid, known in self._known.items():
            if uuid not in seen:
                index = None if known["index"] in taken else known["index"]
                where = describe_place(known["pci_bus_id"], on_pci)
                error = f"NVML no longer lists this GPU{where}"
                gone = {"id_index": known["index"], "index": index, "is_listed": False, "state": _LOST, "error": error}
                vanished.append({**known, **gone})
        return vanished

    def _note_state(self, gpu: dict[str, Any], now: float) -> dict[str, Any]:
        """With since when it is in its state; a change between there and lost is an event."""
        key = gpu["uuid"] or f"at {gpu['id_index']}"
        before = self._states.get(key)
        if before is None or before.state != gpu["state"]:
            self._states[key] = _Since(gpu["state"], now)
            if before and _LOST in (before.state, gpu["state"]):
                self._events.append(describe_change(gpu, now, before.at))
        if gpu["state"] == "ok":
            return gpu
        since = self._states[key].at
        return {**gpu, "since": since, "error": f"{gpu['error']} (since {format_time(since)})"}

    def take_events(self) -> list[dict[str, Json]]:
        """GPUs that were lost or came back since the last call."""
        events, self._events = self._events, []
        return events


def find_unlisted(gpus: Iterable[dict[str, Any]], on_pci: Sequence[str] | None) -> list[dict[str, Any]]:
    """GPUs that the PCI bus shows beyond those that are known, with their address where it is clear."""
    if on_pci is None:
        return []
    gpus = list(gpus)
    addresses = {gpu.get("pci_bus_id") for gpu in gpus}
    others = [address for address in on_pci if address not in addresses]
    elsewhere = sum(1 for gpu in gpus if gpu.get("pci_bus_id") and gpu["pci_bus_id"] not in on_pci)
    missing = len(on_pci) - (len(gpus) - elsewhere)
    places = others if len(others) == missing else [f"unlisted-{nth}" for nth in range(missing)]
    error = "the PCI bus shows this GPU, but NVML doesn't list it: see the kernel log (dmesg) for NVRM and Xid lines"
    blank = {"index": None, "uuid": None, "name": None, "state": _LOST, "error": error}
    return [{**blank, "id_index": place, "pci_bus_id": place if place in others else None} for place in places]


def may_return(gpu: dict[str, Any], on_pci: Sequence[str] | None) -> bool:
    """Whether it is lost and still there: one that the PCI bus doesn't show is gone."""
    address = gpu.get("pci_bus_id")
    return gpu["state"] == _LOST and (address is None or on_pci is None or address in on_pci)


def describe_place(address: str | None, on_pci: Sequence[str] | None) -> str:
    """Whether the bus still shows it: then it's the driver's trouble, else the hardware's."""
    if address is None or on_pci is None:
        return ""
    return ", the PCI bus still does" if address in on_pci else ", nor does the PCI bus show it"


def describe_change(gpu: dict[str, Any], now: float, before_since: float) -> dict[str, Json]:
    """The event of a GPU that is lost, or is back."""
    label = f"{gpu['name'] or 'GPU'} {gpu['uuid'] or ''}".strip()
    if gpu["state"] != _LOST:
        kind, text = "gpu_returned", f"{label} is back; it was lost since {format_time(before_since)}"
    elif not gpu.get("is_listed", True):
        kind, text = "gpu_vanished", f"{label}: {gpu['error']}"
    else:
        kind, text = "gpu_lost", f"{label} is lost: {gpu['error']}"
    event: dict[str, Json] = {"time": now, "kind": kind, "text": text, "data": {"uuid": gpu["uuid"]}}
    return event if gpu["index"] is None else {**event, "device": gpu["index"]}
