"""Takes byte strings, keeps them through a crash: `append` returns when what it was given is on disk.

Many threads append at once. The first of them writes what all have brought, and one `fdatasync` serves them all.

The journal is a folder of numbered files. `seal` begins a new one, so that the older can be read, carried into the
store and removed as a whole: a full disk gives no room for anything but removing.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .records import MAGIC, record

log = logging.getLogger(__name__)

SUFFIX = ".journal"
LOCK = "in-use"
ROOM_SHARE = 1024
"""So small a part of the journal that is free is room: else each post that just fits were the end of the trouble."""
MAX_ITEMS = 10_000
"""That are kept in memory while the store takes nothing, up to 140 MB; what is older is read from its file again."""


RESERVE_BYTES = 2**26
RESERVE_SHARE = 0.1
"""Of a disk, that the journal leaves free, the smaller of both: the store needs room to take what the journal has."""


class JournalError(Exception):
    """Nothing can be kept now; the text says why."""


class JournalInUse(Exception):
    """Another server has the folder."""


class Sealed(NamedTuple):
    """A file that grows no more."""

    number: int
    items: list[Any] | None
    """What was appended with its records, in their order; None where only the file knows."""


class _Group:
    """What is written together."""

    __slots__ = ("error", "is_written", "items", "records")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.items: list[Any] = []
        self.is_written = False
        self.error: JournalError | None = None


class Journal:
    """Opening it takes the folder for this process. Raises JournalInUse, OSError."""

    def __init__(self, folder: Path, most_bytes: int, sync: Callable[[int], None] = os.fdatasync) -> None:
        self.folder, self.most_bytes, self._sync = folder, most_bytes, sync
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_file = _take(folder)
        self._lock = threading.Lock()
        """Of `_group`."""
        self._writing = threading.Lock()
        """Of all below: one thread at a time writes."""
        self._group = _Group()
        self._sizes = {number: _path(folder, number).stat().st_size for number in _numbers(folder)}
        """Of the sealed files by number."""
        self._items: dict[int, list[Any]] = {}
        """By file, of those that this process has written; the newest only, see MAX_ITEMS."""
        self._items_count = 0
        self._number = max(self._sizes, default=0)
        self._file: int | None = None
        self._size = 0
        self._broken: str | None = None
        self._refusing: str | None = None
        """Why the newest posts were not taken."""

    def append(self, coming: Sequence[tuple[bytes, Any]]) -> None:
        """Payloads, each with an item that is given back by `seal`, to save reading the file; one sync serves them all.
        Raises JournalError: then each is there or not.
        """
        with self._lock:
            group = self._group
            group.records += [record(payload) for payload, _ in coming]
            group.items += [item for _, item in coming]
        with self._writing:
            if not group.is_written:
                with self._lock:
                    self._group = _Group()
                self._write(group)
            if group.error:
                raise group.error

    def seal(self) -> list[Sealed]:
        """All files but empty ones, oldest first; what is appended from now on is in another."""
        with self._writing:
            if self._file is not None:
                self._close()
            return [Sealed(number, self._items.get(number)) for number in sorted(self._sizes)]

    def path(self, number: int) -> Path:
        return _path(self.folder, number)

    def remove(self, number: int) -> None:
        """A sealed file, of which all is in the store."""
        with self._writing:
            self.path(number).unlink(missing_ok=True)
            self._forget(number)

    def copy_aside(self, number: int, name: str) -> Path:
        """A sealed file that is damaged stays under another name, for a person to look at, when it is removed."""
        aside = self.folder / f"{number:012}.{name}"
        with contextlib.suppress(FileExistsError):
            os.link(self.path(number), aside)
        return aside

    def move_aside(self, number: int, name: str) -> Path:
        """A sealed file that can't be read at all is no file of the journal any more. Raises OSError."""
        with self._writing:
            aside = self.path(number).rename(self.folder / f"{number:012}.{name}")
            self._forget(number)
        return aside

    def keep_aside(self, payloads: Iterable[bytes], name: str) -> Path:
        """In a file of their own, which nobody reads but a person. Raises OSError."""
        path = self.folder / name
        with path.open("ab") as file:
            file.write(b"".join(map(record, payloads)))
            file.flush()
            self._sync(file.fileno())
        return path

    def _forget(self, number: int) -> None:
        self._sizes.pop(number, None)
        self._items_count -= len(self._items.pop(number, ()))

    @property
    def waiting(self) -> int:
        """How many are to be written next, together."""
        return len(self._group.records)

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(list(self._sizes.values())) + self._size

    @property
    def trouble(self) -> str | None:
        """Why nothing is kept now."""
        return self._broken or self._refusing

    def has_room(self) -> bool:
        """Whether the next posts can be written. What was refused for want of room counts as over then."""
        try:
            self._check_room(self.most_bytes // ROOM_SHARE)
        except (JournalError, OSError):
            return False
        self._refusing = None
        return True

    def _check_room(self, size: int) -> None:
        """Raises JournalError, OSError."""
        if self.bytes + size > self.most_bytes:
            raise JournalError(f"the journal is full ({self.most_bytes >> 20} MiB, [store] journal_mib)")
        disk = os.statvfs(self.folder)
        free = disk.f_bavail * disk.f_frsize
        if free - size < min(RESERVE_BYTES, RESERVE_SHARE * disk.f_blocks * disk.f_frsize):
            raise JournalError(f"the disk is full: {free >> 20} MiB are left for {self.folder}, which the store needs")

    def close(self) -> None:
        with self._writing:
            if self._file is not None:
                self._close()
            self._broken = self._broken or "the journal is closed"
            os.close(self._lock_file)

    def _write(self, group: _Group) -> None:
        group.is_written = True
        content = b"".join(group.records)
        try:
            if self._broken:
                raise JournalError(self._broken)
            self._check_room(len(content))
            self._write_to_file(content)
        except JournalError as error:
            if not self._refusing:
                log.error("posts are refused: %s", error)
            group.error, self._refusing = error, str(error)
            return
        self._refusing = None
        self._keep_items(group.items)

    def _keep_items(self, items: list[Any]) -> None:
        self._items.setdefault(self._number, []).extend(items)
        self._items_count += len(items)
        while self._items_count > MAX_ITEMS and (oldest := min(self._items)) != self._number:
            self._items_count -= len(self._items.pop(oldest))

    def _write_to_file(self, content: bytes) -> None:
        try:
            file = self._file if self._file is not None else self._begin()
            _write_all(file, content)
        except OSError as error:
            self._give_up_tail()
            raise JournalError(f"the journal can't be written ({error.strerror})") from None
        try:
            self._sync(file)
        except OSError as error:
            # What is on disk now is unknown, and a second try would say that all is well.
            self._broken = f"the journal's disk failed ({error.strerror}): the server must be started again"
            log.critical("%s", self._broken)
            raise JournalError(self._broken) from None
        self._size += len(content)

    def _begin(self) -> int:
        path = _path(self.folder, self._number + 1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(file, MAGIC)
            _sync_folder(self.folder)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._file, self._number, self._size = file, self._number + 1, len(MAGIC)
        return file

    def _give_up_tail(self) -> None:
        """A record that had no room is cut off, so that the next one stands behind whole ones."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._sizes[self._number] = self._size
            self._file, self._size = None, 0


def _numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*" + SUFFIX) if path.stem.isdecimal() and path.is_file()]


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:012}{SUFFIX}"


def _write_all(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


def _sync_folder(folder: Path) -> None:
    """Without it a new file may be gone after a power cut, whatever was synced into it."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _take(folder: Path) -> int:
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise JournalInUse(
            f"another server keeps its history in {folder.parent}: end it, or give this one a folder of its own by "
            "[store] url (CLUSTER_DASH_STORE_URL=chdb:///another/folder, or none)"
        ) from None
    return file
