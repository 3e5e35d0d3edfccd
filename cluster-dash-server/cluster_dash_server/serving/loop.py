"""The event loop: waitress's, with the interest of each connection kept in the kernel (epoll).

waitress asks every connection before each wait whether it wants to read or write. With 1,000 idle ones that costs more
than the requests; here only those are asked to which something happened.
"""

from __future__ import annotations

import select
from collections import deque

from waitress.wasyncore import dispatcher, readwrite

EVENTS_AT_ONCE = 256


class Watched(dict[int, dispatcher]):
    """waitress's map of descriptors to whoever handles them; what comes in is asked for its interest."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: deque[dispatcher] = deque()
        """To be asked again. Any thread may append."""
        self.interest: dict[int, int] = {}
        """By descriptor, as the kernel has it; it forgets by itself what is closed."""

    def __setitem__(self, descriptor: int, handler: dispatcher) -> None:
        super().__setitem__(descriptor, handler)
        self.touched.append(handler)

    def __delitem__(self, descriptor: int) -> None:
        super().__delitem__(descriptor)
        self.interest.pop(descriptor, None)


class Loop:
    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._epoll = select.epoll()

    def run_once(self, timeout_s: float) -> None:
        self._update_interest()
        for descriptor, happened in self._epoll.poll(timeout_s, EVENTS_AT_ONCE):
            handler = self._watched.get(descriptor)
            if handler is not None:
                readwrite(handler, happened)
                self._watched.touched.append(handler)

    def close(self) -> None:
        self._epoll.close()

    def _update_interest(self) -> None:
        touched = self._watched.touched
        while touched:
            handler = touched.popleft()
            descriptor = handler._fileno  # pyright: ignore[reportPrivateUsage]  waitress's key
            if descriptor is not None and self._watched.get(descriptor) is handler:
                self._watch(descriptor, handler)

    def _watch(self, descriptor: int, handler: dispatcher) -> None:
        wanted = select.EPOLLIN | select.EPOLLPRI if handler.readable() else 0
        if not handler.accepting and handler.writable():
            wanted |= select.EPOLLOUT
        registered = self._watched.interest.get(descriptor)
        if registered is None:
            self._epoll.register(descriptor, wanted)
        elif wanted != registered:
            self._epoll.modify(descriptor, wanted)
        self._watched.interest[descriptor] = wanted
