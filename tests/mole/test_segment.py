"""A file of the outbox: each byte of it may be wrong."""

from __future__ import annotations

import random

import pytest

from cluster_dash_mole.segment import TAKEN, WAITING, Damage, Record, encode_record, parse_segment

POSTS = [(f"boot.{start}", seq, bytes([seq]) * (50 + seq)) for start in (1, 2) for seq in range(1, 6)]
RECORDS = [encode_record(*post, WAITING) for post in POSTS]
WHOLE = b"".join(RECORDS)


def read(data: bytes) -> tuple[list[tuple[str, int, bytes]], list[Damage]]:
    found = list(parse_segment(data))
    records = [each for each in found if isinstance(each, Record)]
    return [(each.epoch, each.seq, each.packed) for each in records], [
        each for each in found if isinstance(each, Damage)
    ]


def test_posts_come_back_in_their_order() -> None:
    assert read(WHOLE) == (POSTS, [])


def test_a_file_that_ends_anywhere_gives_the_posts_before() -> None:
    for at in range(len(WHOLE)):
        posts, damages = read(WHOLE[:at])
        assert posts == POSTS[: len(posts)]
        whole = sum(len(record) for record in RECORDS[: len(posts)])
        assert whole <= at < whole + len(RECORDS[len(posts)])
        assert damages == ([Damage(whole, is_torn=True)] if at > whole else [])


def test_any_byte_that_is_wrong_costs_its_own_post_at_most() -> None:
    chance = random.Random(1)
    for at in range(len(WHOLE)):
        data = bytearray(WHOLE)
        data[at] ^= 1 << chance.randrange(8)
        posts, _ = read(bytes(data))
        assert len(posts) >= len(POSTS) - 1, at
        assert set(posts) <= set(POSTS), at


@pytest.mark.parametrize("size", [1, 16, 64, 200, 4096])
def test_zeros_anywhere_never_give_a_post_that_was_not_there(size: int) -> None:
    for at in range(0, len(WHOLE), 7):
        data = WHOLE[:at] + bytes(size) + WHOLE[at + size :]
        posts, damages = read(data)
        assert set(posts) <= set(POSTS)
        assert posts == POSTS or damages or at % len(WHOLE) == 4


def test_a_state_that_is_damaged_counts_as_waiting() -> None:
    taken = bytearray(encode_record("boot.1", 1, b"x", TAKEN))
    taken[4] = ord("?")
    [record] = parse_segment(bytes(taken))
    assert isinstance(record, Record)
    assert record.state == WAITING
