"""Posts that ClickHouse refuses together: the bad ones are found, and what is no fault of theirs is none."""

from __future__ import annotations

import time
from collections.abc import Sequence

import orjson
import posts
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from cluster_dash_server.live.document import document_of
from cluster_dash_server.points import points_of_post
from cluster_dash_server.store.kept import Kept, NotOurs, Parts, pack, unpack
from cluster_dash_server.store.numbers import Number
from cluster_dash_server.store.refusals import is_refusal, sift


def kept(number: int) -> Kept:
    points = points_of_post(posts.host_post("gpu01", gpus=1))
    return Kept(Parts(b"{}", b"{}"), points, time.time(), Number("mole", "boot.1", number), True, None)


ALL = [kept(number) for number in range(100)]
VIOLATED = "Code: 469. DB::Exception: Constraint `few` is violated"


class Engine:
    """Takes what has none of the bad numbers."""

    def __init__(self, bad: set[int], error: Exception) -> None:
        self.bad, self.error, self.taken, self.calls = bad, error, list[int](), 0

    def __call__(self, some: Sequence[Kept]) -> None:
        self.calls += 1
        numbers = [each.number.seq for each in some if each.number]
        if self.bad & set(numbers):
            raise self.error
        self.taken += numbers


@pytest.mark.parametrize("error", [DatabaseError(VIOLATED), OverflowError("too large")])
def test_all_but_the_bad_ones_are_taken_once(error: Exception) -> None:
    engine = Engine({3, 4, 77}, error)
    refused = sift(ALL, engine)
    assert [each.kept.number and each.kept.number.seq for each in refused] == [3, 4, 77]
    assert sorted(engine.taken) == sorted(set(range(100)) - {3, 4, 77})
    assert engine.calls < 60


def test_where_nearly_all_is_refused_it_is_not_the_posts() -> None:
    with pytest.raises(DatabaseError):
        sift(ALL, Engine(set(range(99)), DatabaseError(VIOLATED)))
    with pytest.raises(DatabaseError):
        sift(ALL[:1], Engine({0}, DatabaseError(VIOLATED)))


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (DatabaseError(VIOLATED), True),
        (DatabaseError("Received ClickHouse exception, code: 27, server response: Code: 27. DB::Exception: x"), True),
        (ValueError("x"), True),
        (DatabaseError("Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space"), False),
        (DatabaseError("Code: 252. DB::Exception: Too many parts"), False),
        (DatabaseError("Code: 60. DB::Exception: Unknown table"), False),
        (DatabaseError("HTTP driver received HTTP status 500"), False),
        (OperationalError("Code: 469"), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_what_is_of_the_store_or_of_the_way_there_is_no_refusal(error: Exception, is_one: bool) -> None:
    assert is_refusal(error) is is_one


NO_POSTS = [b"", b"x", bytes(12), bytes(12) + b"{}{}", bytes(8) + b"\x02\0\0\0[][]", b"\xff" * 40, bytes(8) + b"{" * 99]


@pytest.mark.parametrize("payload", NO_POSTS)
def test_a_record_that_is_no_post_is_told_as_that(payload: bytes) -> None:
    with pytest.raises(NotOurs):
        unpack(payload)


def test_a_post_that_is_read_again_is_the_same_post() -> None:
    """To the byte: else the same one, sent once more after a restart, were another one with its number."""
    document = document_of(posts.host_post("gpu01") | {"events": [], "later": 1})
    assert document_of(Parts(document.near, document.far).read()) == document


@pytest.mark.parametrize("is_newest", [True, False])
def test_a_record_tells_whether_its_post_came_late(is_newest: bool) -> None:
    post = posts.host_post("gpu01", gpus=1, seq=5)
    document = Parts(orjson.dumps(post), b"{}")
    number = Number(post["mole"]["id"], "boot.1", 5)
    given = Kept(document, points_of_post(post), 1_795_000_000.25, number, is_newest, post["mole"]["mono_s"])
    assert unpack(pack(given))[2:] == given[2:]
