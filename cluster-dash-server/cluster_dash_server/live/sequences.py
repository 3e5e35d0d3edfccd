"""Takes the numbers that moles give their posts, tells which post was here before, and which comes late."""

from __future__ import annotations

from array import array
from enum import Enum

from ..store.numbers import Number

WINDOW = 2048
"""Newest numbers of one start of a mole that are remembered: almost three hours at 5 s, in 8 KiB."""
EPOCHS = 4
"""Starts of moles that are remembered for a host."""
DELAY_CREEP = 0.01
LONGEST_COUNT = 16


class Seen(Enum):
    NEW = "the newest of its mole"
    LATE = "not seen yet, but a newer one is here"
    DUPLICATE = "seen, with the same content"
    CHANGED = "seen, with other content"


def fingerprint(document: bytes) -> int:
    """Of the content, however it came, as orjson writes it; for this process only. Never 0."""
    return hash(document) & 0xFFFFFFFF or 1


class _Epoch:
    """The newest WINDOW numbers of one start, in a ring."""

    __slots__ = ("fingerprints", "least_offset_s", "offset_at_s", "top")

    def __init__(self) -> None:
        self.top = -1
        self.fingerprints = array("I", bytes(4 * WINDOW))
        """By number modulo WINDOW; 0 = not seen."""
        self.least_offset_s: float | None = None
        self.offset_at_s = 0.0

    def look_up(self, seq: int) -> int:
        return self.fingerprints[seq % WINDOW] if self.top - WINDOW < seq <= self.top else 0

    def add(self, seq: int, content: int) -> None:
        if seq > self.top:
            for skipped in range(max(self.top + 1, seq - WINDOW + 1), seq):
                self.fingerprints[skipped % WINDOW] = 0
            self.top = seq
        if seq > self.top - WINDOW:
            self.fingerprints[seq % WINDOW] = content

    def delay_s(self, up_s: float, received_mono_s: float) -> float:
        """How much longer than the fastest of its mole this post was on its way.

        By two clocks that nobody sets. They don't run alike for ever, so the fastest is believed less with time.
        """
        offset_s = received_mono_s - up_s
        least_s = offset_s
        if self.least_offset_s is not None:
            crept_s = (received_mono_s - self.offset_at_s) * DELAY_CREEP
            least_s = min(offset_s, self.least_offset_s + crept_s)
        self.least_offset_s, self.offset_at_s = least_s, received_mono_s
        return offset_s - least_s


class Sequences:
    """One host's. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._epochs: dict[tuple[str, str], _Epoch] = {}
        """The one that was used last at the end."""
        self._newest: tuple[str, str] | None = None
        self._newest_timestamp = 0.0

    def look_up(self, number: Number, content: int, timestamp: float) -> Seen:
        key = number[:2]
        epoch = self._epochs.get(key)
        if epoch and (known := epoch.look_up(number.seq)):
            return Seen.DUPLICATE if known == content else Seen.CHANGED
        if key == self._newest and epoch:
            return Seen.NEW if number.seq > epoch.top else Seen.LATE
        return Seen.LATE if self._is_of_earlier_start(number, timestamp) else Seen.NEW

    def _is_of_earlier_start(self, number: Number, timestamp: float) -> bool:
        """By the mole's counter of starts. A disk that was set back to an older state counts again from there: that the
        post is also dated before the newest one tells it from that.
        """
        if self._newest is None or self._newest[0] != number.mole_id:
            return False
        return _starts(number.epoch) <= _starts(self._newest[1]) and timestamp <= self._newest_timestamp

    def add(self, number: Number, content: int, timestamp: float, *, is_newest: bool) -> None:
        key = number[:2]
        epoch = self._epochs.pop(key, None) or _Epoch()
        epoch.add(number.seq, content)
        if is_newest:
            self._newest, self._newest_timestamp = key, timestamp
        self._epochs[key] = epoch
        while len(self._epochs) > EPOCHS:
            del self._epochs[next(oldest for oldest in self._epochs if oldest != self._newest)]

    def delay_s(self, number: Number, up_s: float | None, received_mono_s: float) -> float:
        """See `_Epoch.delay_s`; 0 where it can't be told."""
        epoch = self._epochs.get(number[:2])
        return 0.0 if epoch is None or up_s is None else epoch.delay_s(up_s, received_mono_s)


def _starts(epoch: str) -> int:
    """-1 where the epoch has no counter."""
    count = epoch.rpartition(".")[2]
    return int(count) if count.isdecimal() and len(count) <= LONGEST_COUNT else -1
