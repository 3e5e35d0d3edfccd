"""Since when a GPU is what it is, and when it last worked."""

from __future__ import annotations

import threading
from typing import Any

import posts
import pytest

from cluster_dash_server.config import Live
from cluster_dash_server.gpus import condition_of, gpus_of
from cluster_dash_server.live.clock import Clock
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.live.watch import MOST_MODELS, Floors, Watch, is_near
from cluster_dash_server.points import points_of_post

FREE = posts.gpu(0)
HELD = posts.gpu(0, util=0, used_mib=40_960, users={"bob": {"7": {"mem": 40_960.0, "name": "python"}}})
WORKS = posts.busy_gpu(0, "bob")
LOST = posts.gpu(0, state="lost")


class Seen:
    """A watch of one GPU, seen every 5 s."""

    def __init__(self, floors: Floors | None = None) -> None:
        self.mono_s = 1000.0
        self.watch = Watch(floors or Floors(), 600.0)
        self.entry: dict[str, Any] = FREE

    def see(
        self, entry: dict[str, Any], seconds: float = 5.0, watts: float | None = None, limit: float = 400.0
    ) -> None:
        """What the posts of this time show."""
        self.entry = entry
        metrics = {} if watts is None else {"sys.gpu.power_w": {"device": [0], "value": [watts]}}
        if watts is not None:
            metrics["sys.gpu.power_limit_w"] = {"device": [0], "value": [limit]}
        for _ in range(round(seconds / 5)):
            self.mono_s += 5
            self.watch.see(gpus_of({"gpu": {"g": entry}}), metrics, (), self.mono_s, 15.0)

    def away(self, seconds: float) -> None:
        self.mono_s += seconds - 5  # the next post is at its end

    @property
    def now(self) -> tuple[str, float, float | None]:
        """What it is, for how long, and how long it hasn't worked."""
        (now,) = self.watch.gpus_now(gpus_of({"gpu": {"g": self.entry}}), self.mono_s)
        worked = None if now.worked_mono_s is None else self.mono_s - now.worked_mono_s
        return now.what, self.mono_s - now.since_mono_s, worked


@pytest.mark.parametrize(
    ("entry", "condition"),
    [
        (posts.gpu(0, util=0, used_mib=0), "free"),
        (posts.gpu(0, util=4.9, used_mib=1023.9), "free"),
        (posts.gpu(0, util=5), "works"),
        (posts.gpu(0, used_mib=1024), "held"),
        (posts.gpu(0, used_mib=500, total_mem=8000.0), "held"),
        (posts.gpu(0, users={"bob": {"1": {"mem": 300.0, "name": "python"}}}), "occupied"),
        (posts.gpu(0, users={"bob": {"1": {"mem": None, "name": None}}}), "occupied"),
        (posts.gpu(0, users={"root": {"1": {"mem": 19.0, "name": "Xorg"}}}), "free"),
        (posts.gpu(0, users={"bob": {}}), "free"),
        (posts.gpu(0, gpu_util=None), "unknown"),
        (posts.gpu(0, gpu_util=None, used_mib=9000), "unknown"),
        (posts.gpu(0, used_mem=None), "unknown"),
        (posts.gpu(0, util=50, used_mem=None), "works"),
        (posts.gpu(0, total_mem=None), "unknown"),
        (posts.gpu(0, state="hung"), "hung"),
        (posts.gpu(0, state="error"), "error"),
        (posts.gpu(0, gpu_util=None, mig=[]), "unknown"),
        (posts.gpu(0, gpu_util=None, mig=[{"name": "1g", "total_mem": 9728.0, "used_mem": 12.0}]), "free"),
        (posts.gpu(0, gpu_util=None, mig=[{"name": "1g", "total_mem": 9728.0, "used_mem": None}]), "unknown"),
        (posts.gpu(0, gpu_util=None, mig=[{"name": "1g", "total_mem": 9728.0, "used_mem": 2000.0}]), "split"),
        (posts.gpu(0, mig=[{"name": "1g", "total_mem": 9728.0, "used_mem": 12.0, "pids": [7]}]), "split"),
    ],
)
def test_what_a_gpu_does_by_one_reading(entry: posts.Post, condition: str) -> None:
    (gpu,) = gpus_of({"gpu": {"g": entry}})
    assert condition_of(gpu) == condition
    assert gpu.is_free is (condition == "free")


def test_held_for_ten_minutes_is_idle() -> None:
    seen = Seen()
    seen.see(WORKS, 60)
    assert seen.now == ("busy", 55, 0)
    seen.see(HELD, 600)
    assert seen.now == ("busy", 655, 600)
    seen.see(HELD)
    assert seen.now == ("idle", 0, 605)
    seen.see(HELD, 3600)
    assert seen.now == ("idle", 3600, 4205)


def test_a_moment_of_work_ends_being_idle() -> None:
    seen = Seen()
    seen.see(HELD, 700)
    assert seen.now[0] == "idle"
    seen.see(WORKS)
    assert seen.now == ("busy", 0, 0)
    seen.see(HELD, 595)
    assert seen.now == ("busy", 595, 595)


def test_who_pauses_for_less_has_been_busy_all_along() -> None:
    seen = Seen()
    for _ in range(10):
        seen.see(WORKS, 60)
        seen.see(HELD, 540)
    assert seen.now == ("busy", 5995, 540)


def test_of_a_gpu_that_is_held_at_the_first_post_only_what_was_seen_is_told() -> None:
    seen = Seen()
    seen.see(HELD)
    assert seen.now == ("busy", 0, 0)
    seen.see(HELD, 900)
    assert seen.now == ("idle", 300, 900)


