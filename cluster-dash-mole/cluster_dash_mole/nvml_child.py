"""Takes a line on stdin, gives a line of JSON on stdout: what NVML says of every GPU. A process of its own.

A hung driver makes its callers unkillable and a bad handle can crash the interpreter, so NVML lives here, where the
mole can lose it. Few imports: this process exists on every GPU host and its memory counts. It is started by path with
the folder of `pynvml` as its argument. It keeps NVML open between the questions, because opening takes up to seconds
and wakes a sleeping driver, and ends when stdin ends, so it never outlives its mole.

An answer is {"gpus": [...]}, or {"error": {"code": NVML's number or null, "text": ...}} and then this process ends: the
next one loads the library afresh, as it may be another by then. Memory in bytes, null where it can't be read.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys

TYPE_CHECKING = False  # `typing` itself would cost this process memory
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# Same numbers in every NVML. These three say "this GPU, driver or user doesn't have that": absent, no fault.
_ABSENT = (3, 4, 6, 13)  # not supported, no permission, not found, function not found
_LOST = 15
_FUNCTION_NOT_FOUND = 13
_BLANK = 10**18  # at and above lie the numbers that NVIDIA's tools write for "no value"


class Gpu:
    """One round's readings of one GPU: `entry` is what is sent. A failing call costs its own value only."""

    def __init__(self, nvml: Any, index: int) -> None:
        self.nvml = nvml
        self.entry: dict[str, Any] = {"index": index, "uuid": None, "name": None, "state": "ok", "error": None}

    def read(self, function: str, *args: Any) -> Any:
        """The call's result, or None; an error that isn't plain absence is kept as the GPU's state."""
        return self.read_first((function, *args))

    def read_first(self, *calls: tuple[Any, ...]) -> Any:
        """The result of the first of the calls that the library has: older drivers lack the newer functions."""
        for function, *args in calls:
            try:
                return getattr(self.nvml, function)(*args)
            except self.nvml.NVMLError as error:
                if error.value != _FUNCTION_NOT_FOUND:
                    self.note(function, error)
                    return None
        return None

    def read_text(self, function: str, handle: Any) -> str | None:
        """The binding decodes strictly and fails on a damaged text, so its undecorated function is called."""
        decorated = getattr(self.nvml, function)
        try:
            return getattr(decorated, "__wrapped__", decorated)(handle).decode("utf-8", "backslashreplace")
        except self.nvml.NVMLError as error:
            self.note(function, error)
        return None

    def note(self, function: str, error: Any) -> None:
        """Remember the first error, but let "lost" win: it explains the others."""
        if error.value in _ABSENT or self.entry["state"] == "lost":
            return
        lost = error.value == _LOST
        if lost or self.entry["error"] is None:
            self.entry["state"] = "lost" if lost else "error"
            self.entry["error"] = str(error) if lost else f"{function}: {error}"


def read_gpu(nvml: Any, index: int) -> dict[str, Any]:
    """The entry of GPU number `index`."""
    gpu = Gpu(nvml, index)
    handle = gpu.read("nvmlDeviceGetHandleByIndex", index)
    if handle is not None:  # a call without a handle crashes inside the library
        gpu.entry["uuid"] = gpu.read_text("nvmlDeviceGetUUID", handle)
        gpu.entry["name"] = gpu.read_text("nvmlDeviceGetName", handle)
        gpu.entry.update(read_values(gpu, handle))
        gpu.entry["processes"] = read_processes(gpu, handle)
    return gpu.entry


def read_values(gpu: Gpu, handle: Any) -> dict[str, int | None]:
    """Bytes, percent, degrees, milliwatts; None where the GPU doesn't tell."""
    nvml = gpu.nvml
    # Version 2 counts what the driver keeps for itself apart; the older call has it within `used`.
    memory = gpu.read_first(
        ("nvmlDeviceGetMemoryInfo", handle, nvml.nvmlMemory_v2), ("nvmlDeviceGetMemoryInfo", handle)
    )
    utilisation = gpu.read("nvmlDeviceGetUtilizationRates", handle)
    return {
        "total": number(memory, "total"),
        "used": number(memory, "used"),
        "reserved": number(memory, "reserved"),
        "gpu_util": number(utilisation, "gpu"),
        "memory_util": number(utilisation, "memory"),
        "temperature": gpu.read("nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU),
        "power_mw": gpu.read("nvmlDeviceGetPowerUsage", handle),
    }


def number(structure: Any, field: str) -> int | None:
    """The field as a plain int; None when the call failed, lacks the field or gave a blank."""
    value = getattr(structure, field, None)
    return value if value is not None and value < _BLANK else None


def read_processes(gpu: Gpu, handle: Any) -> list[tuple[int, int | None]] | None:
    """(pid, bytes or None), each pid once: a process can stand in two of NVML's lists. None = no list at all."""
    found: dict[int, int | None] = {}
    lists = 0
    for kind in ("Compute", "Graphics", "MPSCompute"):
        function = f"nvmlDeviceGet{kind}RunningProcesses_v"
        processes: Any = gpu.read_first((function + "3", handle), (function + "2", handle))
        lists += processes is not None
        for process in processes if processes is not None else ():
            known = (found.get(process.pid), number(process, "usedGpuMemory"))
            found[process.pid] = max((memory for memory in known if memory is not None), default=None)
    return sorted(found.items()) if lists else None


class Reader:
    """NVML, opened once. `known` holds the last entry with a UUID by index."""

    def __init__(self) -> None:
        self.nvml: Any = importlib.import_module("pynvml")
        if not hasattr(self.nvml, "_nvmlGetFunctionPointer"):
            raise ImportError("another package shadows the module pynvml: install nvidia-ml-py, remove pynvml")
        self.nvml.nvmlInit()
        self.known: dict[int, dict[str, Any]] = {}

    def read(self) -> dict[str, Any]:
        """All GPUs. A lost one keeps the name and UUID that it had, unless that UUID answers at another index."""
        gpus = [read_gpu(self.nvml, index) for index in range(self.nvml.nvmlDeviceGetCount())]
        seen = {gpu["uuid"] for gpu in gpus}
        for gpu in gpus:
            known = self.known.get(gpu["index"])
            if known and gpu["uuid"] is None and known["uuid"] not in seen:
                gpu.update(uuid=known["uuid"], name=known["name"])
        self.known.update({gpu["index"]: gpu for gpu in gpus if gpu["uuid"] is not None})
        return {"gpus": gpus}


def answer(reader: Reader | None) -> tuple[Reader | None, dict[str, Any]]:
    """(reader, the answer); the reader is None after a failure that isn't one GPU's."""
    try:
        reader = reader or Reader()
        return reader, reader.read()
    except Exception as error:  # noqa: BLE001  whatever it is, the mole must hear of it
        code = getattr(error, "value", None)
        text = str(error) if code is not None else f"{type(error).__name__}: {error}"
        return None, {"error": {"code": code, "text": text}}


def answer_all(questions: Iterable[str], answers: int) -> None:
    """One answer a question, until they end or an answer is a failure."""
    reader = None
    for _ in questions:
        reader, line = answer(reader)
        os.write(answers, json.dumps(line).encode() + b"\n")
        if reader is None:
            return
    if reader is not None:
        reader.nvml.nvmlShutdown()


def main() -> None:
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the mole ends this process
    sys.path.append(sys.argv[1])
    # The answers get a descriptor of their own, so that nothing the library prints gets between them.
    answers = os.dup(1)
    os.dup2(2, 1)
    answer_all(sys.stdin, answers)


if __name__ == "__main__":
    main()
