"""NVML's functions as another library or binding has them."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

from cluster_dash_mole.nvml_functions import Functions


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
