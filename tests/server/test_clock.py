"""The server's two clocks: what is told when the wall clock is set or wrong, and whom nobody blames for it."""

from __future__ import annotations

import itertools
import logging

import posts
import pytest

from cluster_dash_server.config import Live
from cluster_dash_server.live.clock import STEP_SHOWN_S, Clock, OwnError, own_error
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.points import points_of_post
from cluster_dash_server.query import fleet_history, now
from cluster_dash_server.views.clock import clock_facts, clock_warnings
from cluster_dash_server.views.notes import notes_of

HOUR_S = 3600.0


class Rig:
    """A server whose clocks a test moves; what `post` sends is dated by the real time."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.off_s = 1e9
        self.clock = Clock(lambda: self.now_s, lambda: self.now_s + self.off_s)
        self.hosts = Hosts(Live(), self.clock)

    def post(self, *names: str, ahead_s: float = 0.0) -> None:
        for name in names:
            post = posts.host_post(name, gpus=1, timestamp=1e9 + self.now_s + ahead_s)
            self.hosts.record(post, points_of_post(post))

    def notes(self) -> dict[str, list[str]]:
        """Of clocks, by host."""
        told = {row.name: [note.text for note in notes_of(row) if note.kind == "clock"] for row in now(self.hosts)}
        return {name: texts for name, texts in told.items() if texts}


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize("by_s", [2.5, -2.5, HOUR_S, -24 * HOUR_S, 10 * 365 * 24 * HOUR_S])
def test_a_step_is_told_once_in_the_log_and_for_an_hour_on_the_pages(
    rig: Rig, by_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert clock_warnings(rig.hosts) == []
    rig.off_s += by_s
    rig.now_s += 60
    with caplog.at_level(logging.WARNING):
        step = rig.clock.look()
        rig.clock.look()
    assert [record.getMessage() for record in caplog.records] == [
        f"this server's clock was set by {by_s:+.1f} s; ages and deadlines go by another one"
    ]
    assert step is not None
    assert step.by_s == pytest.approx(by_s)
    (warning,) = clock_warnings(rig.hosts)
    assert warning.startswith(f"This server's clock was set {'forward' if by_s > 0 else 'back'} by ")
    rig.now_s += STEP_SHOWN_S + 1
    assert clock_warnings(rig.hosts) == []
    assert clock_facts(rig.hosts)["steps"] == 1


def test_a_clock_that_is_slewed_or_leaps_a_second_was_not_set(rig: Rig) -> None:
    for _ in range(1000):
        rig.now_s += 5
        rig.off_s += 0.0025
        rig.clock.look()
    rig.off_s -= 1
    rig.clock.look()
    assert rig.clock.steps == 0


def test_a_thread_that_waits_between_the_two_clocks_sees_no_step() -> None:
    seconds = itertools.count(1000.0, 3.0)
    clock = Clock(lambda: next(seconds), lambda: next(seconds))
    for _ in range(10):
        assert clock.look() is None
    assert clock.steps == 0


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, 365 * 24 * HOUR_S])
def test_a_server_whose_clock_is_wrong_says_so_and_blames_no_host(rig: Rig, by_s: float) -> None:
    names = [f"gpu{number}" for number in range(5)]
    rig.post(*names)
    rig.off_s += by_s
    assert rig.notes() == {}  # at once, not only with the next posts
    rig.now_s += 5
    rig.post(*names)
    assert rig.notes() == {}
    wrong, _ = clock_warnings(rig.hosts)
    assert f"{'ahead' if by_s > 0 else 'behind'} by the clocks of 5 of the 5 hosts that are up" in wrong
    assert clock_facts(rig.hosts)["ahead_of_hosts_s"] == pytest.approx(by_s)
    rig.off_s -= by_s
    assert rig.notes() == {}
    assert [warning for warning in clock_warnings(rig.hosts) if "ahead" in warning or "behind" in warning] == []


def test_a_server_that_started_with_a_wrong_clock_says_so_too(rig: Rig) -> None:
    rig.off_s = 0.0  # 1970
    rig.clock = Clock(lambda: rig.now_s, lambda: rig.now_s + rig.off_s)
    rig.hosts = Hosts(Live(), rig.clock)
    rig.post("gpu1", "gpu2", "gpu3")
    assert "behind by the clocks of 3 of the 3 hosts" in clock_warnings(rig.hosts)[0]
    assert rig.notes() == {}


def test_a_host_that_differs_from_the_others_is_still_told_and_by_how_much_from_them(rig: Rig) -> None:
    rig.off_s += HOUR_S
    rig.post(*[f"gpu{number}" for number in range(4)])
    rig.post("late", ahead_s=-600)
    rig.post("as-wrong-as-the-server", ahead_s=HOUR_S)
    assert rig.notes() == {"late": ["its clock is 10 min behind"], "as-wrong-as-the-server": ["its clock is 1 h ahead"]}


def test_silent_hosts_are_no_witnesses(rig: Rig) -> None:
    rig.post("gpu1", "gpu2", "gpu3", ahead_s=HOUR_S)
    assert rig.hosts.own_error() is not None
    rig.now_s += 16
    assert rig.hosts.own_error() is None


@pytest.mark.parametrize(
    ("skews_s", "expected"),
    [
        ([], None),
        ([HOUR_S], None),
        ([HOUR_S, HOUR_S], None),
        ([HOUR_S, HOUR_S, HOUR_S], OwnError(-HOUR_S, 3, 3)),
        ([HOUR_S, HOUR_S + 2, HOUR_S - 2, 0], OwnError(-HOUR_S, 3, 4)),
        ([HOUR_S, HOUR_S, HOUR_S, 0, 0, 0], None),
        ([-7, -7, -7, -7], OwnError(7, 4, 4)),
        ([4, 4, 4, 4], None),
        ([10, 1000, 100_000, 1e7, 1e9], None),
    ],
)
def test_most_hosts_must_agree(skews_s: list[float], expected: OwnError | None) -> None:
    found = own_error(skews_s)
    assert (found is None) == (expected is None)
    if found and expected:
        assert found.ahead_s == pytest.approx(expected.ahead_s, abs=5)
        assert (found.agree, found.hosts) == (expected.agree, expected.hosts)


def test_the_history_of_a_host_that_is_gone_moves_with_the_clock_too(rig: Rig) -> None:
    rig.off_s = -1000.0  # 1970
    rig.post("gone", "stays")
    rig.now_s += 5
    rig.off_s = 1e9
    rig.post("stays")
    for name in ("gone", "stays"):
        host = rig.hosts.get(name)
        assert host is not None
        assert rig.hosts.series(host, "sys.cpu_percent")[0].time[0] == pytest.approx(1e9 + 1000)
        assert rig.hosts.headline(host, "sys.cpu_percent")[0].time[0] >= 1e9 + 1000
    (bucket, *_) = fleet_history(rig.hosts, 24, rig.clock.wall())
    assert set(bucket.servers) == {"gone", "stays"}
