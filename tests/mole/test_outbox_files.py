"""What waits on the disk: its order, its bounds, and files that others have damaged."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster_dash_mole.outbox_files import KEEP_TAKEN_S, OutboxFiles, Place
from cluster_dash_mole.outbox_scan import count_waiting
from cluster_dash_mole.segment import REFUSED, TAKEN
from mole.peers import ManualClock

MIB = 2**20
EPOCH = "boot.1"
POST = os.urandom(1000)


def nobody(epoch: str, seq: int) -> bool:
    """Sends any post elsewhere."""
    return False


class Box:
    """The files of a folder, opened as often as a mole starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.wall_s = 1_795_300_000.0
        self.files = self.start()

    def start(self, most_bytes: int = MIB) -> OutboxFiles:
        self.files = OutboxFiles(self.folder, most_bytes, self.clock, lambda: self.wall_s)
        self.files.open()
        return self.files

    def restart(self, most_bytes: int = MIB) -> OutboxFiles:
        self.files.close()
        return self.start(most_bytes)

    def add(self, *seqs: int, epoch: str = EPOCH) -> list[Place]:
        places = [self.files.append(epoch, seq, POST) for seq in seqs]
        return [place for place in places if place]

    def waiting(self) -> list[int]:
        found = self.files.read_waiting(10**6, 10**9, nobody)
        return [record.seq for _, record in found]

    def paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.posts"))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "outbox")


def test_posts_wait_in_their_order_over_a_restart(box: Box) -> None:
    box.add(*range(1, 301))
    assert box.waiting() == list(range(1, 301))
    box.restart()
    box.add(1, 2, epoch="boot.2")
    assert box.waiting() == [*range(1, 301), 1, 2]
    assert box.files.waiting == count_waiting(box.folder) == 302
    assert len(box.paths()) > 1


def test_what_was_taken_or_refused_waits_no_more_also_after_a_restart(box: Box) -> None:
    places = box.add(*range(1, 11))
    box.files.mark(places[3], TAKEN)
    box.files.mark(places[3], TAKEN)
    box.files.mark(places[5], REFUSED)
    for files in (box.files, box.restart()):
        assert files.waiting == 8
        assert box.waiting() == [1, 2, 3, 5, 7, 8, 9, 10]


def test_an_acknowledgement_covers_its_own_start_alone(box: Box) -> None:
    box.add(*range(1, 6))
    box.add(*range(1, 6), epoch="boot.2")
    box.files.mark_up_to("boot.2", 3)
    assert box.waiting() == [1, 2, 3, 4, 5, 4, 5]
    box.files.mark_up_to("boot.3", 10**30)
    assert box.files.waiting == 7


def test_what_is_needed_waits_again_but_for_what_was_refused(box: Box) -> None:
    places = box.add(*range(1, 11))
    for place in places:
        box.files.mark(place, TAKEN)
    box.add(11)
    box.files.mark(places[4], REFUSED) if box.files.wait_again(EPOCH, 5, 5, 1) else None
    assert box.files.wait_again(EPOCH, 3, 8, 4) == 4
    assert box.waiting() == [3, 4, 6, 7, 11]
    assert box.files.wait_again("boot.9", 1, 5, 100) == 0
    assert box.restart().waiting == 5


def test_what_is_held_is_told_as_runs_of_numbers_taken_or_not(box: Box) -> None:
    for place in box.add(*range(1, 400)):
        box.files.mark(place, TAKEN)
    box.add(7, 8, epoch="boot.2")
    box.add(10, epoch="boot.2")
    assert box.files.held(9) == [(EPOCH, 1, 399), ("boot.2", 7, 8), ("boot.2", 10, 10)]
    assert box.restart().held(2) == [("boot.2", 7, 8), ("boot.2", 10, 10)]
    box.add(*range(400, 2000))
    [(epoch, first, last)] = box.files.held(1)
    assert (epoch, last) == (EPOCH, 1999)
    assert 400 < first < 1999, "what was dropped is not held"


def test_the_oldest_goes_first_when_it_is_full_and_is_counted_to_the_post(box: Box) -> None:
    box.add(*range(1, 5001))
    waiting = box.waiting()
    assert waiting == list(range(waiting[0], 5001))
    assert box.files.tally.dropped == 5000 - len(waiting)
    assert sum(path.stat().st_size for path in box.paths()) <= MIB
    assert len(waiting) > 700
    assert box.restart().tally.dropped == 5000 - len(waiting)


