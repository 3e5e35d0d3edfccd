"""Takes a host as it is now, gives what a person should know of it: what is wrong, how bad, since when, what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ..live.watch import NEARLY_FULL_PERCENT
from ..query import Disk, HostNow, RivalNow
from .wording import duration, percent

DAY_S = 86_400
FULL_PERCENT = 95
REBOOT_PENDING = "reboot pending"
_TOLD_SINCE = re.compile(r"(.*) \(since (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\)", re.DOTALL)
"""How a mole ends what is wrong with a GPU: with its own host's time."""

Level = Literal["bad", "warn", "info"]


class Note(NamedTuple):
    kind: str
    """clock, conflict, gpu, mole, nfs, disk, old_mole or history."""
    level: Level
    text: str
    """What is the case, without since when."""
    since_s: float | None
    """For how long this server has seen it; None where it isn't known."""
    todo: str
    told_since: str | None = None
    """Since when it is by the mole, in its host's time: it may have seen it before."""
    nameless: str | None = None
    """`text` in our own words alone, where it has others that may hold a person's name."""


def mole_says(text: str) -> tuple[str, str | None]:
    """What a mole tells of a GPU, and since when by its host's time, where it says so."""
    found = _TOLD_SINCE.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def since_words(since_s: float | None, told_since: str | None) -> str:
    """For 12 min; both where the mole knows of it, too: whose is which must be plain."""
    seen = duration(since_s) if since_s is not None and since_s >= 1 else ""
    if told_since is None:
        return f"for {seen}" if seen else ""
    return f"since {told_since} by its mole" + (f", seen here for {seen}" if seen else "")


def mount_without_names(mount: str) -> str:
    """/home/… of /home/alice."""
    first, *deeper = mount.removeprefix("/").split("/")
    return f"/{first}/…" if deeper else mount


def notes_of(row: HostNow) -> list[Note]:
    """The worst first; besides the host's state and age."""
    found = [*conflicts(row), *troubles(row)]
    return sorted(found, key=lambda note: LEVELS.index(note.level))


LEVELS: tuple[Level, ...] = ("bad", "warn", "info")


def conflicts(row: HostNow) -> Iterator[Note]:
    """About its name, of which the host's own page has a table."""
    for rival in row.rivals:
        yield _conflict(row, rival)


def _conflict(row: HostNow, rival: RivalNow) -> Note:
    tried = f"since {duration(rival.since_s)}, last {duration(rival.last_s)} ago"
    if rival.by_number:
        what = "posts with numbers that were taken"
        todo = "Two moles run with one id: delete mole.json in the copy's state folder and restart its mole."
    else:
        what = "two machines report under this name"
        todo = (
            "Give one of them another name (hostnamectl set-hostname NAME), or end the mole of the one that is to go."
        )
    text = f"{what}: {row.holder} is shown, {rival.label} is refused {tried}"
    return Note("conflict", "bad", text, rival.since_s, todo, nameless=what)


def troubles(row: HostNow) -> Iterator[Note]:
    """All but the conflicts."""
    if row.skew_s is not None:
        yield _clock(row, row.skew_s)
    if row.gpu_error or any(gpu.state != "ok" for gpu in row.gpus):
        yield from _gpus(row)
    yield from _mole(row)
    for disk in row.disks:
        yield from _disk(row, disk)
    if row.host.history.left_out:
        text = f"more series than are kept: {row.host.history.left_out} values are in no chart"
        yield Note("history", "info", text, None, "Its posts name too many mounts, users or metrics: look at them.")


def _clock(row: HostNow, skew_s: float) -> Note:
    if abs(skew_s) > DAY_S:
        text = f"its post is dated {time.strftime('%Y-%m-%d', time.gmtime(row.latest.timestamp))}"
    else:
        text = f"its clock is {duration(abs(skew_s))} {'ahead' if skew_s > 0 else 'behind'}"
    todo = "Let the host follow a time server (timedatectl set-ntp true). Its history here is by the server's clock."
    return Note("clock", "warn", text, row.since_s("clock"), todo)


def _gpus(row: HostNow) -> Iterator[Note]:
    if row.gpu_error:
        state, text = row.gpu_error
        words = "GPUs hung" if state == "hung" else "GPUs not readable"
        text, told_since = mole_says(text)
        yield Note("gpu", "bad", f"{words}: {text}", row.since_s("gpu"), todo_of_gpu(state), told_since, words)
        return
    for gpu, now in zip(row.gpus, row.gpus_now, strict=True):
        if gpu.state != "ok":
            what = f"GPU {gpu.number} {gpu.state}"
            error, told_since = mole_says(gpu.error or "")
            text, since_s = f"{what}: {error}" if error else what, max(0.0, row.mono_s - now.since_mono_s)
            yield Note("gpu", "bad", text, since_s, todo_of_gpu(gpu.state), told_since, what)


def todo_of_gpu(state: str) -> str:
    if state == "hung":
        return "The driver doesn't answer and can't be stopped: reboot the host."
    if state == "lost":
        return (
            "Look for NVRM: Xid in dmesg; reset the GPU (nvidia-smi --gpu-reset -i N), else switch the host off and on."
        )
    return "Run nvidia-smi and cluster-dash-mole check on the host: after a driver's update a reboot is due."


def _mole(row: HostNow) -> Iterator[Note]:
    mole = row.post.get("mole")
    if mole is None:
        todo = "Install cluster-dash-mole there: power, temperature, containers and much else come with it."
        yield Note("old_mole", "info", "its mole sends the original's few values only", None, todo)
        return
    errors: dict[str, str] = mole.get("errors") or {}
    told = row.gpu_error[1] if row.gpu_error else None
    told_as_disks = {f"disk {disk.mount}" for disk in row.disks if disk.stale_since is not None}
    for what, text in errors.items():
        if text != told and what not in told_as_disks:
            since_s, todo = row.since_s(f"mole:{what}"), TODO_OF.get(what, CHECK)
            is_reboot = text.startswith(REBOOT_PENDING)
            nameless = f"mole: {REBOOT_PENDING}" if is_reboot else "mole: something can't be read"
            yield Note("mole", "warn", f"mole: {what}: {text}", since_s, todo, nameless=nameless)


CHECK = "cluster-dash-mole check on the host says what can be read, and as whom."
TODO_OF = {"driver": "Reboot the host when its GPUs are free, or unload and load the driver."}
"""By what the mole's error is of; CHECK for all else."""


def _disk(row: HostNow, disk: Disk) -> Iterator[Note]:
    nameless = mount_without_names(disk.mount)
    if disk.stale_since is not None:
        since_s = max(0.0, row.latest.timestamp - disk.stale_since) + row.age_s  # both by the host's clock
        todo = f"Its file server doesn't answer: look at {disk.device or 'it'}, then at dmesg of this host."
        what = "doesn't answer"
        yield Note("nfs", "bad", f"{disk.mount} {what}", since_s, todo, nameless=f"{nameless} {what}")
    elif disk.percent is not None and disk.percent >= NEARLY_FULL_PERCENT:
        level: Level = "bad" if disk.percent >= FULL_PERCENT else "warn"
        what, since_s = f"is {percent(disk.percent)} full", row.since_s(f"disk:{disk.mount}")
        todo = f"du -xh --max-depth=2 {disk.mount}"
        yield Note("disk", level, f"{disk.mount} {what}", since_s, todo, nameless=f"{nameless} {what}")
