"""Waits some seconds or until it is cut short, by a clock that nobody sets.

A lock's time-out goes by the wall clock where Python is built for a C library before glibc 2.30, as uv's are: when that
is set back by an hour meanwhile, it lasts an hour longer.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import weakref


class Wait:
    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        weakref.finalize(self, _close, self._reading, self._writing).atexit = False

    def end(self) -> None:
        """Cuts this wait short, and every one to come. From any thread."""
        os.write(self._writing, b"!")

    def seconds(self, seconds: float) -> bool:
        """Whether it was cut short."""
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        return bool(poll.poll(math.ceil(seconds * 1000)))


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
