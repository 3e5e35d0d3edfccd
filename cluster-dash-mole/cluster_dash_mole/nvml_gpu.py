"""Takes NVML and an index, gives what NVML says of that GPU. A failing call costs its own value only.

Runs within the process that holds NVML. Memory in bytes; what can't be read is absent.
"""

from __future__ import annotations

from cluster_dash_mole.nvml_gpm import Gpm
from cluster_dash_mole.nvml_samples import Samples
from cluster_dash_mole.nvml_values import BLANK, NO_VALUE, NUMBERS, NVLINK_ACTIVE, PLACES

TYPE_CHECKING = False  # `typing` itself would cost this process memory
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cluster_dash_mole.nvml_functions import FieldsFunction, Function, Functions, ListFunction
    from cluster_dash_mole.nvml_values import Number

    Processes = dict[int, "tuple[int | None, str]"]  # bytes, and C, G or C+G, by pid

# The same numbers in every NVML. The first say "this GPU, library or user doesn't have that" for as long as NVML is
# open (invalid argument, not supported, function not found, version, deprecated), the others for now (no permission,
# not found, no data, not ready): absent, no fault.
_NEVER = (2, 3, 13, 22, 25, 26)
_NOT_NOW = (4, 6, 21, 27)
_FUNCTION_NOT_FOUND = 13
_LOST = 15
_NO_HANDLE_BUT_THERE = (4, 8, 11)  # no permission, no power cable, no interrupts; any other failure means a lost GPU
_HANDLE = "nvmlDeviceGetHandleByIndex"
_MIG_MODE = PLACES["sys.gpu.mig_mode"]
_NOTHING: list[float | None] = [None] * len(NUMBERS)


class Device:
    """A handle and what is known of it: which calls it doesn't support and which of them failed last."""

    def __init__(self, functions: Functions, handle: Any = None) -> None:
        self.functions = functions
        self.nvml = functions.nvml
        self.handle = handle
        self.is_lost = False
        self.troubles: dict[Any, str] = {}
        self._absent: dict[Any, int] = {}

    def ask(self, versions: Sequence[Function] | Sequence[ListFunction] | Sequence[FieldsFunction]) -> Any:
        """The result of the first of these that the library has; None = there is none."""
        for function in versions:
            absent = self._absent.get(function) if self._absent else None
            if absent == _FUNCTION_NOT_FOUND:
                continue
            if absent or self.is_lost:
                return None
            error, result = function.ask(self.handle)
            if not error:
                if self.troubles:
                    self.troubles.pop(function, None)
                return result
            self.note(function, function.name, self.nvml.NVMLError(error))
            if error != _FUNCTION_NOT_FOUND:
                return None
        return None

    def call(self, function: str, *arguments: Any) -> Any:
        """The same by a function of the binding, for what has a form of its own."""
        call = (function, *arguments)
        if self.is_lost or call in self._absent:
            return None
        try:
            result = getattr(self.nvml, function)(self.handle, *arguments)
        except self.nvml.NVMLError as error:
            self.note(call, function, error)
            return None
        self.troubles.pop(call, None)
        return result

    def call_text(self, function: str) -> str | None:
        """The binding decodes strictly and fails on a damaged text, so its undecorated function is called."""
        decorated = getattr(self.nvml, function)
        try:
            text = getattr(decorated, "__wrapped__", decorated)(self.handle)
        except self.nvml.NVMLError as error:
            self.note(function, function, error)
            return None
        self.troubles.pop(function, None)
        return text.decode("utf-8", "backslashreplace")

    def note(self, call: Any, name: str, error: Any) -> None:
        """Remember what failed. "Lost" explains all else and ends the questions to this GPU for this round."""
        if error.value == _LOST:
            self.is_lost = True
            self.troubles = {call: str(error)}
        elif error.value in _NEVER:
            self._absent[call] = error.value
        elif error.value not in _NOT_NOW:
            self.troubles[call] = f"{name}: {error}"

    def forget(self) -> None:
        """Ask again for what wasn't supported."""
        self._absent.clear()


