"""Hosts that post without a pause to a server that is killed meanwhile."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING

import posts
import requests
from processes import LONG_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


def numbered(host: str, number: int) -> posts.Post:
    """Its load says which post it is."""
    cpu = {"cpu_percent": number % 100, "load_avgs": [number, 0, 0], "num_cpus": 8}
    return posts.host_post(host, gpus=1, seq=number, cpu=cpu, timestamp=time.time())


class Load:
    """Remembers by host which posts it was told are stored. `url` is asked each time: a server comes back elsewhere."""

    def __init__(self, url: Callable[[], str], hosts: int = 4) -> None:
        self.acknowledged: dict[str, set[int]] = {f"gpu{at}": set() for at in range(hosts)}
        self.sent: dict[str, int] = dict.fromkeys(self.acknowledged, 0)
        self.unanswered = 0
        self._url = url
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(host,)) for host in self.acknowledged]

    def _send(self, host: str) -> None:
        while not self._ending.is_set():
            self.sent[host] += 1
            number = self.sent[host]
            try:
                if requests.post(self._url(), json=numbered(host, number), timeout=LONG_S).ok:
                    self.acknowledged[host].add(number)
            except requests.RequestException:
                self.unanswered += 1
                self._ending.wait(0.02)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        gc.collect()  # a request that failed keeps its socket in a cycle

    @property
    def count(self) -> int:
        """Of all that are stored."""
        return sum(map(len, self.acknowledged.values()))
