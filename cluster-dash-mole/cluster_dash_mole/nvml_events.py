"""Takes NVML and its GPUs, gives what the driver reports by itself: XIDs, memory errors, a GPU that needs a reset.

Runs within the process that holds NVML. A driver that has no events, or a GPU that has none, gives nothing.
"""

from __future__ import annotations

import ctypes
import time

TYPE_CHECKING = False  # `typing` itself would cost this process memory
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from cluster_dash_mole.nvml_functions import Functions
    from cluster_dash_mole.nvml_gpu import Gpu

# NVML's bits of the events that tell of a fault or a new shape; clocks, power states and power sources are left out.
KINDS = {
    0x2: "ecc_double_bit",
    0x8: "xid",
    0x100: "mig_config",
    0x200: "ecc_single_bit_storm",
    0x400: "dram_retirement",
    0x800: "dram_retirement_failed",
    0x1000: "poison_nonfatal",
    0x2000: "poison_fatal",
    0x4000: "gpu_unavailable",
    0x8000: "recovery_action",
}
_ALL_KINDS = sum(KINDS)
_MOST_A_LOOK = 100  # a storm of events must not hold the answers up
_MOST_KEPT = 200


class Events:
    """The GPUs that tell events, and the events that were not given yet."""

    def __init__(self, functions: Functions, clock: Callable[[], float] = time.time) -> None:
        self._nvml = functions.nvml
        self._wait = functions.find("nvmlEventSetWait_v2")
        self._clock = clock
        self._set: Any = None
        self._index_of: dict[int | None, int] = {}
        self._kept: dict[tuple[int | None, str, int], dict[str, Any]] = {}

    def listen(self, gpus: Iterable[Gpu]) -> None:
        """Register the GPUs that are there; once, as an event set holds for as long as NVML is open."""
        if self._set is not None:
            return
        try:
            self._set = self._nvml.nvmlEventSetCreate()
        except self._nvml.NVMLError:
            return
        for gpu in gpus:
            if gpu.handle is not None:
                self._register(gpu)

    def _register(self, gpu: Gpu) -> None:
        try:
            wanted = self._nvml.nvmlDeviceGetSupportedEventTypes(gpu.handle) & _ALL_KINDS
            if wanted:
                self._nvml.nvmlDeviceRegisterEvents(gpu.handle, wanted, self._set)
        except self._nvml.NVMLError:
            return
        if wanted:
            self._index_of[_address(gpu.handle)] = gpu.index

    def look(self) -> None:
        """Fetch what has happened, without waiting."""
        for _ in range(_MOST_A_LOOK if self._index_of and self._wait else 0):
            event = self._nvml.c_nvmlEventData_t()
            if self._wait(self._set, ctypes.byref(event), 0):  # there is none, or it can't be told now
                return
            self._keep(event)

    def _keep(self, event: Any) -> None:
        """The same event many times, as in a storm, is one with a count."""
        kind, code = KINDS.get(event.eventType, "other"), int(event.eventData)
        key = (self._index_of.get(_address(event.device)), kind, code)
        known = self._kept.get(key)
        if known:
            known["count"] += 1
        elif len(self._kept) < _MOST_KEPT:
            self._kept[key] = {"time": self._clock(), "index": key[0], "kind": kind, "code": code, "count": 1}

    def take(self) -> list[dict[str, Any]]:
        """Each event once."""
        kept = list(self._kept.values())
        self._kept.clear()
        return kept


def _address(handle: Any) -> int | None:
    """A handle is a pointer of which the binding makes a new object each time."""
    return ctypes.cast(handle, ctypes.c_void_p).value