def test_what_was_taken_makes_room_before_what_was_not(box: Box) -> None:
    places = box.add(*range(1, 801))
    for place in places[400:]:
        box.files.mark(place, TAKEN)
    box.add(*range(801, 1100))
    assert box.waiting() == [*range(1, 401), *range(801, 1100)]
    assert box.files.tally.dropped == 0


def test_a_loss_is_counted_once_by_a_mole_that_was_killed_before_it_removed_the_file(box: Box) -> None:
    box.add(*range(1, 301))
    first = box.paths()[0]
    kept = first.read_bytes()
    lost = box.files._segments[0].waiting  # pyright: ignore[reportPrivateUsage]
    box.files._drop(0)  # pyright: ignore[reportPrivateUsage]
    first.write_bytes(kept)
    files = box.restart()
    assert (files.tally.dropped, files.waiting) == (lost, 300 - lost)
    assert not first.exists()


def test_a_post_that_arrived_after_all_is_not_lost(box: Box) -> None:
    [place, *_] = box.add(*range(1, 5001))
    dropped = box.files.tally.dropped
    box.files.mark(place, TAKEN)
    assert box.files.tally.dropped == dropped - 1


def test_a_post_that_is_larger_than_all_of_it_is_lost_and_blocks_nothing(box: Box) -> None:
    assert box.files.append(EPOCH, 1, bytes(MIB)) is None
    box.add(2)
    assert box.waiting() == [2]
    assert box.files.tally.dropped == 1


def test_what_was_taken_stays_a_day_and_what_waits_stays(box: Box) -> None:
    for place in box.add(*range(1, 201)):
        box.files.mark(place, TAKEN)
    box.clock.now += KEEP_TAKEN_S - 1
    box.add(*range(201, 401))
    box.files.expire()
    assert box.files.wait_again(EPOCH, 1, 1, 1) == 1
    [(place, _)] = box.files.read_waiting(1, MIB, nobody)
    box.files.mark(place, TAKEN)
    box.clock.now += KEEP_TAKEN_S - 1
    box.files.expire()
    assert box.files.wait_again(EPOCH, 1, 1, 1) == 1, "a day counts from when it was taken"
    box.clock.now += 10 * KEEP_TAKEN_S
    box.files.expire()
    assert box.waiting() == [1, *range(201, 401)]


@pytest.mark.parametrize(
    ("wall_step_s", "stays"), [(-10 * 365 * 86400.0, True), (0, True), (10 * 365 * 86400.0, False)]
)
def test_after_a_restart_the_age_comes_from_the_files_date_once(box: Box, wall_step_s: float, stays: bool) -> None:
    for place in box.add(*range(1, 201)):
        box.files.mark(place, TAKEN)
    box.add(201)
    for path in box.paths():
        os.utime(path, (box.wall_s, box.wall_s))
    box.wall_s += wall_step_s
    box.restart()
    box.files.expire()
    assert (box.files.wait_again(EPOCH, 1, 1, 1) == 1) is stays
    assert box.waiting()[-1] == 201


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:5000] + bytes(4096) + data[9096:])


