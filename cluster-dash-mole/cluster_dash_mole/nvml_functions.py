"""Takes the binding and the table of what is read, gives NVML's functions, to be asked with a handle.

Asked at the library itself: the binding's own way around a call, and the objects it makes of a list, take as long again
as the call, and there are a hundred and more in a reading. Runs within the process that holds NVML.
"""

from __future__ import annotations

import ctypes

from cluster_dash_mole.nvml_gpm import GpmFunctions
from cluster_dash_mole.nvml_values import CALLS, FIELDS, NVLINK_ERRORS, SAMPLED

TYPE_CHECKING = False  # `typing` itself would cost this process memory
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cluster_dash_mole.nvml_values import Call, Field

_INSUFFICIENT_SIZE = 7
_KINDS = {"uint": ctypes.c_uint, "ulonglong": ctypes.c_ulonglong}
_VALUE_KINDS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # NVML's order
_PROCESS_LISTS = [  # with the type of its processes, as nvidia-smi calls it
    (
        letter,
        [(f"nvmlDeviceGet{kind}RunningProcesses_v{version}", f"c_nvmlProcessInfo_v{version}_t") for version in (3, 2)],
    )
    for kind, letter in (("Compute", "C"), ("Graphics", "G"), ("MPSCompute", "C"))
]


class Function:
    """A function that fills one structure, or one array of numbers with a pointer to each."""

    def __init__(self, pointer: Any, nvml: Any, call: Call) -> None:
        self.name, *constants = call.function
        self._pointer = pointer
        self._constants = tuple(getattr(nvml, word) for word in constants)
        self._further: tuple[int, ...] = ()
        if call.result in _KINDS:
            number = _KINDS[call.result]
            self._new: Any = number * call.count
            self._further = tuple(place * ctypes.sizeof(number) for place in range(1, call.count))
        else:
            structure = getattr(nvml, call.result)
            version = getattr(nvml, call.version) if call.version else None
            self._new = structure if version is None else lambda: structure(version)

    def ask(self, handle: Any) -> tuple[int, Any]:
        """NVML's number of the error, 0 = none, and the result: a new one, so that nothing stands in it from before."""
        result = self._new()
        if self._further:
            further = [ctypes.byref(result, offset) for offset in self._further]
            return self._pointer(handle, *self._constants, ctypes.byref(result), *further), result
        return self._pointer(handle, *self._constants, ctypes.byref(result)), result


class ListFunction:
    """A function that fills a list."""

    def __init__(self, pointer: Any, name: str, structure: Any) -> None:
        self.name = name
        self._pointer = pointer
        self._structure = structure
        self._room = structure * 8

    def ask(self, handle: Any) -> tuple[int, Any]:
        """NVML's number of the error, 0 = none, and the entries. A list without room is asked for once more."""
        error, entries = self._ask(handle)
        return self._ask(handle) if error == _INSUFFICIENT_SIZE else (error, entries)

    def _ask(self, handle: Any) -> tuple[int, Any]:
        entries = self._room()
        count = ctypes.c_uint(len(entries))
        error = self._pointer(handle, ctypes.byref(count), entries)
        if error == _INSUFFICIENT_SIZE:
            self._room = self._structure * (2 * count.value + 8)  # with room for those that come meanwhile
        return error, entries[: count.value]


class FieldsFunction:
    """The function that has many numbers, each by a number of its own; those that the binding knows of some fields."""

    name = "nvmlDeviceGetFieldValues"

    def __init__(self, pointer: Any, nvml: Any, fields: Sequence[Field]) -> None:
        self._pointer = pointer
        known = [(getattr(nvml, field.name, None), field.number) for field in fields]
        self._ids = [identifier for identifier, _ in known if identifier is not None]
        self._numbers = [number for identifier, number in known if identifier is not None]
        self._new = nvml.c_nvmlFieldValue_t * len(self._ids)

    def ask(self, handle: Any) -> tuple[int, Any]:
        """NVML's number of the error, 0 = none, and (number, its value or None) of each field that this GPU has."""
        results = self._new()
        for result, identifier in zip(results, self._ids):
            result.fieldId = identifier
        error = self._pointer(handle, len(self._ids), results)
        return error, [(number, _value_of(each)) for number, each in zip(self._numbers, results) if not each.nvmlReturn]


def _value_of(result: Any) -> float | None:
    kind: int = result.valueType
    return getattr(result.value, _VALUE_KINDS[kind], None) if kind < len(_VALUE_KINDS) else None


class Functions:
    """What the library has of the table. In each list of functions the first stands for the older ones after it."""

    def __init__(self, nvml: Any, activity: bool = True) -> None:
        self.nvml = nvml
        self.often = [(self._find_call(call), call.numbers) for call in CALLS if not call.rarely]
        self.rarely = [(self._find_call(call), call.numbers) for call in CALLS if call.rarely]
        self.sampled = [(self._find_call(call), pairs) for call, pairs in SAMPLED]
        self.fields_often = self._find_fields([field for field in FIELDS if not field.rarely])
        self.fields_rarely = self._find_fields([field for field in FIELDS if field.rarely])
        self.nvlink_errors = self._find_fields(NVLINK_ERRORS)
        self.process_lists = [(letter, self._find_lists(versions)) for letter, versions in _PROCESS_LISTS]
        self.gpm = GpmFunctions.find(self) if activity else None
        self.memory = next(versions for versions, numbers in self.often if numbers[0].name == "total")

    def _find_call(self, call: Call) -> list[Function]:
        older = self._find_call(call.older) if call.older else []
        pointer = self.find(call.function[0])
        try:
            return older if pointer is None else [Function(pointer, self.nvml, call), *older]
        except AttributeError:  # another binding, without that constant or structure
            return older

    def _find_fields(self, fields: Sequence[Field]) -> list[FieldsFunction]:
        pointer = self.find(FieldsFunction.name)
        try:
            return [] if pointer is None else [FieldsFunction(pointer, self.nvml, fields)]
        except AttributeError:
            return []

    def _find_lists(self, versions: list[tuple[str, str]]) -> list[ListFunction]:
        found = [(self.find(name), name, getattr(self.nvml, structure, None)) for name, structure in versions]
        return [ListFunction(pointer, name, entry) for pointer, name, entry in found if pointer and entry]

    def find(self, name: str) -> Any:
        """The library's function, None where it lacks it."""
        try:
            return self.nvml._nvmlGetFunctionPointer(name)
        except self.nvml.NVMLError:
            return None
