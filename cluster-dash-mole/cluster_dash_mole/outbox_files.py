"""Takes packed posts in their order, keeps them in the files of a folder, and tells which of them still wait.

What is in the files isn't in memory, but for a few numbers for each. Not safe for threads by itself.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from cluster_dash_mole.identity import make_folder
from cluster_dash_mole.outbox_scan import SUFFIX, Scan, Segment, set_aside
from cluster_dash_mole.segment import (
    REFUSED,
    TAKEN,
    WAITING,
    Record,
    encode_record,
    read_head,
    read_record,
    write_state,
)
from cluster_dash_mole.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

KEEP_TAKEN_S = 86400.0
_SEGMENT_BYTES = 4 * 2**20
_SEGMENTS = 8  # at least so many fit: the oldest goes as a whole
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Place(NamedTuple):
    """Of a record: the number of its file, and where it begins there."""

    segment: int
    offset: int


class OutboxFiles:
    """At most `most_bytes`. Room is made by removing the oldest file in which all is taken, else the oldest.

    `clock` is one that nobody sets. How old a file is that was there before is taken once from its date. Where the
    host's clock was wrong then, posts that were taken are kept too long or not long enough, and nothing else happens.
    """

    def __init__(
        self,
        folder: Path,
        most_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, most_bytes // _SEGMENTS)
        self._clock = clock
        self._wall = wall
        self._segments: dict[int, Segment] = {}
        self._active: int | None = None
        self._dropped: set[int] = set()
        self._is_open = self._is_tallied = False
        self.tally = Tally(folder / "counts.json", self._set_aside)

    @property
    def waiting(self) -> int:
        """Posts that the server hasn't taken."""
        return sum(segment.waiting for segment in list(self._segments.values()))

    def held(self, most: int) -> list[tuple[str, int, int]]:
        """Epoch, first and last number of posts that follow each other, taken ones too: the newest such runs."""
        runs: list[tuple[str, int, int]] = []
        for number in sorted(self._segments):
            for epoch, first, last in self._segments[number].runs:
                if runs and runs[-1][0] == epoch and runs[-1][2] + 1 == first:
                    first = runs.pop()[1]
                runs.append((epoch, first, last))
        return runs[-most:]

    def open(self) -> None:
        """Look through the folder, where that isn't done yet. Raises OSError."""
        if self._is_open:
            return
        self.close()
        self._segments.clear()
        if self._folder.exists() and not self._folder.is_dir():
            self._set_aside(self._folder)
        make_folder(self._folder)
        if not self._is_tallied:
            self.tally.load()
            self._is_tallied = True
        self._segments, lost = Scan(self._folder, self._clock(), self._wall()).read(self.tally.gone)
        if lost:
            self.tally.add(dropped=lost)
            log.warning("%s: %d posts of the outbox can't be read", self._folder, lost)
        self._is_open = True

    def _set_aside(self, path: Path) -> None:
        set_aside(path, self._wall())

    def append(self, epoch: str, seq: int, packed: bytes, state: bytes = WAITING) -> Place | None:
        """One more post; None = it is larger than all that may be kept. Raises OSError where it can't be written."""
        self._notice_removal()
        self.open()
        data = encode_record(epoch, seq, packed, state)
        if len(data) > self._most_bytes:
            self.tally.add(dropped=state == WAITING)
            return None
        self._make_room(len(data))
        while True:
            try:
                return self._write(data, Record(0, len(data), epoch, seq, state, b""))
            except OSError as error:
                if error.errno not in _FULL or not self._drop_oldest_taken():
                    raise

    def _write(self, data: bytes, record: Record) -> Place:
        segment, descriptor = self._open_active()
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], segment.size + written)
        except OSError:
            with contextlib.suppress(OSError):
                if segment.size:
                    os.ftruncate(descriptor, segment.size)
                else:
                    self._drop(segment.number)
            raise
        place = Place(segment.number, segment.size)
        segment.note(record._replace(offset=segment.size))
        segment.touched_s = self._clock()
        return place

    def _open_active(self) -> tuple[Segment, int]:
        """The file that is written, and its descriptor: the newest until it is large enough."""
        newest = max(self._segments, default=-1)
        segment = self._segments.get(newest)
        if segment is None or segment.size >= self._segment_bytes:
            self._close_active()
            number = max(newest, self.tally.gone) + 1
            segment = Segment(number, self._folder / f"{number:010}{SUFFIX}", self._clock())
        if self._active is None and segment.size:
            with self._opened(segment, os.O_RDWR) as descriptor:
                self._active = os.dup(descriptor)
        elif self._active is None:
            self._active = os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._segments[segment.number] = segment
        return segment, self._active

    def _close_active(self) -> None:
        if self._active is not None:
            os.close(self._active)
            self._active = None

    def _notice_removal(self) -> None:
        """Somebody may have removed the folder; what was in it is lost."""
        if self._active is not None and not os.fstat(self._active).st_nlink:
            before = self.waiting
            self.close()
            self.open()
            self.tally.add(dropped=max(0, before - self.waiting))

    def _make_room(self, needed: int) -> None:
        total = sum(segment.size for segment in self._segments.values()) + needed
        while total > self._most_bytes and self._segments:
            taken = (number for number, segment in self._segments.items() if not segment.waiting)
            total -= self._drop(min(taken, default=min(self._segments)))

    def _drop_oldest_taken(self) -> bool:
        taken = [number for number, segment in self._segments.items() if not segment.waiting]
        if taken:
            self._drop(min(taken))
        return bool(taken)

    def _drop(self, number: int) -> int:
        """Remove a file; the bytes that it had. What waited in it is lost, which is counted first."""
        segment = self._segments.pop(number)
        if number > max(self._segments, default=-1):
            self._close_active()
        if segment.waiting:
            self._dropped.add(number)
            self.tally.add(dropped=segment.waiting, gone=number)
        with contextlib.suppress(FileNotFoundError):
            segment.path.unlink()
        return segment.size

    def expire(self) -> None:
        """Remove files that hold nothing but what was taken a day ago or earlier."""
        before_s = self._clock() - KEEP_TAKEN_S
        for segment in list(self._segments.values()):
            if not segment.waiting and segment.touched_s < before_s:
                self._drop(segment.number)

    def read_waiting(
        self, most: int, most_bytes: int, is_elsewhere: Callable[[str, int], bool]
    ) -> Iterator[tuple[Place, Record]]:
        """The oldest that wait, but for those that somebody else sends; `most_bytes` packed. Raises OSError."""
        for number in sorted(self._segments):
            for place, record in self._read_segment(self._segments[number], is_elsewhere):
                yield place, record
                most -= 1
                most_bytes -= record.size
                if most <= 0 or most_bytes <= 0:
                    return

    def _read_segment(
        self, segment: Segment, is_elsewhere: Callable[[str, int], bool]
    ) -> Iterator[tuple[Place, Record]]:
        if not segment.waiting:
            return
        with self._opened(segment, os.O_RDONLY) as descriptor:
            offset, is_first = segment.first_waiting, True
            while offset < segment.size:
                head = read_head(descriptor, offset)
                record = read_record(descriptor, offset, head) if head else None
                if head is None or record is None:
                    self._is_open = False  # it has been damaged since: all is looked through again
                    raise OSError(errno.EIO, "a file of the outbox is damaged")
                if record.state == WAITING:
                    if is_first:
                        segment.first_waiting, is_first = offset, False
                    if not is_elsewhere(record.epoch, record.seq):
                        yield Place(segment.number, offset), record
                offset += head.size

    @contextlib.contextmanager
    def _opened(self, segment: Segment, flags: int) -> Generator[int]:
        try:
            descriptor = os.open(segment.path, flags)
        except FileNotFoundError:
            self._drop(segment.number)  # somebody has removed it
            raise
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def mark(self, place: Place, state: bytes) -> None:
        """A post was taken, or refused. One whose file has gone meanwhile wasn't lost after all. Raises OSError."""
        segment = self._segments.get(place.segment)
        if segment is None:
            if place.segment in self._dropped:
                self.tally.add(dropped=-1)
            return
        with self._opened(segment, os.O_RDWR) as descriptor:
            head = read_head(descriptor, place.offset)
            if head and head.state not in (TAKEN, REFUSED):
                self._set_state(segment, descriptor, place.offset, state)

    def _set_state(self, segment: Segment, descriptor: int, offset: int, state: bytes) -> None:
        write_state(descriptor, offset, state)
        if state == WAITING:
            segment.first_waiting = min(segment.first_waiting, offset) if segment.waiting else offset
            segment.waiting += 1
        else:
            segment.waiting -= 1
            segment.touched_s = self._clock()

    def mark_up_to(self, epoch: str, seq: int) -> None:
        """All of that start of the mole up to this number were taken. Raises OSError."""
        for segment in list(self._segments.values()):
            if segment.waiting and segment.may_have(epoch, 0, seq):
                self._change(segment, (epoch, 0, seq), WAITING, TAKEN, segment.waiting)

    def wait_again(self, epoch: str, first: int, last: int, most: int) -> int:
        """Those that were taken are to be sent again, at most so many; how many these are. Raises OSError."""
        changed = 0
        for number in sorted(self._segments):
            segment = self._segments[number]
            if changed < most and segment.may_have(epoch, first, last):
                changed += self._change(segment, (epoch, first, last), TAKEN, WAITING, most - changed)
        return changed

    def _change(self, segment: Segment, wanted: tuple[str, int, int], old: bytes, new: bytes, most: int) -> int:
        """Each post of the range that is in the one state gets into the other; how many these are."""
        epoch, first, last = wanted
        changed = offset = 0
        with self._opened(segment, os.O_RDWR) as descriptor:
            while offset < segment.size and changed < most:
                head = read_head(descriptor, offset)
                if head is None:
                    break
                state = head.state if head.state in (TAKEN, REFUSED) else WAITING
                if state == old and first <= head.seq <= last:
                    record = read_record(descriptor, offset, head)
                    if record and record.epoch == epoch:
                        self._set_state(segment, descriptor, offset, new)
                        changed += 1
                offset += head.size
        return changed

    def close(self) -> None:
        """Let go of the file that is written."""
        self._close_active()
        self._is_open = False
