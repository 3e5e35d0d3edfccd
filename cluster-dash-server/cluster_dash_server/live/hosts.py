"""Takes posts with their points, gives every host as it is now: its latest post, how old it is, its recent history."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..config import Live
from ..points import Points
from .history import RecentHistory, SeriesKey

OFFLINE_AFTER_S = 600
STALE_AFTER_S = 15
STALE_AFTER_INTERVALS = 3
SKEW_SHOWN_FROM_S = 5
DEFAULT_INTERVAL_S = 300
"""A post without the `mole` section doesn't tell its interval; the original mole's default."""


class HostsFull(Exception):
    """One more host than the settings allow; those that are known go on."""


@dataclass(slots=True)
class Host:
    """`post` is the latest one, without its auth_code; replaced whole, never changed: it is read without a lock."""

    name: str
    post: dict[str, Any]
    received_at: float
    received_mono_s: float
    first_seen_at: float
    posts: int
    history: RecentHistory

    @property
    def interval_s(self) -> float | None:
        """How often its mole says that it posts."""
        interval = self.post.get("mole", {}).get("interval_s")
        return None if interval is None else float(interval)

    @property
    def skew_s(self) -> float | None:
        """How far the host's clock is ahead of the server's; None while that is within what a post's way takes."""
        skew = float(self.post["timestamp"]) - self.received_at
        return skew if abs(skew) >= SKEW_SHOWN_FROM_S else None

    def status(self, age_s: float) -> str:
        """up, stale (three of its intervals missed, at least 15 s) or offline (10 minutes)."""
        if age_s > OFFLINE_AFTER_S:
            return "offline"
        stale_after_s = max(STALE_AFTER_S, STALE_AFTER_INTERVALS * (self.interval_s or DEFAULT_INTERVAL_S))
        return "stale" if age_s > stale_after_s else "up"


@dataclass(slots=True)
class SeriesColumns:
    """A copy of one series: `time` in Unix seconds, `value` with NaN where there is none."""

    key: SeriesKey
    unit: str
    time: array[float] = field(repr=False)
    value: array[float] = field(repr=False)


class Hosts:
    def __init__(self, settings: Live, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._hosts: dict[str, Host] = {}

    def record(self, post: dict[str, Any], points: Points, received_at: float) -> None:
        """Raises HostsFull."""
        name = post["hostname"]
        with self._lock:
            host = self._hosts.get(name) or self._add(name, post, received_at)
            host.post, host.received_at, host.received_mono_s = post, received_at, self._monotonic()
            host.posts += 1
            gap_after_s = max(STALE_AFTER_S, STALE_AFTER_INTERVALS * (host.interval_s or DEFAULT_INTERVAL_S))
            host.history.append(received_at, points, gap_after_s)

    def _add(self, name: str, post: dict[str, Any], received_at: float) -> Host:
        if len(self._hosts) >= self._settings.max_hosts:
            raise HostsFull(f"this server keeps {self._settings.max_hosts} hosts ([live] max_hosts) and has as many")
        history = RecentHistory(self._settings.history_rows, self._settings.history_max_age_s)
        host = Host(name, post, received_at, self._monotonic(), received_at, 0, history)
        self._hosts[name] = host
        return host

    def __len__(self) -> int:
        return len(self._hosts)

    def all(self) -> list[Host]:
        """By name."""
        with self._lock:
            return sorted(self._hosts.values(), key=lambda host: host.name)

    def get(self, name: str) -> Host | None:
        return self._hosts.get(name)

    def age_s(self, host: Host) -> float:
        """Since its latest post came, by a clock that nobody sets."""
        return max(0.0, self._monotonic() - host.received_mono_s)

    def series(self, host: Host, *metrics: str) -> list[SeriesColumns]:
        """Every series of these metrics in the recent history, by metric, device, tags; rows belong together."""
        with self._lock:
            found = [(key, column[:]) for key, column in host.history.columns.items() if key.metric in metrics]
            time, units = host.history.time[:], dict(host.history.units)
        return [SeriesColumns(key, units[key.metric], time, column) for key, column in sorted(found)]

    def forget_old_history(self, now: float) -> None:
        """What the hosts that post no more left behind; the others forget as they go."""
        for host in self.all():
            with self._lock:
                host.history.forget_before(now - self._settings.history_max_age_s)
