"""Takes a scenario, a number of hosts and a seed, gives the fleet: each host's posts and the truth about it.

    fleet = Fleet(hosts=24, seed=1, began_at=time.time())
    fleet.post(3, fleet.began_at + 60)   # the newest post of the host 3 a minute later
    fleet.truth(3, fleet.began_at + 60)  # what is true of it then

Nothing here reads a clock: the same arguments give the same bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cluster_dash_mole.simulate.facts import Facts
from cluster_dash_mole.simulate.host import Host
from cluster_dash_mole.simulate.people import list_people
from cluster_dash_mole.simulate.scenario import DEMO_HOSTS, HostPlan, plan_hosts
from cluster_dash_mole.simulate.timing import Timing
from cluster_dash_mole.simulate.week import HOUR_S, Week, plan_week

if TYPE_CHECKING:
    from cluster_dash_mole.simulate.metrics import Shape
    from cluster_dash_mole.simulate.template import Template
    from cluster_dash_mole.simulate.truth import HostTruth

DEFAULT_START_S = 34 * HOUR_S  # Tuesday at 10 in the morning
DEFAULT_BEGAN_AT = 1795514400.0  # for whoever needs no posts of now
_WEEKS = 61  # so many plans at most for hosts that are alike: making one takes some milliseconds


class Fleet:
    """Simulated hosts, by their index. Times are Unix seconds by a clock that is right.

    `speed` is how many seconds of the lab's week pass in one, `start_s` where in the week it begins (from Monday 0:00).
    The hosts' posts are `spread` over the interval, or all made at the same moment.
    """

    def __init__(
        self,
        hosts: int = DEMO_HOSTS,
        seed: int = 1,
        *,
        scenario: str = "demo",
        gpus_per_host: int = 8,
        interval_s: float = 5.0,
        began_at: float = DEFAULT_BEGAN_AT,
        speed: float = 60.0,
        start_s: float = DEFAULT_START_S,
        spread: bool = True,
    ) -> None:
        self.began_at, self.interval_s = began_at, interval_s
        self.timing = Timing(began_at, interval_s, start_s, speed)
        self._seed, self._spread = str(seed), spread
        self._people = list_people(hosts // 4)
        self._weeks: dict[tuple[int, int], Week] = {}
        self._templates: dict[Shape, Template] = {}
        plans = plan_hosts(scenario, self._seed, hosts, gpus_per_host)
        self.hosts = [self._make_host(plan, number, len(plans)) for number, plan in enumerate(plans)]

    def _make_host(self, plan: HostPlan, number: int, hosts: int) -> Host:
        phase_s = self.interval_s * number / hosts if self._spread else 0.0
        week = self._find_week(plan, number)
        return Host(Facts(plan, self._seed, self.timing, phase_s, self._people), week, self._templates)

    def _find_week(self, plan: HostPlan, number: int) -> Week:
        pinned, kept_free = plan.pinned_jobs(self._seed), (*plan.mig, *plan.lost)
        if pinned or kept_free:
            return plan_week(f"{self._seed} {plan.name}", plan.gpus, pinned, kept_free)
        key = (plan.gpus, number % _WEEKS)
        if key not in self._weeks:
            self._weeks[key] = plan_week(f"{self._seed} week {key}", plan.gpus)
        return self._weeks[key]

    def __len__(self) -> int:
        return len(self.hosts)

    @property
    def names(self) -> list[str]:
        """Of the hosts, by index."""
        return [host.plan.name for host in self.hosts]

    def body(self, host: int, number: int) -> str:
        """The post of that number as JSON, without auth_code."""
        return self.hosts[host].render(number)

    def post(self, host: int, at: float) -> dict[str, Any]:
        """The newest post of that host at that time, without auth_code. LookupError before its first."""
        facts = self.hosts[host].facts
        number = facts.number_at(at)
        while not facts.is_sending(number):
            number -= 1
        if number < 0:
            raise LookupError(f"{facts.plan.name} has not posted yet at {at}: it began at {self.began_at}")
        return json.loads(self.body(host, number))

    def truth(self, host: int, at: float) -> HostTruth:
        """What is true of that host at that time."""
        return self.hosts[host].tell(at)
