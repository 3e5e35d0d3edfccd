"""Takes when something was by its host's clock, gives when it counts as."""

from __future__ import annotations

FUTURE_S = 600.0
PAST_S = 31 * 86_400.0


def dated(time_s: float, received_s: float) -> float:
    """The host's own time. One more than 10 minutes ahead or 31 days ago is a clock that was never set, and counts as
    the time when it came. All in Unix seconds.
    """
    return time_s if -PAST_S < time_s - received_s < FUTURE_S else received_s
