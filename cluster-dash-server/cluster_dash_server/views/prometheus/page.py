"""`GET /metrics` in Prometheus' text format. Nothing of it is made but when somebody asks."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

HOLDS_S = 1.0
"""Whoever asks again sooner gets the same: many who ask cost as much as one."""


class Page:
    """`server`: of the server itself; `fleet` gives the text of the hosts."""

    def __init__(self, server: Collector, fleet: Callable[[], bytes], monotonic: Callable[[], float]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(server)
        ProcessCollector(registry=self._registry)
        self._fleet = fleet
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._text, self._until_s = b"", -1.0

    def text(self) -> bytes:
        with self._lock:
            if self._monotonic() >= self._until_s:
                self._text = generate_latest(self._registry) + self._fleet()
                self._until_s = self._monotonic() + HOLDS_S
            return self._text

    def routes(self) -> Blueprint:
        blueprint = Blueprint("metrics", __name__)

        @blueprint.get("/metrics")
        def metrics() -> Response:
            return Response(self.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

        return blueprint
