"""Takes metrics of hosts and spans of time, gives each host's means in each span from the store."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .series import Grid, Selection, read_buckets
from .tables import TIERS

if TYPE_CHECKING:
    from .store import Store

Means = dict[tuple[int, str], dict[str, float]]
"""By the span's start, Unix seconds, and the host: its metrics, without those of which it told nothing."""


def read_means(store: Store, metrics: tuple[str, ...], width_s: int, start_s: float, end_s: float) -> Means:
    """In order of time and host. A span begins at a multiple of `width_s`, and holds whole buckets of a tier.

    Raises TooMuch, TooSlow, StoreAway.
    """
    tier = max(at for at, each in enumerate(TIERS, 1) if width_s % each.bucket_s == 0)
    found: Means = {}
    for series in read_buckets(store, Selection(metrics, start_s, end_s, run_id=""), Grid(tier, width_s)):
        for started_at, mean in zip(series.time.tolist(), series.mean.tolist(), strict=True):
            if math.isfinite(mean):
                found.setdefault((int(started_at), series.host), {})[series.metric] = mean
    return dict(sorted(found.items()))
