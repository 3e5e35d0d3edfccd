"""NVML's functions as another library or binding has them."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pynvml

from cluster_dash_mole.nvml_functions import Functions
from cluster_dash_mole.nvml_gpm import NAMES as GPM_FUNCTIONS
from cluster_dash_mole.nvml_values import GPM, GPM_OF_NVLINK


class LacksFunctionError(Exception):
    pass


def succeed(*_: Any) -> int:
    return 0


def functions_of(names: set[str], **binding: Any) -> Functions:
    def find(name: str) -> Any:
        if name not in names:
            raise LacksFunctionError
        return succeed

    return Functions(SimpleNamespace(_nvmlGetFunctionPointer=find, NVMLError=LacksFunctionError, **binding))


def names_of(functions: Functions) -> set[str]:
    rows = [versions for versions, _ in (*functions.often, *functions.rarely, *functions.sampled)]
    lists = [versions for _, versions in functions.process_lists]
    return {function.name for versions in (*rows, *lists) for function in versions}


def test_what_the_library_lacks_is_not_there() -> None:
    assert names_of(functions_of(set())) == set()
    assert names_of(functions_of({"nvmlDeviceGetFanSpeed"})) == {"nvmlDeviceGetFanSpeed"}


def test_what_the_binding_lacks_costs_its_own_values_only() -> None:
    lists = [f"nvmlDeviceGetComputeRunningProcesses_v{version}" for version in (2, 3)]
    asked = {"nvmlDeviceGetTemperature", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo", *lists}
    functions = functions_of(asked, c_nvmlMemory_t=ctypes.c_uint, c_nvmlProcessInfo_v2_t=ctypes.c_uint)
    assert names_of(functions) == {"nvmlDeviceGetMemoryInfo", lists[0]}


def test_fields_that_the_binding_lacks_are_not_asked_for() -> None:
    binding = {"c_nvmlFieldValue_t": pynvml.c_nvmlFieldValue_t, "NVML_FI_DEV_MEMORY_TEMP": 82}
    functions = functions_of({"nvmlDeviceGetFieldValues"}, **binding)
    asked = [fields.ask(None) for fields in (*functions.fields_often, *functions.fields_rarely)]
    assert [(error, [number.name for number, _ in found]) for error, found in asked] == [
        (0, ["sys.gpu.mem_temperature_c"]),
        (0, []),
    ]


def test_without_the_bindings_part_of_gpm_there_is_none() -> None:
    assert functions_of({*GPM_FUNCTIONS}).gpm is None
    names = {name: place for place, (name, _) in enumerate((*GPM, *GPM_OF_NVLINK))}
    assert functions_of({*GPM_FUNCTIONS}, **names).gpm is not None
    assert functions_of({*GPM_FUNCTIONS[1:]}, **names).gpm is None