def test_free_lost_and_back() -> None:
    seen = Seen()
    seen.see(FREE, 300)
    assert seen.now == ("free", 295, None)
    seen.see(LOST, 100)
    assert seen.now == ("lost", 95, None)
    seen.see(HELD, 50)
    assert seen.now == ("busy", 45, 45)


def test_the_time_a_host_was_away_counts_as_nothing() -> None:
    seen = Seen()
    seen.see(HELD, 305)
    seen.away(500)
    seen.see(HELD)
    assert seen.now == ("busy", 300, 300)
    seen.see(HELD, 300)
    assert seen.now == ("idle", 0, 600)


def test_after_a_long_absence_everything_begins_anew() -> None:
    seen = Seen()
    seen.see(HELD, 5000)
    assert seen.now[0] == "idle"
    seen.away(601)
    seen.see(HELD)
    assert seen.now == ("busy", 0, 0)


def test_a_gpu_that_draws_much_power_works_whatever_its_utilisation_says() -> None:
    seen = Seen()
    seen.see(FREE, 60, watts=60)
    seen.see(HELD, 900, watts=120)  # clocks up, no work
    assert seen.now[0] == "idle"
    seen.see(HELD, 900, watts=200)
    assert seen.now == ("busy", 895, 0)


def test_power_that_cannot_be_says_nothing() -> None:
    seen = Seen()
    seen.see(FREE, 60, watts=60)
    seen.see(HELD, 900, watts=1e15)
    assert seen.now[0] == "idle"


def test_the_floor_is_learnt_only_from_a_gpu_that_has_been_free_for_a_while() -> None:
    seen = Seen()
    seen.see(FREE, 25, watts=60)
    seen.see(HELD, 900, watts=390)
    assert seen.now[0] == "idle"  # power decides nothing where the floor isn't known


def test_a_gpu_never_seen_free_takes_its_models_floor() -> None:
    floors = Floors()
    Seen(floors).see(FREE, 60, watts=60)
    other = Seen(floors)
    other.see(HELD, 900, watts=300)
    assert other.now[0] == "busy"


def test_near_the_floor_is_a_quarter_of_the_way_up() -> None:
    assert is_near(50, 137.5, 400)
    assert not is_near(50, 137.6, 400)
    assert is_near(20, 45, None)
    assert not is_near(20, 45.1, None)
    assert is_near(100, 125, 100)


def test_the_floors_of_invented_models_are_bounded() -> None:
    floors = Floors()
    for number in range(MOST_MODELS + 5):
        floors.learn(f"model {number}", 50)
    assert floors.of(f"model {MOST_MODELS - 1}") == 50
    assert floors.of(f"model {MOST_MODELS}") is None


def test_marks_follow_the_uuid_when_an_index_moves_and_go_with_the_gpu() -> None:
    seen = Seen()
    first, second = posts.gpu(0), posts.gpu(1)
    watch, post = seen.watch, {"gpu": {"a": first, "b": second}}
    watch.see(gpus_of(post), {}, (), 100.0, 15.0)
    moved = {"gpu": {"a": second | {"index": 0}}}
    watch.see(gpus_of(moved), {}, (), 105.0, 15.0)
    assert watch.gpus_now(gpus_of(moved), 110.0)[0].since_mono_s == 100.0
    watch.see(gpus_of(post), {}, (), 110.0, 15.0)
    assert watch.gpus_now(gpus_of(post), 110.0)[0].since_mono_s == 110.0


def test_troubles_are_told_with_since_when() -> None:
    watch = Watch(Floors(), 600.0)
    watch.see((), {}, ("clock",), 10.0, 15.0)
    watch.see((), {}, ("clock", "mole:disk"), 20.0, 15.0)
    assert (watch.trouble_since("clock"), watch.trouble_since("mole:disk")) == (10.0, 20.0)
    watch.see((), {}, ("mole:disk",), 30.0, 15.0)
    assert (watch.trouble_since("clock"), watch.trouble_since("mole:disk")) == (None, 20.0)
    watch.see((), {}, (), 40.0, 15.0)
    assert watch.trouble_since("mole:disk") is None


def test_a_hung_driver_hides_the_gpus_which_are_hung_since_then() -> None:
    seconds = [0.0]
    hosts = Hosts(Live(), Clock(lambda: seconds[0]))

    def post(**sections: Any) -> None:
        each = posts.host_post("gpu01", **sections)
        hosts.record(each, points_of_post(each))

    post(gpus=2)
    seconds[0] = 100
    post(gpu={"gpu_error": posts.GPU_ERROR | {"state": "hung"}})
    seconds[0] = 130
    host = hosts.get("gpu01")
    assert host is not None
    _, gpus = hosts.gpus_now(host, host.latest.hidden_gpus)
    assert [(gpu.what, gpu.since_mono_s) for gpu in gpus] == [("hung", 100), ("hung", 100)]
    assert host.watch.trouble_since("gpu") == 100


def test_reading_while_posts_come_is_whole() -> None:
    hosts = Hosts(Live())
    ended = threading.Event()
    broken: list[str] = []

    def read() -> None:
        while not ended.is_set():
            for host in hosts.all():
                gpus = gpus_of(host.latest.post)
                broken.extend(now.what for now in hosts.gpus_now(host, gpus)[1] if now.what not in ("busy", "free"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        post = posts.host_post("gpu01", gpus=number % 8 + 1)
        hosts.record(post, points_of_post(post))
    ended.set()
    reader.join()
    assert broken == []
