"""Takes the folder of the outbox as an earlier start left it, gives what its files hold; a damaged one is set aside."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from cluster_dash_mole.identity import open_private
from cluster_dash_mole.segment import WAITING, Damage, Record, encode_record, parse_segment

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

SUFFIX = ".posts"
_MOST_READ_BYTES = 64 * 2**20  # a larger file is none of ours
_MOST_SET_ASIDE = 3


class Segment:
    """A file by its numbers. `runs`: epoch, first and last number of posts that follow each other."""

    def __init__(self, number: int, path: Path, touched_s: float) -> None:
        self.number = number
        self.path = path
        self.touched_s = touched_s
        self.size = 0
        self.waiting = 0
        self.first_waiting = 0
        self.runs: list[tuple[str, int, int]] = []

    def note(self, record: Record) -> None:
        """One more, at the end."""
        if record.state == WAITING:
            if not self.waiting:
                self.first_waiting = record.offset
            self.waiting += 1
        self.size = record.offset + record.size
        epoch, first, last = self.runs[-1] if self.runs else ("", 0, 0)
        if epoch == record.epoch and record.seq == last + 1:
            self.runs[-1] = (epoch, first, record.seq)
        else:
            self.runs.append((record.epoch, record.seq, record.seq))

    def may_have(self, epoch: str, first: int, last: int) -> bool:
        """Whether a number of that range is in it."""
        return any(run[0] == epoch and run[1] <= last and first <= run[2] for run in self.runs)


class Scan:
    """One look through all files. `now_s` is of the clock that nobody sets, `wall_s` of the one that dates files."""

    def __init__(self, folder: Path, now_s: float, wall_s: float) -> None:
        self._folder = folder
        self._now_s = now_s
        self._wall_s = wall_s
        self._segments: dict[int, Segment] = {}

    def read(self, gone: int) -> tuple[dict[int, Segment], int]:
        """The files by their numbers, and how many posts can't be read. The file `gone` is removed. Raises OSError."""
        for left in self._folder.glob("*.new"):
            self._adopt(left)
        lost, previous, unknown = 0, None, 0
        for number, path in self._list_files(gone):
            for found in self._read_file(number, path):
                if isinstance(found, Damage):
                    unknown += 1
                    continue
                if unknown:
                    lost += _count_between(previous, found, unknown)
                previous, unknown = found, 0
        return self._segments, lost + unknown

    def _adopt(self, left: Path) -> None:
        """What a mole was writing when it was killed; a repaired file is whole once the damaged one is set aside."""
        path = left.with_suffix(SUFFIX)
        if path.exists() or not path.stem.isdigit():
            left.unlink()
        else:
            left.replace(path)

    def _list_files(self, gone: int) -> list[tuple[int, Path]]:
        """In their order; without the one whose loss is counted already."""
        found: list[tuple[int, Path]] = []
        for path in self._folder.glob("*" + SUFFIX):
            if not (path.stem.isascii() and path.stem.isdigit()):
                continue
            if int(path.stem) == gone and path.is_file():
                path.unlink()
            else:
                found.append((int(path.stem), path))
        return sorted(found)

    def _read_file(self, number: int, path: Path) -> list[Record | Damage]:
        """What is in it, without the posts; a damaged file is set aside, and what is whole of it stays."""
        about = path.stat()
        if not path.is_file() or about.st_size > _MOST_READ_BYTES:
            set_aside(path, self._wall_s)
            return [Damage(0, is_torn=False)]
        if about.st_size == 0:  # killed before its first record was there
            path.unlink()
            return [Damage(0, is_torn=True)]
        data = path.read_bytes()
        found = [without_post(each) for each in parse_segment(data)]
        damages = [each for each in found if isinstance(each, Damage)]
        records = [each for each in found if isinstance(each, Record)]
        if any(not damage.is_torn for damage in damages):
            self._repair(path, [each for each in parse_segment(data) if isinstance(each, Record)])
        elif damages:
            os.truncate(path, damages[0].offset)
        if records:
            age_s = max(0.0, self._wall_s - about.st_mtime)
            segment = self._segments[number] = Segment(number, path, self._now_s - age_s)
            for record in records:
                segment.note(record._replace(offset=segment.size))
        return found

    def _repair(self, path: Path, records: list[Record]) -> None:
        """Set the file aside; in its place comes one with what is whole of it."""
        if not records:
            set_aside(path, self._wall_s)
            return
        new = path.with_suffix(".new")
        with open_private(new) as file:
            for record in records:
                file.write(encode_record(record.epoch, record.seq, record.packed, record.state))
        set_aside(path, self._wall_s)
        new.replace(path)


def _count_between(previous: Record | None, following: Record, damages: int) -> int:
    """Posts that stood between two, by their numbers; else one for each place that is damaged."""
    if previous is None or previous.epoch != following.epoch:
        return damages
    return max(0, following.seq - previous.seq - 1)


def set_aside(path: Path, wall_s: float) -> None:
    """For a person to look at, the last few of them."""
    aside = path.with_name(f"{path.name}.damaged-{int(wall_s)}")
    path.rename(aside)
    log.warning("%s is damaged: it is set aside as %s, and what is whole of it is used", path, aside.name)
    files = [other for other in path.parent.glob("*.damaged-*") if other.is_file()]
    files.sort(key=lambda other: int(other.name.rpartition("-")[2]) if other.name[-1].isdigit() else 0)
    for other in files[:-_MOST_SET_ASIDE]:
        other.unlink()


def without_post(found: Record | Damage) -> Record | Damage:
    """So that not all posts of a file are in memory twice."""
    return found._replace(packed=b"") if isinstance(found, Record) else found


def count_waiting(folder: Path) -> int:
    """Posts in the files of a folder that the server hasn't taken, for who only looks. Raises OSError."""
    found = (each for path in folder.glob("*" + SUFFIX) if path.is_file() for each in parse_segment(path.read_bytes()))
    return sum(isinstance(each, Record) and each.state == WAITING for each in found)
