"""All connections: how many there are and whose, which must go. When all are taken, a newcomer takes the place of the
oldest of whoever holds the most, so that nobody can shut the others out.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .channel import Channel, Deadlines

log = logging.getLogger(__name__)

MOST_HELD_BYTES = 128 * 2**20
"""Bodies that are being received lie in memory; whoever may not post can send one, too."""


class Serving(threading.local):
    """What the thread at hand is answering."""

    channel: Channel | None = None


class Connections:
    """Of all listeners. Used by the event loop's thread, but for `serving` and `answered`."""

    def __init__(self, limit: int, deadlines: Deadlines) -> None:
        self.limit = limit
        self.open = 0
        self.answered = 0
        """Requests; counted by several threads without a lock: it tells that there is progress, not how much."""
        self.serving = Serving()
        self._deadlines = deadlines
        self._by_address: dict[str, dict[Channel, None]] = {}
        self._lock = threading.Lock()
        self._held_bytes = 0

    def opened(self, channel: Channel) -> None:
        """Closes another one, or this one, where there are too many."""
        self.open += 1
        self._by_address.setdefault(channel.addr[0], {})[channel] = None
        if self.open > self.limit:
            self._make_room(channel)

    def closed(self, channel: Channel) -> None:
        held = self._by_address.get(channel.addr[0], {})
        if channel in held:
            del held[channel]
            self.open -= 1
            if not held:
                del self._by_address[channel.addr[0]]

    def hold(self, sender: Channel, body_bytes: int) -> None:
        """More of a body that is coming in pieces. Where all of them take too much, the one that has been coming the
        longest is closed, of whoever has sent the most: nobody who announces much keeps others from sending little.
        """
        with self._lock:
            sender.held_bytes += body_bytes
            self._held_bytes += body_bytes
        while self._held_bytes > MOST_HELD_BYTES and (channel := self._longest_coming()):
            log.warning(
                "too much is being sent at once: a connection of %s is closed, which has sent %d bytes of a body",
                channel.addr[0],
                channel.held_bytes,
            )
            self._close(channel)

    def release(self, channel: Channel) -> None:
        """From any thread; a client may leave while its request is answered."""
        with self._lock:
            self._held_bytes -= channel.held_bytes
            channel.held_bytes = 0

    def close_late(self, now: float) -> None:
        """`now` by time.monotonic."""
        late = [each for held in self._by_address.values() for each in held if each.is_late(now, self._deadlines)]
        for channel in late:
            self._close(channel)
        if late:
            log.info("connections closed that were too slow or idle: %d", len(late))

    def close_idle(self) -> bool:
        """All that no answer is owed to; whether any is left. For the end."""
        for held in list(self._by_address.values()):
            for channel in [each for each in held if not each.is_busy and not each.total_outbufs_len]:
                self._close(channel)
        return self.open > 0

    def close_all(self) -> None:
        for held in list(self._by_address.values()):
            for channel in list(held):
                self._close(channel)

    def _make_room(self, newcomer: Channel) -> None:
        held = max(self._by_address.values(), key=len)
        oldest = next((each for each in held if not each.is_busy), newcomer)
        self._close(oldest)
        log.warning(
            "all %d connections are taken ([serve] max_connections): the oldest of %s, which holds %d, is closed",
            self.limit,
            oldest.addr[0],
            len(held),
        )

    def _longest_coming(self) -> Channel | None:
        coming = [[each for each in held if each.held_bytes and not each.is_busy] for held in self._by_address.values()]
        most = sorted(coming, key=lambda held: sum(each.held_bytes for each in held))[-1:]
        return min((each for held in most for each in held), key=lambda each: each.waiting_since, default=None)

    @staticmethod
    def _close(channel: Channel) -> None:
        channel.will_close = True
        channel.handle_close()
