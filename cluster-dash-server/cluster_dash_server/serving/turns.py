"""Takes requests that may take seconds, gives the threads that answer them a few of each client at a time.

So who asks a hundred questions waits for his own, and others are answered meanwhile. What a client that left has asked
is not answered at all, where that hasn't begun.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from waitress.task import ThreadedTaskDispatcher

if TYPE_CHECKING:
    from .channel import Channel


class Turns:
    """Safe for threads."""

    def __init__(self, threads: ThreadedTaskDispatcher, most: int) -> None:
        """`most`: of one client at a time."""
        self._threads, self._most = threads, most
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        """By client, what is given to the threads."""
        self._waiting: dict[str, deque[Channel]] = {}

    def add(self, channel: Channel) -> None:
        client = channel.client
        with self._lock:
            count = self._counts.get(client, 0)
            if count >= self._most:
                self._waiting.setdefault(client, deque()).append(channel)
                return
            self._counts[client] = count + 1
        self._threads.add_task(_Turn(self, channel, client))

    def ended(self, client: str) -> None:
        """The next of that client."""
        with self._lock:
            waiting = self._waiting.get(client)
            if not waiting:
                self._counts[client] -= 1
                if not self._counts[client]:
                    del self._counts[client]
                return
            channel = waiting.popleft()
            if not waiting:
                del self._waiting[client]
        self._threads.add_task(_Turn(self, channel, client))


class _Turn:
    """As waitress' threads want it."""

    def __init__(self, turns: Turns, channel: Channel, client: str) -> None:
        self._turns, self._channel, self._client = turns, channel, client

    def service(self) -> None:
        try:
            if self._channel.has_left():
                self._channel.drop()
            else:
                self._channel.service()
        finally:
            self._turns.ended(self._client)

    def cancel(self) -> None:
        self._channel.cancel()
