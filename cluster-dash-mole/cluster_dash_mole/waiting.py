"""Waits some seconds or until it is cut short, by a clock that nobody sets.

A lock's time-out goes by the wall clock under Python before 3.11 and one built for an old C library: when that is set
back by an hour meanwhile, it lasts an hour longer.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import weakref


class Wait:
    """Of one thread."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        weakref.finalize(self, _close, self._reading, self._writing).atexit = False

    def end(self) -> None:
        """Cuts this wait short, and every one to come. From any thread."""
        os.write(self._writing, b"!")

    def seconds(self, seconds: float) -> None:
        """Returns when they have passed, or once it is cut short."""
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        poll.poll(math.ceil(seconds * 1000))


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
