"""Takes what the server does its work with, gives how that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ...background import Background
from ...counts import Counts
from ..stream import Held
from .names import SERVER

if TYPE_CHECKING:
    from ...store.store import Store


class ServerCollector:
    def __init__(
        self, version: str, counts: Counts, background: list[Background], held: Held, store: Store | None
    ) -> None:
        self._version, self._counts, self._background = version, counts, background
        self._held, self._store = held, store

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(SERVER + "info", "1, for its label", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        taken = CounterMetricFamily(
            SERVER + "posts", "posts that were answered with success: new, duplicate, late", labels=["as"]
        )
        for seen, count in self._counts.taken().items():
            taken.add_metric([seen.name.lower()], count)
        yield taken
        refused = CounterMetricFamily(
            SERVER + "posts_refused", "posts that were refused, by HTTP status", labels=["code"]
        )
        for code, count in sorted(self._counts.refused().items()):
            refused.add_metric([str(code)], count)
        yield refused
        yield GaugeMetricFamily(SERVER + "held_streams", "open GET /stream that hold a thread each", self._held.open)
        up = GaugeMetricFamily(SERVER + "step_up", "whether a background step does its work", labels=["step"])
        failures = CounterMetricFamily(SERVER + "step_failures", "how often it failed", labels=["step"])
        for step in self._background:
            up.add_metric([step.name], step.state not in ("failing", "dead"))
            failures.add_metric([step.name], step.failures)
        yield up
        yield failures
        if self._store is not None:
            yield from _of_store(self._store)


def _of_store(store: Store) -> Iterator[Metric]:
    facts = store.facts()
    for name, about, value in (
        ("up", "whether the store took what was to be carried last", facts.is_taking),
        (
            "behind_seconds",
            "since all that was acknowledged was there; up to 5 s is its pace",
            facts.behind_s,
        ),
        ("journal_bytes", "on disk, what waits for the store", facts.journal_bytes),
        ("journal_limit_bytes", "where posts are refused", facts.journal_most_bytes),
    ):
        yield GaugeMetricFamily(f"{SERVER}store_{name}", about, value)
