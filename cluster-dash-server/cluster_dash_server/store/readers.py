"""Takes questions of many threads, gives each a client of ClickHouse for as long as it asks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator

from . import StoreAway, StoreBusy
from .target import Client

MOST = 4
"""Questions at a time."""
CLOSE_WITHIN_S = 5.0


class Readers:
    def __init__(self, connect: Callable[[], Client], wait_s: float) -> None:
        self._connect, self._wait_s = connect, wait_s
        self._places = threading.BoundedSemaphore(MOST)
        self._free: list[Client] = []
        self._is_closed = False

    @contextlib.contextmanager
    def one(self) -> Generator[Client]:
        """One that failed isn't used again. Raises StoreBusy, StoreAway, and what connecting raises."""
        if not self._places.acquire(timeout=self._wait_s):
            raise StoreBusy(f"{MOST} other questions take the store for longer than {self._wait_s:.0f} s")
        try:
            if self._is_closed:
                raise StoreAway("the store is closed")
            client = self._free.pop() if self._free else self._connect()
            try:
                yield client
            except BaseException:
                with contextlib.suppress(Exception):
                    client.close()
                raise
            self._free.append(client)
        finally:
            self._places.release()

    def close(self) -> None:
        """Those in use are given time to end their question; the engine must not go while they ask it."""
        self._is_closed = True
        taken = [self._places.acquire(timeout=CLOSE_WITHIN_S / MOST) for _ in range(MOST)]
        while self._free:
            self._free.pop().close()
        for _ in filter(None, taken):
            self._places.release()
