"""Takes a host's post, holds the host as it is now: its latest post, how old it is, and all that is kept beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..gpus import Gpu, gpu_error_of, gpus_of
from .claim import Claim
from .document import Document
from .events import Events
from .history import RecentHistory
from .watch import Watch

OFFLINE_AFTER_S = 600
STALE_AFTER_S = 15
STALE_AFTER_INTERVALS = 3
DEFAULT_INTERVAL_S = 300
"""A post without the `mole` section doesn't tell its interval; the original mole's default."""
LONGEST_INTERVAL_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Latest:
    """A host's newest post. Replaced as a whole and never changed, so it is read without a lock."""

    document: Document
    """The post as JSON, without its auth_code. Thousands of posts kept decoded would slow each decoding down."""
    timestamp: float
    """Unix seconds by the host's clock."""
    interval_s: float | None
    """How often its mole says that it posts."""
    received_mono_s: float
    hidden_gpus: list[Gpu]
    """Where its driver tells nothing of any GPU: those of before, without their values."""
    epoch: str | None = None
    """Which boot of its host and start of its mole it is of."""
    delay_s: float = 0.0
    """How much longer than others of its mole the post was on its way, by its clock since boot."""

    @property
    def post(self) -> dict[str, Any]:
        """Decoded anew each time."""
        return self.document.read()

    def skew_s(self, offset_s: float) -> float:
        """How far the host's clock is ahead of the server's, less what the post's way took as far as that is known.

        What a post was late explains no more than a clock that seems behind.
        """
        skew_s = self.timestamp - (self.received_mono_s + offset_s)
        return skew_s if skew_s >= 0 else min(0.0, skew_s + self.delay_s)

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
    claim: Claim
    events: Events
    watch: Watch


def latest_of(post: dict[str, Any], document: Document, mono_s: float, before: Latest | None) -> Latest:
    """`document` is the post as it is kept; `before` the one that it follows."""
    mole = post.get("mole", {})
    interval = mole.get("interval_s")
    return Latest(
        document,
        float(post["timestamp"]),
        None if interval is None else min(float(interval), LONGEST_INTERVAL_S),
        mono_s,
        _hidden_gpus(post, before),
        mole.get("epoch"),
    )


def _hidden_gpus(post: dict[str, Any], before: Latest | None) -> list[Gpu]:
    error = gpu_error_of(post)
    if error is None or before is None or gpus_of(post):
        return []
    known = before.hidden_gpus or gpus_of(before.post)
    return [gpu.unreadable(*error) for gpu in known]
