"""The numbers of posts: each counts once, late ones are known as late, and memory is bounded."""

from __future__ import annotations

import copy

import orjson
import posts
import pytest

from cluster_dash_server.live.sequences import EPOCHS, WINDOW, Seen, Sequences, fingerprint
from cluster_dash_server.store.numbers import Number, number_of


def number(seq: int, epoch: str = "boot.1", mole_id: str = "mole-1") -> Number:
    return Number(mole_id, epoch, seq)


def taken(*numbers: Number, timestamp: float = 0.0) -> Sequences:
    sequences = Sequences()
    for each in numbers:
        sequences.add(each, 7, timestamp, is_newest=True)
    return sequences


def test_a_number_counts_once_and_other_content_is_noticed() -> None:
    sequences = taken(number(1), number(2))
    assert sequences.look_up(number(3), 7, 0) is Seen.NEW
    assert sequences.look_up(number(1), 7, 0) is Seen.DUPLICATE
    assert sequences.look_up(number(1), 8, 0) is Seen.CHANGED


def test_a_hole_is_filled_late_and_then_a_duplicate() -> None:
    sequences = taken(number(1), number(5))
    assert sequences.look_up(number(3), 7, 0) is Seen.LATE
    sequences.add(number(3), 7, 0, is_newest=False)
    assert sequences.look_up(number(3), 7, 0) is Seen.DUPLICATE
    assert sequences.look_up(number(6), 7, 0) is Seen.NEW


@pytest.mark.parametrize("jump", [1, WINDOW - 1, WINDOW, WINDOW + 1, 10 * WINDOW, 2**53 - 20])
def test_a_jump_ahead_makes_no_number_in_between_seen(jump: int) -> None:
    sequences = taken(*(number(seq) for seq in range(10)), number(10 + jump))
    for seq in (10, 9 + jump, 10 + jump - WINDOW + 1, 10 + jump - WINDOW):
        if 10 <= seq < 10 + jump:
            assert sequences.look_up(number(seq), 7, 0) is Seen.LATE
    assert sequences.look_up(number(10 + jump), 7, 0) is Seen.DUPLICATE


def test_what_is_older_than_the_window_is_late_and_never_the_newest() -> None:
    sequences = taken(*(number(seq) for seq in range(WINDOW + 10)))
    assert sequences.look_up(number(5), 7, 0) is Seen.LATE
    assert sequences.look_up(number(10), 7, 0) is Seen.DUPLICATE


def test_a_post_of_an_earlier_start_is_late_however_new_it_is_here() -> None:
    sequences = taken(number(1, "boot.3"), timestamp=1000.0)
    assert sequences.look_up(number(9, "boot.2"), 7, 900.0) is Seen.LATE
    assert sequences.look_up(number(1, "other-boot.4"), 7, 900.0) is Seen.NEW
    assert sequences.look_up(number(1, "boot.2", "mole-2"), 7, 900.0) is Seen.NEW


def test_a_disk_that_was_set_back_counts_its_starts_from_there_and_goes_on() -> None:
    sequences = taken(number(1, "boot.30"), timestamp=1000.0)
    assert sequences.look_up(number(1, "boot-2.5"), 7, 1200.0) is Seen.NEW


def test_the_starts_that_are_remembered_are_bounded_and_the_newest_is_among_them() -> None:
    sequences = taken(*(number(1, f"boot.{start}") for start in range(100)), timestamp=5.0)
    for start in range(200, 300):  # late ones push nothing newer out
        sequences.add(number(1, f"boot.{start}"), 7, 5.0, is_newest=False)
    assert len(sequences._epochs) == EPOCHS  # pyright: ignore[reportPrivateUsage]
    assert sequences.look_up(number(1, "boot.99"), 7, 5.0) is Seen.DUPLICATE


@pytest.mark.parametrize("epoch", ["", "x", "x.", "x.٣", "x." + "9" * 5000, "x.-1"])
def test_an_epoch_without_a_counter_breaks_nothing(epoch: str) -> None:
    sequences = taken(number(1, "boot.3"), timestamp=10.0)
    assert sequences.look_up(number(1, epoch), 7, 20.0) is Seen.NEW


def test_how_long_a_post_was_on_its_way_is_told_by_clocks_that_nobody_sets() -> None:
    sequences = taken(number(1))
    assert sequences.delay_s(number(1), 100.0, 5000.0) == 0
    assert sequences.delay_s(number(2), 105.0, 5035.0) == pytest.approx(30, abs=0.4)
    assert sequences.delay_s(number(3), 135.0, 5035.1) == pytest.approx(0, abs=0.4)


def test_clocks_that_run_apart_are_no_delay_in_the_end() -> None:
    sequences = taken(number(1))
    sequences.delay_s(number(1), 0.0, 0.0)
    delays = [sequences.delay_s(number(1), hour * 3600.0, hour * 3600.0 * 1.0001) for hour in range(1, 1000)]
    assert max(delays) < 1


def test_the_fingerprint_is_of_the_content() -> None:
    post = posts.host_post()
    same = copy.deepcopy(post)
    assert fingerprint(orjson.dumps(post)) == fingerprint(orjson.dumps(same))
    same["gpu"]["0_NVIDIA-A100-80GB_000000"]["used_mem"] += 1
    assert fingerprint(orjson.dumps(post)) != fingerprint(orjson.dumps(same))


@pytest.mark.parametrize("lacks", ["id", "epoch", "seq"])
def test_a_post_that_lacks_a_part_of_its_number_has_none(lacks: str) -> None:
    post = posts.host_post()
    assert number_of(post) is not None
    del post["mole"][lacks]
    assert number_of(post) is None
    assert number_of(posts.example()) is None
