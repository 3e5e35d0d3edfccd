"""Who holds a GPU without working on it: told after ten minutes, by utilisation and power, and never of a host that was
away.
"""

from __future__ import annotations

import time
from typing import Any

import posts
import pytest
from clock_standin import wall_beside

from cluster_dash_server import create_app
from cluster_dash_server.config import Config, Live

MINUTE_S = 60.0
ALICE = {"alice": {"4711": {"mem": 30000, "time": 1.0, "name": "python"}}}
FLOOR_W, LIMIT_W = 60.0, 400.0


class Lab:
    """One host of one GPU that posts every five seconds."""

    def __init__(self, live: Live | None = None) -> None:
        self.now_s = 1_000.0
        config = Config(live=live or Live())
        app = create_app(config, start=False, monotonic=lambda: self.now_s, wall=wall_beside(lambda: self.now_s))
        self.client = app.test_client()
        self.told: dict[str, Any] = {}
        """What the next post has besides."""

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        event = {"time": time.time(), "kind": "sleep", "data": {"slept_s": seconds}}
        self.told = {"events": [event]}

    def post(self, util: float | None, used_mib: float = 30_000, watts: float | None = None) -> None:
        entry = posts.gpu(0, used_mib=used_mib, users=ALICE if used_mib > 1_000 else {}) | {"gpu_util": util}
        values = {"power_w": watts, "power_limit_w": None if watts is None else LIMIT_W}
        metrics = {
            f"sys.gpu.{name}": {"device": [0], "value": [value]} for name, value in values.items() if value is not None
        }
        answer = self.client.post("/", json=posts.host_post("a", gpu={"g0": entry}, metrics=metrics, **self.told))
        assert answer.status_code == 200
        self.told = {}

    def run(self, minutes: float, util: float | None, **reading: Any) -> None:
        for _ in range(int(minutes * MINUTE_S / 5)):
            self.post(util, **reading)
            self.now_s += 5

    def gpu(self) -> dict[str, Any]:
        answer = self.client.get("/api/gpus").json
        assert answer is not None
        (gpu,) = answer["gpus"]
        return gpu


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_ten_minutes_without_work_make_a_holder_idle(lab: Lab) -> None:
    lab.run(1, util=90)
    lab.run(9.9, util=0)
    assert lab.gpu()["is"] == "busy"
    lab.run(0.5, util=0)
    told = lab.gpu()
    assert (told["is"], told["users"]) == ("idle", ["alice"])
    assert told["idle_s"] == pytest.approx(10.4 * MINUTE_S, abs=10)


def test_work_in_between_begins_the_ten_minutes_anew(lab: Lab) -> None:
    lab.run(9, util=2)
    lab.post(util=5)
    lab.run(9, util=2)
    assert lab.gpu()["is"] == "busy"


def test_the_minutes_are_a_setting() -> None:
    lab = Lab(Live(idle_after_minutes=1))
    lab.run(1.1, util=0)
    assert lab.gpu()["is"] == "idle"


def test_it_becomes_idle_by_time_alone_while_somebody_looks(lab: Lab) -> None:
    lab.run(9.9, util=0)
    lab.post(util=0)
    assert lab.gpu()["is"] == "busy"
    lab.now_s += 11
    assert lab.gpu()["is"] == "idle"


def test_whoever_draws_power_works_whatever_the_utilisation_says(lab: Lab) -> None:
    lab.run(2, util=0, used_mib=100, watts=FLOOR_W)
    lab.run(11, util=0, watts=300)
    assert lab.gpu()["is"] == "busy"
    lab.run(11, util=0, watts=FLOOR_W + 20)
    assert lab.gpu()["is"] == "idle"


def test_a_utilisation_that_is_not_known_makes_nobody_idle(lab: Lab) -> None:
    lab.run(15, util=None)
    assert lab.gpu()["is"] == "unknown"


def test_a_gpu_with_next_to_nothing_in_memory_and_nobody_on_it_is_free(lab: Lab) -> None:
    lab.run(15, util=0, used_mib=100)
    assert lab.gpu()["is"] == "free"


def test_the_time_that_a_host_was_away_is_nobodys_idleness(lab: Lab) -> None:
    lab.run(5, util=0)
    lab.now_s += 5 * MINUTE_S
    lab.run(4.5, util=0)
    assert lab.gpu()["is"] == "busy"
    lab.run(1, util=0)
    assert lab.gpu()["is"] == "idle"


def test_a_host_that_slept_has_its_gpus_as_they_were(lab: Lab) -> None:
    lab.run(12, util=0)
    lab.sleep(8 * 60 * MINUTE_S)
    lab.run(1, util=0)
    assert lab.gpu()["is"] == "idle"
    assert lab.gpu()["idle_s"] == pytest.approx(13 * MINUTE_S, abs=10)


def test_a_host_that_was_away_for_long_besides_its_sleep_begins_anew(lab: Lab) -> None:
    lab.run(12, util=0)
    lab.sleep(60 * MINUTE_S)
    lab.now_s += 11 * MINUTE_S
    lab.run(1, util=0)
    assert lab.gpu()["is"] == "busy"


def test_a_host_that_is_silent_has_neither_free_nor_idle_gpus(lab: Lab) -> None:
    lab.run(12, util=0)
    lab.now_s += 30
    assert lab.gpu()["is"] == "off"
