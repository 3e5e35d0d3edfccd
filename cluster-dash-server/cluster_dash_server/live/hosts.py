"""Takes posts with their points, gives every host as it is now: its latest post, how old it is, its recent history."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from ..config import Live
from ..gpus import Gpu, gpu_error_of, gpus_of
from ..points import Points
from .budget import Budget
from .events import Events, compact
from .history import RecentHistory
from .rows import SeriesColumns, columns

OFFLINE_AFTER_S = 600
STALE_AFTER_S = 15
STALE_AFTER_INTERVALS = 3
SKEW_SHOWN_FROM_S = 5
DEFAULT_INTERVAL_S = 300
"""A post without the `mole` section doesn't tell its interval; the original mole's default."""
LONGEST_INTERVAL_S = 86_400.0
MIB = 2**20


class HostsFull(Exception):
    """One more host than the settings allow; those that are known go on."""


@dataclass(frozen=True, slots=True)
class Latest:
    """A host's newest post. Replaced as a whole and never changed, so it is read without a lock."""

    document: bytes
    """The post as JSON, without its auth_code. Thousands of posts kept decoded would slow each decoding down."""
    timestamp: float
    """Unix seconds by the host's clock."""
    interval_s: float | None
    """How often its mole says that it posts."""
    received_at: float
    received_mono_s: float
    hidden_gpus: list[Gpu]
    """Where its driver tells nothing of any GPU: those of before, without their values."""

    @property
    def post(self) -> dict[str, Any]:
        """Decoded anew each time."""
        return orjson.loads(self.document)

    @property
    def skew_s(self) -> float | None:
        """How far the host's clock is ahead of the server's; None while that is within what a post's way takes."""
        skew = self.timestamp - self.received_at
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
    events: Events


def _latest(post: dict[str, Any], received_at: float, mono_s: float, before: Latest | None) -> Latest:
    interval = post.get("mole", {}).get("interval_s")
    return Latest(
        compact(post),
        float(post["timestamp"]),
        None if interval is None else min(float(interval), LONGEST_INTERVAL_S),
        received_at,
        mono_s,
        _hidden_gpus(post, before),
    )


def _hidden_gpus(post: dict[str, Any], before: Latest | None) -> list[Gpu]:
    error = gpu_error_of(post)
    if error is None or before is None or gpus_of(post):
        return []
    known = before.hidden_gpus or gpus_of(before.post)
    return [gpu.unreadable(*error) for gpu in known]


class Kept(NamedTuple):
    """How far the history is promised to go back, what share of that there is memory for, and how much memory."""

    recent_s: float
    headline_s: float
    share: float
    memory_mib: int


class Hosts:
    def __init__(self, settings: Live, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._hosts: dict[str, Host] = {}
        self._budget = Budget(settings.memory_mib * MIB)

    def record(self, post: dict[str, Any], points: Points, received_at: float) -> None:
        """Raises HostsFull."""
        name, mono_s = post["hostname"], self._monotonic()
        known = self._hosts.get(name)
        latest = _latest(post, received_at, mono_s, known.latest if known else None)
        with self._lock:
            host = self._hosts.get(name) or self._add(name, latest)
            host.latest = latest
            host.events.extend(post.get("events", ()))
            host.history.append(received_at, mono_s, points, latest.stale_after_s)

    def _add(self, name: str, latest: Latest) -> Host:
        if len(self._hosts) >= self._settings.max_hosts:
            raise HostsFull(f"this server keeps {self._settings.max_hosts} hosts ([live] max_hosts) and has as many")
        history = RecentHistory(self._settings.recent_minutes * 60, self._settings.headline_hours * 3600)
        return self._hosts.setdefault(name, Host(name, latest, history, Events()))

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
            return host.events.newest_first()

    def series(self, host: Host, *metrics: str) -> list[SeriesColumns]:
        """Every series of these metrics in the last minutes, by metric, device, tags; rows belong together."""
        with self._lock:
            segments = host.history.recent_segments()
        return columns(segments, metrics)

    def headline(self, host: Host, *metrics: str) -> list[SeriesColumns]:
        """The same by the minute in the last hours, of the metrics in `minutes.HEADLINE`."""
        with self._lock:
            segments = host.history.minute_segments()
        return columns(segments, metrics)

    def kept(self, host: Host | None = None) -> Kept:
        """Of one host, or in general."""
        settings = self._settings
        share = host.history.share if host else self._budget.share
        return Kept(settings.recent_minutes * 60, settings.headline_hours * 3600, share, settings.memory_mib)

    def keep_within_memory(self) -> None:
        """Forgets what is too old, and for want of memory what is less old."""
        self._budget.keep([host.history for host in self.all()], self._forget)

    def _forget(self, history: RecentHistory) -> None:
        with self._lock:
            history.forget(self._monotonic())
