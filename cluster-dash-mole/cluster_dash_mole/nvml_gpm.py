"""Takes a GPU, gives how busy its parts were since the answer before: GPM, which Hopper and newer have.

What tells "busy" from "working": a GPU on which one kernel waits is at 100 % utilisation all the same. The GPU counts,
and the library compares two samples of the counters, so one sample an answer is enough. It needs no special rights, and
other readers, profilers too, go on beside it. Runs within the process that holds NVML.

The shares of the multiprocessors are of their clock's cycles, not of time: a second at full clock counts for more than
one of an idle GPU's.
"""

from __future__ import annotations

import ctypes

from cluster_dash_mole.nvml_values import GPM, GPM_OF_NVLINK

TYPE_CHECKING = False  # `typing` itself would cost this process memory
if TYPE_CHECKING:
    from typing import Any

    from cluster_dash_mole.nvml_functions import Functions
    from cluster_dash_mole.nvml_gpu import Device
    from cluster_dash_mole.nvml_values import Number

_LOST = 15
NAMES = (
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleAlloc",
    "nvmlGpmSampleGet",
    "nvmlGpmMetricsGet",
    "nvmlGpmSampleFree",
)


class GpmFunctions:
    """The library's functions. A sample is a pointer; errors are NVML's numbers, 0 = none."""

    def __init__(self, nvml: Any, pointers: list[Any]) -> None:
        self._query, self._alloc, self._get, self._compare, self._free = pointers
        self._nvml = nvml
        self._metrics = [(getattr(nvml, name), number) for name, number in GPM]
        self._with_nvlink = self._metrics + [(getattr(nvml, name), number) for name, number in GPM_OF_NVLINK]

    @classmethod
    def find(cls, functions: Functions) -> GpmFunctions | None:
        """None where the library or the binding is too old."""
        pointers = [functions.find(name) for name in NAMES]
        try:
            return cls(functions.nvml, pointers) if all(pointers) else None
        except AttributeError:
            return None

    def is_supported(self, handle: Any) -> bool:
        """Whether this GPU has the counters."""
        support = self._nvml.c_nvmlGpmSupport_t(self._nvml.NVML_GPM_SUPPORT_VERSION)
        return not self._query(handle, ctypes.byref(support)) and bool(support.isSupportedDevice)

    def new_sample(self) -> Any:
        """An empty one; None where there is no memory for it."""
        sample = self._nvml.c_nvmlGpmSample_t()
        return None if self._alloc(ctypes.byref(sample)) else sample

    def fill(self, handle: Any, sample: Any) -> int:
        """Put what the counters are now into the sample."""
        return self._get(handle, sample)

    def compare(self, before: Any, after: Any, has_nvlink: bool) -> list[tuple[Number, float]]:
        """What is known of the time between two samples; nothing where it can't be told."""
        wanted = self._with_nvlink if has_nvlink else self._metrics
        question = self._nvml.c_nvmlGpmMetricsGet_t(self._nvml.NVML_GPM_METRICS_GET_VERSION, len(wanted), before, after)
        for place, (identifier, _) in enumerate(wanted):
            question.metrics[place].metricId = identifier
        if self._compare(ctypes.byref(question)):
            return []
        results = [(number, question.metrics[place]) for place, (_, number) in enumerate(wanted)]
        return [(number, result.value) for number, result in results if not result.nvmlReturn]

    def free(self, sample: Any) -> None:
        """Give its memory back."""
        self._free(sample)


class Gpm:
    """Two samples of one GPU, by turns the older and the newer one."""

    def __init__(self, functions: GpmFunctions | None) -> None:
        self._functions = functions
        self._is_supported: bool | None = None
        self._before: Any = None
        self._spare: Any = None

    def read(self, device: Device, has_nvlink: bool, values: list[float | None]) -> None:
        """Put at their places what was since the last time; nothing at first, after a failure and without GPM."""
        functions = self._functions
        if functions is None or device.is_lost:
            return
        if self._is_supported is None:
            self._is_supported = functions.is_supported(device.handle)
        if self._is_supported:
            self._read(functions, device, has_nvlink, values)

    def _read(self, functions: GpmFunctions, device: Device, has_nvlink: bool, values: list[float | None]) -> None:
        after = self._spare or functions.new_sample()
        self._spare = after
        if after is None:
            return
        error = functions.fill(device.handle, after)
        if error:
            self._fail(device, error)
            return
        found = functions.compare(self._before, after, has_nvlink) if self._before else []
        if any(value != value for _, value in found):
            return  # not a number: the driver renews its counters ten times a second, and hasn't since the last sample
        self._before, self._spare = after, self._before
        for number, value in found:
            if 0 <= value <= number.most:
                values[number.place] = round(value * number.scale, 3)

    def _fail(self, device: Device, error: int) -> None:
        """What comes next isn't compared with what was before."""
        self.forget()
        if error == _LOST:
            device.note(self, "nvmlGpmSampleGet", device.nvml.NVMLError(error))

    def forget(self) -> None:
        """Free the samples and begin anew."""
        for sample in (self._before, self._spare):
            if sample and self._functions:
                self._functions.free(sample)
        self._before = self._spare = None
