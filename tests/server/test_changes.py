"""Numbers of changes: nothing is lost between two looks, and who was away too long is told."""

from __future__ import annotations

import random
import threading

from cluster_dash_server.live.changes import Changes


def test_each_change_has_a_number_and_is_told_after_an_earlier_one() -> None:
    changes = Changes(10)
    for name in ("a", "b", "a"):
        changes.note("host", name)
    assert changes.version == 3
    assert changes.since(0, "host") == ["a", "b"]
    assert changes.since(1, "host") == ["a", "b"]
    assert changes.since(2, "host") == ["a"]
    assert changes.since(3, "host") == []


def test_kinds_share_the_numbers_and_are_told_apart() -> None:
    changes = Changes(10)
    changes.note("host", "x")
    changes.note("run", "x")
    assert (changes.since(0, "host"), changes.since(0, "run"), changes.since(1, "host")) == (["x"], ["x"], [])


def test_a_number_that_is_forgotten_or_not_given_yet_is_not_known() -> None:
    changes = Changes(3)
    for number in range(5):
        changes.note("host", str(number))
    assert changes.since(2, "host") == ["4", "3", "2"]
    assert changes.since(1, "host") is None
    assert changes.since(0, "host") is None
    assert changes.since(6, "host") is None


def test_two_starts_of_the_server_have_different_names() -> None:
    assert Changes(1).epoch != Changes(1).epoch


def test_a_reader_beside_eight_writers_misses_nothing() -> None:
    changes = Changes(1000)
    latest: dict[str, int] = {}
    lock = threading.Lock()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(2000):
            name = f"{seed}-{chance.randrange(20)}"
            with lock:
                latest[name] = number
            changes.note("host", name)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(8)]
    for thread in writers:
        thread.start()
    seen: dict[str, int] = {}
    version = 0
    while any(thread.is_alive() for thread in writers) or version < changes.version:
        now = changes.version
        for name in changes.since(version, "host") or []:
            seen[name] = latest[name]
        version = now
    for thread in writers:
        thread.join()
    assert seen == latest
