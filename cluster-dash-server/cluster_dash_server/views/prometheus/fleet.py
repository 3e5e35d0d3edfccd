"""Takes the live hosts, gives their states, and the latest values of those that are up, as lines of Prometheus' format.

A host that is stale or offline has no values here: they aren't those of now, and Prometheus would take them for it. Its
`cluster_dash_host_up` is 0 and stays, as long as the server knows the host.

The lines are written here, not by prometheus_client: at 18 us a line it took 2.3 s of CPU for 1,000 hosts of 8 GPUs, in
which posts had to wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ...gpus import gpus_of
from ...live.host import Host, Latest
from ...live.hosts import Hosts
from ...points import Layout, SeriesKey, points_of_post
from .names import PREFIX, SERVER, Family, family_of, labels_of

STATES = ("up", "stale", "offline", "silent")
MOST_SERIES = 2_000
"""Of one host."""
OURS = {
    PREFIX + name: about
    for name, about in (
        ("hosts", "how many are in each state"),
        ("host_up", "1: it posts. 0: its posts stopped, or never came"),
        ("host_post_age_seconds", "since its latest post came, by the server's clock"),
        ("gpu_info", "1, for its labels"),
        ("gpu_state", "1, for what it does: free, busy, idle (held), lost, hung, error, unknown"),
    )
}


class _Place(NamedTuple):
    """Where a value of a row goes."""

    at: int
    metric: str
    family: Family
    start: str
    """Of its line, up to the host's name."""


class FleetText:
    """`expected` are hosts that should report, see `[hosts] expected`."""

    def __init__(self, hosts: Hosts, expected: Iterable[str]) -> None:
        self._hosts, self._expected = hosts, tuple(expected)
        self._places: WeakKeyDictionary[Layout, list[_Place]] = WeakKeyDictionary()

    def text(self) -> bytes:
        found = _Families()
        known = self._hosts.all()
        names = {host.name for host in known}
        counts: dict[str, int] = dict.fromkeys(STATES, 0)
        for host in known:
            latest = host.latest  # once: the next post may come while this one is read
            age_s = self._hosts.age_s(latest)
            status = latest.status(age_s)
            counts[status] += 1
            found.add("host_up", {"host": host.name}, int(status == "up"))
            found.add("host_post_age_seconds", {"host": host.name}, round(age_s, 3))
            if status == "up":
                self._add_values(found, host, latest)
        for name in self._expected:
            if name not in names:
                counts["silent"] += 1
                found.add("host_up", {"host": name}, 0)
        for state, count in counts.items():
            found.add("hosts", {"state": state}, count)
        return found.text()

    def _add_values(self, found: _Families, host: Host, latest: Latest) -> None:
        post = latest.post
        gpus = latest.hidden_gpus or gpus_of(post)
        for gpu, now in zip(gpus, self._hosts.gpus_now(host, gpus)[1], strict=True):
            ours = {"host": host.name, "gpu": gpu.number}
            found.add("gpu_info", {**ours, "uuid": gpu.uuid or "", "model": gpu.name}, 1)
            found.add("gpu_state", {**ours, "state": now.what}, 1)
        points = points_of_post(post)
        end = f'{_escaped(host.name)}"}} '
        for place in self._places_of(points.layout):
            value = points.row[place.at]
            if not math.isnan(value):
                found.add_line(place, f"{place.start}{end}{value * place.family.times / place.family.per!r}\n")

    def _places_of(self, layout: Layout) -> list[_Place]:
        """Each series once, whatever was sent; made once for all hosts that report alike."""
        places = self._places.get(layout)
        if places is None:
            found: dict[str, _Place] = {}
            for at, (key, unit) in enumerate(zip(layout.series, layout.units, strict=True)):
                family, start = _start_of(key, unit)
                if not family.name.startswith(SERVER) and family.name not in OURS:
                    found.setdefault(start, _Place(at, key.metric, family, start))
            places = self._places[layout] = list(found.values())[:MOST_SERIES]
        return places


class _Families:
    """Lines by family, as the format wants them."""

    def __init__(self) -> None:
        self._ours: dict[str, list[str]] = {name: [] for name in OURS}
        self._reported: dict[str, tuple[_Place, list[str]]] = {}

    def add(self, name: str, labels: dict[str, str], value: float) -> None:
        self._ours[PREFIX + name].append(f"{PREFIX}{name}{{{_written(labels)}}} {value!r}\n")

    def add_line(self, place: _Place, line: str) -> None:
        """Of two metrics with the same name here the first is told."""
        first, lines = self._reported.setdefault(place.family.name, (place, []))
        if first.metric == place.metric:
            lines.append(line)

    def text(self) -> bytes:
        parts = [_head(name, OURS[name]) + "".join(lines) for name, lines in self._ours.items() if lines]
        for name, (place, lines) in self._reported.items():
            parts += [_head(name, place.family.about), *lines]
        return "".join(parts).encode()


@lru_cache(maxsize=20_000)
def _start_of(key: SeriesKey, unit: str) -> tuple[Family, str]:
    """Of a series' lines, up to the host's name."""
    family = family_of(key.metric, unit)
    return family, f"{family.name}{{{_written({**labels_of(key), 'host': ''})[:-1]}"


def _head(name: str, about: str) -> str:
    about = about.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {about}\n# TYPE {name} gauge\n"


def _written(labels: dict[str, str]) -> str:
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in labels.items()])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
