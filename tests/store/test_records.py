"""The journal's file: what was written is read, whatever else became of the file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cluster_dash_server.store.records import MAGIC, Damage, read, record

PAYLOADS = [b"", b"one", b"x" * 5000, bytes(range(256)), b"last"]
WHOLE = MAGIC + b"".join(map(record, PAYLOADS))


def written(folder: Path, content: bytes) -> Path:
    path = folder / "1.journal"
    path.write_bytes(content)
    return path


def payloads(path: Path) -> list[bytes]:
    return [part for part in read(path) if isinstance(part, bytes)]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert list(read(written(tmp_path, WHOLE))) == PAYLOADS


def test_a_torn_end_costs_the_record_that_was_being_written(tmp_path: Path) -> None:
    *whole, tail = read(written(tmp_path, WHOLE[:-3]))
    assert whole == PAYLOADS[:-1]
    assert isinstance(tail, Damage)
    assert tail.is_tail
    assert tail.offset + tail.length == len(WHOLE) - 3


@pytest.mark.parametrize("at", range(0, len(WHOLE), 97))
def test_a_flipped_byte_costs_one_record_and_never_changes_another(tmp_path: Path, at: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= 0xFF
    found = list(read(written(tmp_path, bytes(damaged))))
    kept = [part for part in found if isinstance(part, bytes)]
    assert len(kept) >= len(PAYLOADS) - 1
    assert [payload for payload in PAYLOADS if payload in kept] == kept
    assert any(isinstance(part, Damage) for part in found)


@pytest.mark.parametrize("seed", range(20))
def test_no_damage_makes_up_a_record(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(WHOLE)
    start = chance.randrange(len(damaged))
    length = chance.randrange(1, 600)
    damaged[start : start + length] = chance.choice((bytes(length), chance.randbytes(length), b"", chance.randbytes(9)))
    assert set(payloads(written(tmp_path, bytes(damaged)))) <= set(PAYLOADS)


@pytest.mark.parametrize("content", [b"", MAGIC[:5], b"not a journal at all", b"\0" * 5000])
def test_a_file_that_is_no_journal_has_nothing(tmp_path: Path, content: bytes) -> None:
    assert payloads(written(tmp_path, content)) == []