def zero_all(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(9000, 9064):
        data[at] ^= 0xFF
    path.write_bytes(data)


def text(path: Path) -> None:
    path.write_text("this is no file of posts\n" * 5000)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [truncate, empty, zero, zero_all, flip, text, folder]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_damaged_file_is_set_aside_and_the_rest_used(box: Box, damage: Callable[[Path], None], which: int) -> None:
    places = box.add(*range(1, 401))
    victim = box.paths()[which]
    inside = {seq for seq, place in zip(range(1, 401), places) if place.segment == int(victim.stem)}
    box.files.close()
    damage(victim)
    box.start()
    waiting = box.waiting()
    lost = set(range(1, 401)) - set(waiting)
    assert waiting == sorted(waiting)
    assert lost <= inside
    assert lost
    # Without a post before or behind nobody knows how many there were.
    dropped = len(lost) if {1, 400}.isdisjoint(lost) else 1
    assert box.files.tally.dropped == dropped
    if damage not in (truncate, empty):  # which can't be told from a mole that was killed
        [aside] = box.folder.glob(f"{victim.name}.damaged-{int(box.wall_s)}")
        assert aside.is_dir() == (damage is folder)
    box.add(401)
    assert box.waiting() == [*waiting, 401]
    assert box.restart().tally.dropped == dropped
    assert box.waiting() == [*waiting, 401]


def test_damage_while_it_runs_is_found_on_reading(box: Box) -> None:
    box.add(*range(1, 401))
    flip(box.paths()[0])
    with pytest.raises(OSError, match="damaged"):
        box.waiting()
    box.files.open()
    waiting = box.waiting()
    assert 0 < box.files.tally.dropped == 400 - len(waiting) < 5
    assert list(box.folder.glob("*.damaged-*"))


def test_the_last_few_damaged_files_are_kept(box: Box) -> None:
    for round_ in range(6):
        box.add(round_)
        box.files.close()
        text(box.paths()[0])
        box.wall_s += 1
        box.start()
    assert len(list(box.folder.glob("*.damaged-*"))) == 3


def test_a_torn_end_is_cut_and_counted(box: Box) -> None:
    box.add(1, 2, 3)
    [path] = box.paths()
    box.files.close()
    os.truncate(path, path.stat().st_size - 1)
    box.start()
    box.add(1, epoch="boot.2")
    assert box.waiting() == [1, 2, 1]
    assert box.files.tally.dropped == 1
    assert not list(box.folder.glob("*.damaged-*"))
    assert box.restart().tally.dropped == 1


def test_a_folder_that_somebody_removes_comes_again(box: Box) -> None:
    box.add(1, 2, 3)
    for path in box.folder.iterdir():
        path.unlink()
    box.folder.rmdir()
    box.add(4)
    assert box.waiting() == [4]
    assert box.files.tally.dropped == 3


def test_a_file_that_somebody_removes_is_lost_alone(box: Box) -> None:
    places = box.add(*range(1, 401))
    gone = sum(place.segment == 1 for place in places)
    box.paths()[1].unlink()
    with pytest.raises(FileNotFoundError):
        box.waiting()
    assert len(box.waiting()) == 400 - gone
    assert box.files.tally.dropped == gone


@pytest.mark.parametrize(
    "content", ["", "[]", '{"dropped": -7, "refused": 0, "gone": 0}', '{"dropped": true}', "[" * 10**5]
)
def test_damaged_counts_are_set_aside_and_begin_anew(box: Box, content: str) -> None:
    box.add(1)
    (box.folder / "counts.json").write_text(content)
    assert box.restart().tally.dropped == 0
    assert list(box.folder.glob("counts.json.damaged-*"))
    box.files.tally.add(dropped=2)
    assert json.loads((box.folder / "counts.json").read_text())["dropped"] == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False).returncode:
        pytest.skip("a tmpfs can't be mounted: that needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(box: Box, seq: int) -> int:
    """Add posts from this one on, until one can't be written: its number."""
    while seq < 2000:
        try:
            box.add(seq)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return seq
        seq += 1
    raise AssertionError("the disk is never full")


def test_on_a_full_disk_what_was_taken_makes_room_and_what_waits_stays(small_disk: Path) -> None:
    box = Box(small_disk / "outbox")
    places = box.add(*range(1, 201))
    for place in places:
        box.files.mark(place, TAKEN)
    seq = fill(box, 201)
    assert box.waiting() == list(range(201, seq)), "of what waits nothing is lost, nor half a post kept"
    assert len(box.waiting()) > 150
    assert box.files.tally.dropped == 0
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            box.add(seq)
    subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)
    box.add(seq)
    assert box.waiting() == list(range(201, seq + 1))
    box.restart()
    assert box.waiting() == list(range(201, seq + 1))
    box.files.close()


def test_a_file_in_the_folders_place_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("?")
    box = Box(tmp_path / "outbox")
    box.add(1)
    assert box.waiting() == [1]
    assert list(tmp_path.glob("outbox.damaged-*"))


def test_a_mole_that_is_killed_while_it_repairs_a_file_loses_nothing_of_it(box: Box) -> None:
    box.add(1, 2, 3)
    box.files.close()
    [path] = box.paths()
    path.rename(path.with_suffix(".new"))
    (box.folder / "counts.new").write_text("torn")
    box.start()
    assert box.waiting() == [1, 2, 3]
    assert not list(box.folder.glob("*.new"))


def test_who_only_looks_changes_nothing(box: Box) -> None:
    box.add(1, 2)
    [path] = box.paths()
    os.truncate(path, path.stat().st_size - 1)
    before = path.read_bytes()
    assert count_waiting(box.folder) == 1
    assert path.read_bytes() == before
    assert count_waiting(box.folder / "nowhere") == 0
