"""Which numbers are kept: held against plain sets."""

from __future__ import annotations

import random

import orjson
import pytest

from cluster_dash_server.live.asking import FIRST_PAUSE_S, MOST_POSTS, MOST_RANGES, Asking
from cluster_dash_server.store.numbers import MOST_RANGES as MOST_KEPT_RANGES
from cluster_dash_server.store.numbers import STARTS, Number, Numbers, load_numbers

MOLE, EPOCH = "mole-1", "boot.1"


def numbers_of(*seqs: int, epoch: str = EPOCH) -> Numbers:
    numbers = Numbers()
    for seq in seqs:
        numbers.add(Number(MOLE, epoch, seq))
    return numbers


def missing(numbers: Numbers, first: int, last: int) -> set[int]:
    found = numbers.missing(MOLE, [(EPOCH, first, last)], 10**6, 10**6)
    return {seq for _, start, end in found for seq in range(start, end + 1)}


@pytest.mark.parametrize("seed", range(30))
def test_any_order_gives_what_a_set_gives(seed: int) -> None:
    chance = random.Random(seed)
    seqs = [chance.randrange(1, 100) for _ in range(chance.randrange(1, 150))]
    numbers = load_numbers(orjson.loads(orjson.dumps(numbers_of(*seqs).dump())))
    assert missing(numbers, 1, 120) == set(range(1, 121)) - set(seqs)
    assert {seq for seq in range(121) if numbers.has(Number(MOLE, EPOCH, seq))} == set(seqs)
    assert not numbers.has(Number(MOLE, "other boot.1", seqs[0]))
    through = next(seq for seq in range(1, 200) if seq not in seqs) - 1
    assert numbers.through(MOLE, EPOCH) == through
    half = len(seqs) // 2
    merged = numbers_of(*seqs[half:])
    merged.merge(numbers_of(*seqs[:half]))
    assert missing(merged, 1, 120) == missing(numbers, 1, 120)


def test_a_merge_leaves_the_other_as_it_was() -> None:
    ours, others = numbers_of(5), numbers_of(1, 2)
    ours.merge(others)
    ours.add(Number(MOLE, EPOCH, 3))
    assert ours.through(MOLE, EPOCH) == 3
    assert others.through(MOLE, EPOCH) == 2


def test_with_too_many_holes_nothing_counts_as_kept_that_is_not() -> None:
    seqs = [1, *range(2, 600, 2)]
    numbers = numbers_of(*seqs)
    assert missing(numbers, 1, 600) >= set(range(3, 600, 2))
    assert len(missing(numbers, 1, 600)) >= 600 - 2 * MOST_KEPT_RANGES
    assert numbers.through(MOLE, EPOCH) == 2


def test_starts_are_bounded_and_the_newest_stay() -> None:
    numbers = Numbers()
    for start in range(100):
        numbers.add(Number(MOLE, f"boot.{start}", 1))
    assert [start for start in range(100) if numbers.through(MOLE, f"boot.{start}")] == list(range(100 - STARTS, 100))


@pytest.mark.parametrize("dumped", [7, [1], [["a", "b"]], [["a", "b", [[1]]]], [["a", "b", ["xy"]]], "x"])
def test_what_was_no_dump_is_told_as_that(dumped: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        load_numbers(dumped)


def asked(asking: Asking, seq: int, at_s: float, backlog: int = 0, first: int = 1) -> list[tuple[str, int, int]]:
    """What the post of this number is told to send again, whose mole holds all from `first` to the one before."""
    number = Number(MOLE, EPOCH, seq)
    asking.numbers.add(number)
    return asking.need(number, {"backlog": backlog, "kept": [[EPOCH, first, seq - 1]]}, at_s)


def test_a_hole_is_asked_for_once_all_else_is_sent_and_what_was_dropped_never() -> None:
    asking = Asking()
    asking.numbers.merge(numbers_of(1, 2))
    assert asked(asking, 6, 0, backlog=3) == []
    assert asked(asking, 7, 0) == [(EPOCH, 3, 5)]
    assert asked(asking, 9, 0, first=8) == [(EPOCH, 8, 8)]
    assert asking.ack(Number(MOLE, EPOCH, 9)) == {"ack": {"epoch": EPOCH, "seq": 2}}


def test_what_does_not_come_is_asked_for_ever_more_seldom() -> None:
    asking, times = Asking(), list[float]()
    for at_s in range(0, 24 * 3600, 5):
        if asked(asking, 2 + at_s // 5, at_s):
            times.append(at_s)
    assert times[:3] == [0, FIRST_PAUSE_S, 3 * FIRST_PAUSE_S]
    assert len(times) < 32


def test_a_mole_that_always_has_posts_on_the_way_is_asked_for_what_does_not_come() -> None:
    """And one whose posts come, oldest first, is not."""
    asking, told = Asking(), list[tuple[str, int, int]]()
    asking.numbers.merge(numbers_of(*range(1, 21)))
    for at_s in range(0, 300, 5):
        told += asked(asking, 30 + at_s // 5, at_s, backlog=3)
    assert set(told) == {(EPOCH, 21, 29)}
    assert len(told) < 4
    for at_s in range(0, 270, 5):
        asking.numbers.merge(numbers_of(21 + at_s // 30))
        assert asked(asking, 100 + at_s // 5, 300 + at_s, backlog=9 - at_s // 30) == []


def test_one_answer_asks_for_no_more_than_a_bounded_number() -> None:
    asking = Asking()
    [(_, first, last)] = asked(asking, 10**6, 0)
    assert last - first + 1 == MOST_POSTS
    asking.numbers.merge(numbers_of(*range(1, 100, 2)))
    assert len(asked(asking, 10**6 + 1, 0)) == MOST_RANGES


@pytest.mark.parametrize("mole", [{}, {"backlog": 0}, {"backlog": 0, "kept": []}, {"kept": [[EPOCH, 1, 9]]}])
def test_a_mole_that_tells_of_nothing_is_asked_for_nothing(mole: dict[str, object]) -> None:
    assert Asking().need(Number(MOLE, EPOCH, 9), mole, 0) == []
