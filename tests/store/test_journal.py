"""The journal: what `append` returned from is there after any end of the process, and nothing else is promised."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster_dash_server.store.journal import MAX_ITEMS, Journal, JournalError, JournalInUse
from cluster_dash_server.store.records import read

MIB = 2**20


def on_disk(journal: Journal) -> list[bytes]:
    found = [part for sealed in journal.seal() for part in read(journal.path(sealed.number))]
    return [part for part in found if isinstance(part, bytes)]


def failing(error: int, times: int = 1) -> Callable[[int], None]:
    """A disk's sync that fails so many times."""
    left = [times]

    def sync(file: int) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError(error, os.strerror(error))
        os.fdatasync(file)

    return sync


def test_what_was_appended_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, MIB)
    for number in range(5):
        journal.append([(b"%d" % number, number)])
    journal.close()
    again = Journal(tmp_path, MIB)
    assert on_disk(again) == [b"0", b"1", b"2", b"3", b"4"]
    assert [sealed.items for sealed in again.seal()] == [None]
    again.close()


def test_an_append_returns_after_the_disk_has_it_and_not_before(tmp_path: Path) -> None:
    synced = threading.Event()
    asked = threading.Event()

    def sync(_file: int) -> None:
        asked.set()
        assert synced.wait(60)

    journal = Journal(tmp_path, MIB, sync)
    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(journal.append, [(b"post", 1)])
        assert asked.wait(60)
        assert not appending.done()
        synced.set()
        appending.result(60)
    journal.close()


def test_those_that_come_while_the_disk_is_busy_are_synced_together(tmp_path: Path) -> None:
    busy, syncs = threading.Event(), 0

    def sync(_file: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == 1:
            assert busy.wait(60)

    journal = Journal(tmp_path, MIB, sync)
    with ThreadPoolExecutor(20) as pool:
        appending = [pool.submit(journal.append, [(b"%d" % number, number)]) for number in range(20)]
        while journal.waiting < 19:  # all others wait for the first
            assert not busy.is_set()
        busy.set()
        for each in appending:
            each.result(60)
    assert syncs == 2
    assert sorted(on_disk(journal), key=int) == [b"%d" % number for number in range(20)]
    journal.close()


def test_sealed_files_come_with_what_was_appended_and_go_when_it_is_carried(tmp_path: Path) -> None:
    journal = Journal(tmp_path, MIB)
    journal.append([(b"a", "first")])
    [first] = journal.seal()
    journal.append([(b"b", "second")])
    assert [sealed.items for sealed in journal.seal()] == [["first"], ["second"]]
    journal.remove(first.number)
    assert on_disk(journal) == [b"b"]
    journal.close()


def test_what_waits_long_takes_no_memory(tmp_path: Path) -> None:
    """While the store is away: what is too much is read from its file later."""
    journal = Journal(tmp_path, 64 * MIB, sync=lambda _file: None)
    for number in range(MAX_ITEMS + 10):
        journal.append([(b"%d" % number, number)])
        if number % 1000 == 0:
            journal.seal()
    kept = [sealed for sealed in journal.seal() if sealed.items is not None]
    assert sum(len(sealed.items or ()) for sealed in kept) <= MAX_ITEMS
    assert kept[-1].items
    assert len(on_disk(journal)) == MAX_ITEMS + 10
    journal.close()


def test_a_full_journal_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 2000)
    journal.append([(b"x" * 1500, 1)])
    with pytest.raises(JournalError, match="the journal is full"):
        journal.append([(b"y" * 1500, 2)])
    journal.remove(journal.seal()[0].number)
    journal.append([(b"z" * 1500, 3)])
    assert on_disk(journal) == [b"z" * 1500]
    journal.close()


def test_a_disk_without_room_leaves_no_half_record_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, MIB)
    journal.append([(b"before", 1)])
    real = os.write

    def half(file: int, content: bytes) -> int:
        if len(content) > 100:
            return real(file, content[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(JournalError, match="No space left"):
        journal.append([(b"x" * 120, 2)])
    monkeypatch.setattr(os, "write", real)
    journal.append([(b"after", 3)])
    path = journal.path(journal.seal()[0].number)
    assert list(read(path)) == [b"before", b"after"]
    journal.close()


def test_after_a_failed_sync_nothing_is_acknowledged_any_more(tmp_path: Path) -> None:
    """What is on disk then is unknown, and the next sync would say that all is well."""
    journal = Journal(tmp_path, MIB, failing(errno.EIO))
    for _ in range(3):
        with pytest.raises(JournalError, match="disk failed"):
            journal.append([(b"post", 1)])
    assert journal.trouble
    journal.close()
    Journal(tmp_path, MIB).close()


def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", MIB)
    with pytest.raises(JournalInUse, match=r"another server keeps its history in .*: end it, or"):
        Journal(tmp_path / "journal", MIB)
    journal.close()
    Journal(tmp_path / "journal", MIB).close()
