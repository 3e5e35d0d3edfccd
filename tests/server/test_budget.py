"""Memory for history: shorter for all alike where it isn't enough, and no host eats the others'."""

from __future__ import annotations

import pytest

from cluster_dash_server.config import Live
from cluster_dash_server.live.budget import Budget
from cluster_dash_server.live.clock import Clock
from cluster_dash_server.live.history import RecentHistory
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.points import NO_DEVICE, Layout, Points, SeriesKey

MIB = 2**20
CPU = SeriesKey("sys.cpu_percent", NO_DEVICE, "")


class Fleet:
    """Hosts that post rows of any width at 5 s; the background step runs every 10 s."""

    def __init__(self, **settings: float) -> None:
        self.now_s = 0.0
        self.hosts = Hosts(Live(**settings), Clock(lambda: self.now_s))  # pyright: ignore[reportArgumentType]
        self._layouts: dict[int, Layout] = {}

    def points(self, name: str, series: int) -> Points:
        if series not in self._layouts:
            keys = [CPU, *(SeriesKey(f"m{number}", 0, "") for number in range(series - 1))]
            self._layouts[series] = Layout(keys, [""] * series)
        return Points(name, self.now_s, self._layouts[series], [1.0] * series)

    def run(self, seconds: int, names: dict[str, int], times_each: dict[str, int] | None = None) -> None:
        """`names`: the series of each host."""
        for _ in range(0, seconds, 5):
            self.now_s += 5
            for name, series in names.items():
                post = {"hostname": name, "timestamp": 0, "cpu": {}, "gpu": {}, "mole": {"interval_s": 5}}
                for _ in range((times_each or {}).get(name, 1)):
                    self.hosts.record(post, self.points(name, series))
            if self.now_s % 10 == 0:
                self.hosts.keep_within_memory()

    @property
    def bytes(self) -> int:
        return sum(host.history.bytes for host in self.hosts.all())

    def span_s(self, name: str) -> float:
        host = self.hosts.get(name)
        assert host is not None
        (cpu,) = self.hosts.series(host, "sys.cpu_percent")
        return cpu.time[-1] - cpu.time[0]


def test_with_memory_enough_every_host_has_what_is_promised() -> None:
    fleet = Fleet()
    fleet.run(1800, {"a": 100, "b": 400})
    assert fleet.hosts.kept().share == 1
    assert fleet.span_s("a") >= 900
    assert fleet.span_s("b") >= 900


def test_where_memory_is_short_the_history_is_shorter_for_all_alike_and_fits() -> None:
    fleet = Fleet(memory_mib=1)
    hosts = {f"gpu{number}": 60 if number % 2 else 120 for number in range(40)}
    fleet.run(1800, hosts)
    assert fleet.bytes <= 1.1 * MIB
    spans = [fleet.span_s(name) for name in hosts]
    assert max(spans) - min(spans) <= 16 * 5
    assert fleet.hosts.kept().share * 900 == pytest.approx(sum(spans) / len(spans), abs=100)
    assert 100 < min(spans) < 500


def test_room_for_rows_to_come_goes_before_the_rows_that_are_there() -> None:
    fleet = Fleet(memory_mib=1)
    fleet.run(10, {f"gpu{number}": 300 for number in range(80)})
    assert fleet.bytes <= MIB
    assert fleet.hosts.kept().share > 0.2
    assert fleet.span_s("gpu0") == 5


def test_thousands_of_hosts_too_many_are_looked_at_a_few_times() -> None:
    histories = [RecentHistory(900, 86_400) for _ in range(50)]
    keys = [SeriesKey(f"m{number}", 0, "") for number in range(300)]
    points = Points("gpu", 0.0, Layout(keys, [""] * 300), [1.0] * 300)
    for history in histories:
        for time in range(0, 900, 5):
            history.append(time, points, 15.0)
    looks = 0

    def forget(history: RecentHistory) -> None:
        nonlocal looks
        looks += 1
        history.forget(900)

    Budget(MIB // 2).keep(histories, forget)
    assert sum(history.bytes for history in histories) <= MIB // 2
    assert looks <= 20 * len(histories)


def test_the_history_grows_again_when_hosts_have_gone() -> None:
    fleet = Fleet(memory_mib=1, headline_hours=1)
    fleet.run(1200, {f"gpu{number}": 120 for number in range(30)})
    short = fleet.hosts.kept().share
    assert short < 0.6
    fleet.run(4800, {"gpu0": 120, "gpu1": 120})
    assert fleet.hosts.kept().share == 1
    assert fleet.span_s("gpu0") >= 900


def test_a_host_that_sends_much_more_is_cut_before_the_others() -> None:
    fleet = Fleet(memory_mib=4)
    fleet.run(1800, {**{f"gpu{number}": 100 for number in range(30)}, "greedy": 2000}, {"greedy": 5})
    assert fleet.bytes <= 4.4 * MIB
    assert fleet.hosts.kept().share == 1
    assert fleet.span_s("gpu0") >= 900
    greedy = fleet.hosts.get("greedy")
    assert greedy is not None
    assert fleet.hosts.kept(greedy).share < 0.5


def test_with_hosts_beyond_all_memory_each_keeps_a_few_rows() -> None:
    fleet = Fleet(memory_mib=1)
    fleet.run(300, {f"gpu{number}": 300 for number in range(200)})
    assert fleet.span_s("gpu0") >= 5
    assert fleet.bytes <= 2 * MIB
