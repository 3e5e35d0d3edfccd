"""mounts_child with mounts that hang and fail as a test says, by files beside the mount point.

While `<mount>.hangs` exists, its question waits; `<mount>.fails` holds the number of an error. Each question is a line
in `<mount>.asked`.
"""

from __future__ import annotations

import os
import sys
import time

from cluster_dash_mole import mounts_child


def measure(path: bytes) -> tuple[int, ...] | None:
    with open(path + b".asked", "ab") as asked:  # noqa: PTH123  bytes
        asked.write(b"x\n")
    while os.path.exists(path + b".hangs"):  # noqa: PTH110
        time.sleep(0.01)
    if os.path.exists(path + b".fails"):  # noqa: PTH110
        with open(path + b".fails", "rb") as error:  # noqa: PTH123
            raise OSError(int(error.read()), "")
    return real_measure(path)


real_measure = mounts_child.measure
mounts_child.measure = measure
if "--ends" in sys.argv:
    os._exit(1)
mounts_child.main()
