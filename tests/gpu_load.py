"""Puts a load on GPU 0 until it is ended: `python tests/gpu_load.py KIND`, with torch or cupy. For gpu_host.py.

It prints "ready" once the load runs. Kinds: full (matrix products), half (the same half of the time), memory (reads and
writes memory), hold (a quarter of the memory, and nothing else), fault (uses memory that isn't its own; cupy alone).
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

SIDE = 8192
NUMBERS = 2**28
AT_ONCE = 20
FAULT = 'extern "C" __global__ void stray(float* at) { at[1ull << 44] = 1.0f; }'


class Work(NamedTuple):
    """What a library can do: start a matrix product, start a pass over memory, hold a share of it, wait for the GPU."""

    multiply: Callable[[], Any]
    scale: Callable[[], Any]
    hold: Callable[[], Any]
    wait: Callable[[], Any]


def with_torch() -> Work:
    torch: Any = importlib.import_module("torch")

    def multiply() -> Callable[[], Any]:
        matrix = torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16)
        return lambda: matrix @ matrix

    def scale() -> Callable[[], Any]:
        row = torch.ones(NUMBERS, device="cuda")
        return lambda: row.mul_(1.0)

    def hold() -> Any:
        return torch.ones(torch.cuda.mem_get_info()[0] // 4, dtype=torch.uint8, device="cuda")

    torch.cuda.init()
    return Work(multiply, scale, hold, torch.cuda.synchronize)


def with_cupy() -> Work:
    cupy: Any = importlib.import_module("cupy")

    def multiply() -> Callable[[], Any]:
        matrix = cupy.random.rand(SIDE, SIDE, dtype=cupy.float32).astype(cupy.float16)
        return lambda: matrix @ matrix

    def scale() -> Callable[[], Any]:
        row = cupy.ones(NUMBERS, dtype=cupy.float32)
        return lambda: cupy.multiply(row, 1.0, out=row)

    def hold() -> Any:
        return cupy.ones(cupy.cuda.runtime.memGetInfo()[0] // 4, dtype=cupy.uint8)

    cupy.cuda.runtime.free(0)
    return Work(multiply, scale, hold, cupy.cuda.runtime.deviceSynchronize)


def find_work() -> Work:
    """Of the first library that finds a GPU."""
    told: list[str] = []
    for make in (with_torch, with_cupy):
        try:
            return make()
        except Exception as error:  # noqa: BLE001  each library fails in its own way
            told.append(f"{make.__name__[5:]}: {error}")
    sys.exit("; ".join(told))


def repeat(work: Work, start: Callable[[], Any], share: float) -> None:
    """Work that share of the time."""
    start()
    work.wait()
    print("ready", flush=True)
    while True:
        began = time.monotonic()
        for _ in range(AT_ONCE):
            start()
        work.wait()
        time.sleep((time.monotonic() - began) * (1 - share) / share)


def stray() -> None:
    """A write far beyond what it has."""
    cupy: Any = importlib.import_module("cupy")
    kernel, own = cupy.RawKernel(FAULT, "stray"), cupy.zeros(4, dtype=cupy.float32)
    print("ready", flush=True)
    kernel((1,), (1,), (own,))
    cupy.cuda.runtime.deviceSynchronize()


def main(kind: str) -> None:
    if kind == "fault":
        stray()
        return
    work = find_work()
    if kind == "hold":
        held = work.hold()
        work.wait()
        print("ready", flush=True)
        time.sleep(3600)
        del held
    elif kind == "memory":
        repeat(work, work.scale(), 1.0)
    else:
        repeat(work, work.multiply(), 0.5 if kind == "half" else 1.0)


if __name__ == "__main__":
    main(sys.argv[1])
