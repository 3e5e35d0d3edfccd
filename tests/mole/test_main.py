"""The rounds: their pace, and that one failing part never stops the others."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cluster_dash_mole import __version__
from cluster_dash_mole.comms import Backend
from cluster_dash_mole.identity import Identity
from cluster_dash_mole.main import MainRunner
from cluster_dash_mole.reading import Metric, Reading, Sample
from mole.peers import ManualClock

IDENTITY = Identity("9b1f1c52-7b57-4d5c-9d0c-3f2f6a0d8e11", "e485afc5-0c4f-420c-b76f-c65c884ce61b.3")


class Source:
    """A collector at the edge: takes the time and fails as often as a test wants."""

    def __init__(self, name: str, clock: ManualClock) -> None:
        self.name = name
        self.clock = clock
        self.takes_s = 0.0
        self.fails = False
        self.closed = False

    def prime(self) -> None:
        pass

    def collect(self) -> Reading:
        self.clock.now += self.takes_s
        if self.fails:
            raise RuntimeError("canary")
        sample = Sample(Metric(f"sys.{self.name}", "1", "a test's"), 1.0)
        return Reading({self.name: {"cpu_percent": 1.0}}, [sample], {f"{self.name} part": "gone"})

    def close(self) -> None:
        self.closed = True


class Box(Backend):
    """A backend that keeps what it gets, without a thread's delay."""

    def __init__(self, min_interval_s: float) -> None:
        super().__init__(min_interval_s, 5)
        self.sent: list[tuple[float, dict[str, Any]]] = []

    def send(self, post: dict[str, Any], now: float) -> None:
        self._last_at = now
        self.sent.append((now, post))


class Rig:
    """A runner at 5 s with two sources, and its clock."""

    def __init__(self, min_interval_s: float = 0) -> None:
        self.clock = ManualClock()
        self.wall = ManualClock()
        self.cpu, self.gpu = Source("cpu", self.clock), Source("gpu", self.clock)
        self.box = Box(min_interval_s)
        self.runner = MainRunner(
            IDENTITY, 5, [self.cpu, self.gpu], [self.box], self.clock, wall=self.wall, uptime=self.clock
        )

    def run(self, steps: int) -> list[float]:
        """Step and let the time pass that the runner asked for; when posts went out."""
        for _ in range(steps):
            wait_s = self.runner.step()
            self.clock.now += wait_s
        return [now - 1000 for now, _ in self.box.sent]


@pytest.fixture
def rig() -> Any:
    rig = Rig()
    yield rig
    rig.runner.close()


def test_the_first_step_only_prepares_so_that_the_first_post_has_a_percentage(rig: Rig) -> None:
    assert rig.runner.step() == 0.5
    assert rig.box.sent == []


def test_rounds_that_take_time_do_not_shift_the_pace(rig: Rig) -> None:
    rig.cpu.takes_s = 1.3
    assert rig.run(5) == [0.5, 5.5, 10.5, 15.5]


def test_a_round_that_takes_too_long_skips_and_does_not_bunch(rig: Rig) -> None:
    rig.run(2)
    rig.cpu.takes_s = 12
    rig.run(1)
    rig.cpu.takes_s = 0
    assert rig.run(2) == [0.5, 5.5, 20.5, 25.5]


def test_a_backend_is_not_given_more_than_it_wants() -> None:
    rig = Rig(min_interval_s=12)
    assert rig.run(8) == [0.5, 15.5, 30.5]
    rig.runner.close()


def test_a_failing_collector_is_told_and_the_rest_goes_on(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.gpu.fails = True
    rig.run(4)
    _, post = rig.box.sent[-1]
    assert post["cpu"] == {"cpu_percent": 1.0}
    assert post["gpu"] == {}, "the server needs the key"
    assert post["mole"]["errors"] == {"cpu part": "gone", "gpu": "reading failed, 3 times in a row"}
    assert caplog.text.count("Traceback") == 1
    assert "canary" in caplog.text
    rig.gpu.fails = False
    rig.run(1)
    _, post = rig.box.sent[-1]
    assert "gpu" not in post["mole"]["errors"]
    assert "reading gpu works again" in caplog.text


def test_each_collectors_duration_is_a_metric_also_when_it_fails(rig: Rig) -> None:
    rig.gpu.fails = True
    rig.gpu.takes_s = 0.25
    rig.run(2)
    metric = rig.box.sent[0][1]["metrics"]["sys.collect.duration_s"]
    assert metric["tags"] == [{"collector": "cpu"}, {"collector": "gpu"}]
    assert metric["value"] == [0, 0.25]


def test_each_collectors_outcome_is_a_metric(rig: Rig) -> None:
    rig.gpu.fails = True
    rig.run(3)
    rig.gpu.fails = False
    rig.run(1)
    metrics = [post["metrics"]["sys.collect.ok"] for _, post in rig.box.sent]
    assert metrics[0]["tags"] == [{"collector": "cpu"}, {"collector": "gpu"}]
    assert [metric["value"] for metric in metrics] == [[1, 0], [1, 0], [1, 1]]


def test_a_clock_that_is_set_dates_the_posts_and_does_not_change_their_pace(rig: Rig) -> None:
    rig.run(2)
    for jump_s in (3600, -7200, 86_400 * 365):
        rig.wall.now += jump_s
        rig.run(1)
    assert [now - 1000 for now, _ in rig.box.sent] == [0.5, 5.5, 10.5, 15.5]
    assert [post["timestamp"] for _, post in rig.box.sent] == [1000, 4600, -2600, 86_400 * 365 - 2600]
    assert [post["mole"]["mono_s"] for _, post in rig.box.sent] == [1000.5, 1005.5, 1010.5, 1015.5]


def test_a_post_says_which_mole_sent_it_and_what_that_costs(rig: Rig) -> None:
    rig.run(2)
    mole = rig.box.sent[0][1]["mole"]
    assert (mole["id"], mole["epoch"], mole["version"]) == (*IDENTITY, __version__)
    assert mole["mono_s"] == 1000.5
    assert mole["cpu_s"] > 0
    assert mole["rss_bytes"] > 10**6
    assert "backlog" not in mole


def test_closing_closes_every_part(rig: Rig) -> None:
    rig.runner.close()
    assert rig.cpu.closed
    assert rig.gpu.closed


def test_help_goes_with_the_first_post_and_every_ten_minutes() -> None:
    clock = ManualClock()
    runner = MainRunner(IDENTITY, 5, [Source("cpu", clock)], [], clock)
    helps: list[bool] = []
    for _ in range(3):
        helps.append("help" in runner.collect()["metrics"]["sys.cpu"])
        clock.now += 301
    assert helps == [True, False, True]
