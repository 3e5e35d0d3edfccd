"""The words for what a host or a GPU is: one for each, on every page, in the text for a terminal and in the filter.

`static/scripts/overview/states.js` has the same for the overview, which is drawn in the browser; a test holds both.
"""

from __future__ import annotations

from typing import Any

HOST_WORDS = {
    "up": "up",
    "fault": "fault",
    "conflict": "conflict",
    "stale": "stale",
    "offline": "offline",
    "silent": "silent",
}
"""By what it is. up: it posts. fault and conflict: it posts too, but a GPU can't be read, or another machine wants its
name. stale, then offline: its posts stopped. silent: the settings expect it, and no post ever came."""

GPU_WORDS = {
    "free": "free",
    "busy": "in use",
    "idle": "held idle",
    "lost": "lost",
    "hung": "hung",
    "error": "error",
    "unknown": "not known",
    "off": "not reporting",
}
"""By what it is, see `condition_of` in gpus.py. off: its host is stale or offline, so all of it are last values."""

PART_WORDS = {
    **{part: GPU_WORDS[part] for part in ("busy", "idle", "free", "unknown", "off")},
    "bad": "lost, hung or error",
}
"""By the parts that the totals count."""


def state_of(host: dict[str, Any]) -> str:
    """Of a host's row: `is`; of one that is up conflict, where another machine wants its name, or fault of a GPU."""
    if host["is"] != "up":
        return host["is"]
    kinds = {note["kind"] for note in host["notes"]}
    return "conflict" if "conflict" in kinds else "fault" if "gpu" in kinds else "up"