class Gpu(Device):
    """The GPU at an index. Another GPU that moves there is another object."""

    def __init__(self, functions: Functions, index: int) -> None:
        super().__init__(functions)
        self.index = index
        self.uuid: str | None = None
        self.texts: dict[str, str | None] = {}
        self.samples = Samples(self)
        self._gpm = Gpm(functions.gpm)
        self._rare = _NOTHING
        self._mig: dict[int, Device] = {}

    def find(self) -> bool:
        """Get the handle anew; whether there is one. An old handle of a GPU that was reset may crash the library."""
        try:
            self.handle = self.nvml.nvmlDeviceGetHandleByIndex(self.index)
        except self.nvml.NVMLError as error:
            self.handle, self.uuid = None, None
            self.is_lost = error.value not in _NO_HANDLE_BUT_THERE
            self.troubles = {_HANDLE: str(error) if error.value == _LOST else f"{_HANDLE}: {error}"}
            return False
        self.uuid = self.call_text("nvmlDeviceGetUUID")
        return not self.is_lost

    def read(self, thorough: bool, has_fresh_sample: bool) -> dict[str, Any]:
        """The GPU's entry, after `find`; the rarely changing numbers are of the last thorough round."""
        if thorough or not self.texts:
            self.texts = read_texts(self)
            self._read_rarely()
        numbers = self._rare.copy()
        self.samples.take(has_fresh_sample, numbers)
        self._read_calls(self.functions.often, numbers)
        read_fields(self, self.functions.fields_often, numbers)
        processes = read_processes(self)
        if numbers[_MIG_MODE]:
            mig = self._read_mig(processes)
            self._gpm.forget()  # the counters of a split GPU are its instances' own
        else:
            mig = None
            self._gpm.read(self, numbers[NVLINK_ACTIVE.place] is not None, numbers)
        entry = {**self.describe(), **self.texts}
        if self.is_lost:
            return entry
        listed = None if processes is None else [(pid, *processes[pid]) for pid in sorted(processes)]
        return {**entry, "numbers": numbers, "processes": listed, "mig": mig}

    def close(self) -> None:
        """Free what the library keeps for it."""
        self._gpm.forget()

    def describe(self) -> dict[str, Any]:
        """What can be said of any GPU, a lost one too."""
        state = "lost" if self.is_lost else "error" if self.troubles else "ok"
        error = next(iter(self.troubles.values()), None)
        return {"index": self.index, "uuid": self.uuid, "name": None, "state": state, "error": error}

    def _read_calls(self, table: list[tuple[list[Function], tuple[Number, ...]]], values: list[float | None]) -> None:
        for versions, numbers in table:
            result = self.ask(versions)
            if result is not None:
                pick_numbers(result, numbers, values)

    def _read_rarely(self) -> None:
        before, self._rare = self._rare[_MIG_MODE], _NOTHING.copy()
        self._read_calls(self.functions.rarely, self._rare)
        read_fields(self, self.functions.fields_rarely, self._rare)
        read_nvlink(self, self._rare)
        if before not in (None, self._rare[_MIG_MODE]):
            self.forget()  # a GPU with MIG supports other calls than one without

    def _read_mig(self, processes: Processes | None) -> list[dict[str, Any]]:
        """The MIG instances; their processes are added to the GPU's, whose own list may lack them or their memory."""
        instances: list[dict[str, Any]] = []
        for place in range(self.call("nvmlDeviceGetMaxMigDeviceCount") or 0):
            handle = self.call("nvmlDeviceGetMigDeviceHandleByIndex", place)
            if handle is None:
                continue
            device = self._mig.setdefault(place, Device(self.functions))
            device.handle = handle
            instance, own = read_instance(device)
            instances.append(instance)
            if device.is_lost:
                self.is_lost, self.troubles = True, device.troubles
            if processes is not None:
                for pid, (memory, letter) in own.items():
                    merge(processes, pid, memory, letter)
        return instances


def pick_numbers(result: Any, numbers: tuple[Number, ...], values: list[float | None]) -> None:
    """Put the result's numbers at their places, in the units of the table; a blank is left out."""
    for number in numbers:
        where = number.pick
        value = result[where] if isinstance(where, int) else getattr(result, where, None)
        if value is not None and value <= number.most and value != NO_VALUE:
            values[number.place] = value if number.scale == 1 else value * number.scale


def read_texts(device: Device) -> dict[str, str | None]:
    """What names the GPU beside its UUID."""
    pci = device.call("nvmlDeviceGetPciInfo_v3")
    return {
        "name": device.call_text("nvmlDeviceGetName"),
        "vbios_version": device.call_text("nvmlDeviceGetVbiosVersion"),
        "pci_bus_id": None if pci is None else f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0",  # as in /sys
    }


def read_nvlink(device: Device, values: list[float | None]) -> None:
    """Put at their places how many links are up, and their errors; nothing for a GPU without."""
    states: list[int] = []
    for link in range(device.nvml.NVML_NVLINK_MAX_LINKS):
        state = device.call("nvmlDeviceGetNvLinkState", link)
        if state is None:
            break
        states.append(state)
    if not states:
        return
    values[NVLINK_ACTIVE.place] = sum(states)
    read_fields(device, device.functions.nvlink_errors, values)


def read_fields(device: Device, function: Sequence[FieldsFunction], values: list[float | None]) -> None:
    """Put at their places those of the fields that this GPU has."""
    for number, value in device.ask(function) or ():
        pick_numbers((value,), (number,), values)


def read_processes(device: Device) -> Processes | None:
    """Bytes or None, and C, G or C+G by pid: a process can stand in two of NVML's lists. None = no list at all."""
    found: Processes = {}
    lists = 0
    for letter, versions in device.functions.process_lists:
        processes = device.ask(versions)
        if processes is None:
            continue
        lists += 1
        for process in processes:
            memory = process.usedGpuMemory
            merge(found, process.pid, memory if memory < BLANK else None, letter)
    return found if lists else None


def merge(found: Processes, pid: int, memory: int | None, letter: str) -> None:
    """Put the process among those found, with the larger of its sizes, and the types of all lists that it stands in."""
    known, letters = found.get(pid, (None, letter))
    size = memory if known is None else known if memory is None else max(known, memory)
    found[pid] = size, letter if letter == letters else "C+G"


def read_instance(device: Device) -> tuple[dict[str, Any], Processes]:
    """A MIG instance and its processes."""
    memory = device.ask(device.functions.memory)
    processes = read_processes(device) or {}
    entry = {
        "uuid": device.call_text("nvmlDeviceGetUUID"),
        "name": device.call_text("nvmlDeviceGetName"),
        "total": getattr(memory, "total", None),
        "used": getattr(memory, "used", None),
        "pids": sorted(processes),
    }
    return entry, processes
