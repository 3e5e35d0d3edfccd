"""Takes posts with their points, gives every host as it is now: its latest post, how old it is, its recent history."""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..config import Live
from ..gpus import Gpu, gpu_error_of, gpus_of
from ..points import Points
from .history import RecentHistory, SeriesKey

OFFLINE_AFTER_S = 600
STALE_AFTER_S = 15
STALE_AFTER_INTERVALS = 3
SKEW_SHOWN_FROM_S = 5
MAX_EVENTS = 200
DEFAULT_INTERVAL_S = 300
"""A post without the `mole` section doesn't tell its interval; the original mole's default."""


class HostsFull(Exception):
    """One more host than the settings allow; those that are known go on."""


@dataclass(frozen=True, slots=True)
class Latest:
    """A host's newest post. Replaced as a whole and never changed, so it is read without a lock."""

    post: dict[str, Any]
    """Without its auth_code."""
    received_at: float
    received_mono_s: float
    gpus: list[Gpu]
    gpu_error: tuple[str, str] | None
    """(state, text) where the mole could read no GPU at all."""
    known_gpus: list[Gpu]
    """`gpus`; where none could be read those of before, without their values."""

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

    @property
    def stale_after_s(self) -> float:
        """Three of its intervals, at least 15 s."""
        return max(STALE_AFTER_S, STALE_AFTER_INTERVALS * (self.interval_s or DEFAULT_INTERVAL_S))

    def status(self, age_s: float) -> str:
        """up, stale or offline (10 minutes, for a mole that posts seldom its own three intervals)."""
        if age_s > max(OFFLINE_AFTER_S, self.stale_after_s if self.interval_s else 0):
            return "offline"
        return "stale" if age_s > self.stale_after_s else "up"


@dataclass(slots=True)
class Host:
    name: str
    latest: Latest
    history: RecentHistory
    events: deque[dict[str, Any]]
    """The newest MAX_EVENTS that its posts told, in the order of their coming."""


def _latest(post: dict[str, Any], received_at: float, mono_s: float, before: Latest | None) -> Latest:
    gpus, gpu_error = gpus_of(post), gpu_error_of(post)
    known = gpus
    if gpu_error and not gpus and before:
        known = [gpu.unreadable(*gpu_error) for gpu in before.known_gpus]
    return Latest(post, received_at, mono_s, gpus, gpu_error, known)


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
        name, mono_s = post["hostname"], self._monotonic()
        known = self._hosts.get(name)
        latest = _latest(post, received_at, mono_s, known.latest if known else None)
        with self._lock:
            host = self._hosts.get(name) or self._add(name, latest)
            host.latest = latest
            host.events.extend(post.get("events", []))
            host.history.append(received_at, mono_s, points, latest.stale_after_s)

    def _add(self, name: str, latest: Latest) -> Host:
        if len(self._hosts) >= self._settings.max_hosts:
            raise HostsFull(f"this server keeps {self._settings.max_hosts} hosts ([live] max_hosts) and has as many")
        history = RecentHistory(self._settings.history_rows, self._settings.history_max_age_s)
        return self._hosts.setdefault(name, Host(name, latest, history, deque(maxlen=MAX_EVENTS)))

    def __len__(self) -> int:
        return len(self._hosts)

    def all(self) -> list[Host]:
        """By name."""
        with self._lock:
            return sorted(self._hosts.values(), key=lambda host: host.name)

    def get(self, name: str) -> Host | None:
        return self._hosts.get(name)

    def age_s(self, latest: Latest) -> float:
        """Since it came, by a clock that nobody sets."""
        return max(0.0, self._monotonic() - latest.received_mono_s)

    def events(self, host: Host) -> list[dict[str, Any]]:
        """The newest first."""
        with self._lock:
            return sorted(host.events, key=lambda event: -event["time"])

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
