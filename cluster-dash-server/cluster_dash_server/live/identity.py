"""Takes what a post tells of its machine, and the machine that has the name so far; says whether it is the same one,
takes the name over, or is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

LONGEST_ID = 64
REBOOT_SLACK_S = 5.0
"""So long may the last post before a reboot have been on its way."""


class Sender(NamedTuple):
    """Who sent a post, as far as the server itself can tell."""

    address: str = ""
    token_host: str | None = None
    """The host that its token speaks for; None where it came with the passcode."""


SOMEBODY = Sender()


class Machine(NamedTuple):
    """What a machine can be known by; a post of the original's mole or of curl tells little or nothing of it."""

    mole_id: str | None = None
    """Of the mole's installation: outlives reboots, is new after a reinstallation, and is copied with a disk image."""
    boot_id: str | None = None
    """The kernel's random name of this boot."""
    gpu_uuids: frozenset[str] = frozenset()
    up_s: float | None = None
    """The mole's monotonic clock, which starts with the boot."""


class Verdict(Enum):
    SAME = "the machine that has the name"
    REPLACES = "another one, and the name is free for it"
    REFUSED = "another one, while the first is alive"


def machine_of(post: Mapping[str, Any]) -> Machine:
    """Of a post that has passed the schema, which leaves `general` open."""
    mole: Mapping[str, Any] = post.get("mole", {})
    boot_id: Any = post.get("general", {}).get("boot_id")
    uuids = frozenset([uuid for gpu in post["gpu"].values() if (uuid := gpu.get("uuid")) and uuid != "none"])
    is_name = isinstance(boot_id, str) and 0 < len(boot_id) <= LONGEST_ID
    return Machine(mole.get("id") or None, boot_id if is_name else None, uuids, mole.get("mono_s"))


def judge(known: Machine, new: Machine, silent_s: float, stale_after_s: float) -> Verdict:
    """`silent_s`: since the known machine's newest post. The rule of this module, all of it.

    The first that is alive keeps the name. Once it has been silent for longer than `stale_after_s`, whoever comes takes
    it over. Posts without a mole's id give way to a mole at once: an old mole that is upgraded goes on as it was.
    """
    if is_same(known, new, silent_s):
        return Verdict.SAME
    if known.mole_id is None or silent_s > stale_after_s:
        return Verdict.REPLACES
    return Verdict.REFUSED


def is_same(known: Machine, new: Machine, silent_s: float) -> bool:
    """By what is hardest to copy first: the boot, then the GPUs, then the mole's id."""
    if known.mole_id is None and new.mole_id is None:
        return True  # nothing that tells them apart: the newest counts, as with the original
    if known.boot_id and known.boot_id == new.boot_id:
        return True
    if known.gpu_uuids and new.gpu_uuids:
        return not known.gpu_uuids.isdisjoint(new.gpu_uuids)
    if known.mole_id != new.mole_id:
        return False
    if not known.boot_id or not new.boot_id or new.up_s is None:
        return True
    # One id, two boots. A machine that was up already when the other one last posted is no reboot of it.
    return new.up_s <= silent_s + REBOOT_SLACK_S


def merge(known: Machine, new: Machine) -> Machine:
    """The same machine, by all that is known of it: a driver that hangs hides the GPUs, a post by hand has no id."""
    return Machine(
        new.mole_id or known.mole_id, new.boot_id or known.boot_id, new.gpu_uuids or known.gpu_uuids, new.up_s
    )
