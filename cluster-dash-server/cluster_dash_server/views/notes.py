"""Takes a host as it is now, gives what a person should know of it: what is wrong, how bad, since when, what to do."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ..gpus import Gpu
from ..live.watch import NEARLY_FULL_PERCENT
from ..query import Disk, HostNow, RivalNow, sensor_faults
from .wording import duration, percent, printable

DAY_S = 86_400
FULL_PERCENT = 95
REBOOT_PENDING = "reboot pending"
_TOLD_SINCE = re.compile(r"(.*) \(since (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\)", re.DOTALL)
"""How a mole ends what is wrong with a GPU: with its own host's time."""

Level = Literal["bad", "warn", "info"]


class Note(NamedTuple):
    kind: str
    """clock, conflict, gpu, sensor, mole, nfs, disk, old_mole or history."""
    level: Level
    text: str
    """What is the case, without since when."""
    since_s: float | None
    """For how long this server has seen it; None where it isn't known."""
    todo: str
    told_since: str | None = None
    """Since when it is by the mole, in its host's time, and by whom: it may have seen it before."""
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
    return f"since {told_since}" + (f", seen here for {seen}" if seen else "")


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
        todo = (
            "Two moles run with one id. On the copy: rm /var/lib/cluster-dash-mole/mole.json (or mole.json in its "
            "state_dir), then systemctl restart cluster-dash-mole."
        )
    else:
        what = "two machines report under this name"
        todo = (
            "Give one of them another name (hostnamectl set-hostname NAME; systemctl restart cluster-dash-mole), or "
            "end the mole of the one that is to go (systemctl disable --now cluster-dash-mole)."
        )
    text = f"{what}: {row.holder} is shown, {rival.label} is refused {tried}"
    return Note("conflict", "bad", text, rival.since_s, todo, nameless=what)


def troubles(row: HostNow) -> Iterator[Note]:
    """All but the conflicts."""
    if row.skew_s is not None:
        yield _clock(row, row.skew_s)
    if row.gpu_error or any(gpu.state != "ok" for gpu in row.gpus):
        yield from _gpus(row)
    for index, fault in sensor_faults(row.post):
        todo = f"Compare with nvidia-smi -q -i {index} on the host. Until then this value is shown as missing."
        yield Note("sensor", "warn", f"GPU {index} tells what can't be: {fault}", None, todo)
    yield from _mole(row)
    for disk in row.disks:
        yield from _disk(row, disk)
    if row.host.history.left_out:
        text = f"more series than are kept: {row.host.history.left_out} values are in no chart"
        todo = "Its posts name too many mounts, users or metrics: cluster-dash-mole print on the host shows one."
        yield Note("history", "info", text, None, todo)


def _clock(row: HostNow, skew_s: float) -> Note:
    if abs(skew_s) > DAY_S:
        text = f"its post is dated {time.strftime('%Y-%m-%d', time.gmtime(row.latest.timestamp))}"
    else:
        text = f"its clock is {duration(abs(skew_s))} {'ahead' if skew_s > 0 else 'behind'}"
    todo = (
        "Let the host follow a time server: timedatectl set-ntp true, then timedatectl timesync-status. "
        "Its history here is by the server's clock."
    )
    return Note("clock", "warn", text, row.since_s("clock"), todo)


def _told(row: HostNow, text: str) -> tuple[str, str | None]:
    """What a mole tells of a GPU, and since when by whose time."""
    said, since = mole_says(text)
    whose = "its mole" if row.skew_s is None else "its own clock"
    return said, since and f"{since} by {whose}"


def _dated(row: HostNow, text: str) -> str:
    """Moles write since when into what they tell, by their own clock: said so where that is wrong."""
    return text if row.skew_s is None else text.replace("(since ", "(by its own clock since ")


def _gpus(row: HostNow) -> Iterator[Note]:
    if row.gpu_error:
        state, text = row.gpu_error
        words = "GPUs hung" if state == "hung" else "GPUs not readable"
        text, told_since = _told(row, text)
        todo = HUNG if state == "hung" else UNREADABLE
        yield Note("gpu", "bad", f"{words}: {text}", row.since_s("gpu"), todo, told_since, words)
        return
    for gpu, now in zip(row.gpus, row.gpus_now, strict=True):
        if gpu.state != "ok":
            what = f"GPU {gpu.number} {gpu.state}"
            error, told_since = _told(row, gpu.error or "")
            text, since_s = f"{what}: {error}" if error else what, max(0.0, row.mono_s - now.since_mono_s)
            yield Note("gpu", "bad", text, since_s, todo_of_gpu(gpu), told_since, what)


HUNG = (
    "The driver doesn't answer and can't be stopped: dmesg | grep -i -e NVRM -e Xid says more; reboot the host "
    "(systemctl reboot, and where that waits too: systemctl reboot --force --force)."
)
UNREADABLE = "On the host: nvidia-smi, then cluster-dash-mole check. After a driver's update a reboot is due."
_PCI = re.compile(r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-9a-fA-F]")


def todo_of_gpu(gpu: Gpu) -> str:
    """Of one that is lost, hung or in error."""
    if gpu.state == "hung":
        return HUNG
    which = _for_nvidia_smi(gpu)
    if gpu.state == "lost":
        return (
            f"Look for its XID (dmesg | grep -i xid). Reset it (nvidia-smi --gpu-reset -i {which}), else switch the "
            "host off and on."
        )
    if gpu.is_impossible:
        return (
            f"Compare with nvidia-smi -q -i {which} on the host. Where that says the same, reset the GPU when nobody "
            f"is on it (nvidia-smi --gpu-reset -i {which}) or reboot."
        )
    return UNREADABLE


def _for_nvidia_smi(gpu: Gpu) -> str:
    """Its address on the bus, which stays when a GPU is lost and the others move up; else its index."""
    bus_id = gpu.entry.get("pci_bus_id")
    if isinstance(bus_id, str) and _PCI.fullmatch(bus_id):
        return bus_id
    return "N" if gpu.number == "?" else gpu.number


def _mole(row: HostNow) -> Iterator[Note]:
    mole = row.post.get("mole")
    if mole is None:
        todo = (
            "Install cluster-dash-mole there, as setup.md says under “The moles”: power, temperature, containers and "
            "much else come with it."
        )
        yield Note("old_mole", "info", "its mole sends the original's few values only", None, todo)
        return
    errors: dict[str, str] = mole.get("errors") or {}
    told = row.gpu_error[1] if row.gpu_error else None
    told_as_disks = {f"disk {disk.mount}"[:LONGEST_NAME] for disk in row.disks if disk.stale_since is not None}
    for what, text in errors.items():
        if text != told and what not in told_as_disks:
            is_reboot = text.startswith(REBOOT_PENDING)
            nameless = f"mole: {REBOOT_PENDING}" if is_reboot else "mole: something can't be read"
            told_text, since_s = f"mole: {what}: {_dated(row, text)}", row.since_s(f"mole:{what}")
            yield Note("mole", "warn", told_text, since_s, _todo_of_mole(what), nameless=nameless)


LONGEST_NAME = 256
"""To which a mole cuts what its errors are of."""
CHECK = (
    "On the host: cluster-dash-mole check says what can be read, and as whom; journalctl -u cluster-dash-mole, more."
)
DRIVER = (
    "When nobody is on its GPUs: systemctl reboot. Or without a reboot, with everything ended that uses them: "
    "rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && modprobe nvidia."
)


def _todo_of_mole(what: str) -> str:
    """By what the mole's error is of."""
    if what == "driver":
        return DRIVER
    if what.startswith("disk "):
        mount = _word(what.removeprefix("disk "))
        return f"On the host: df {mount}, findmnt {mount}, and dmesg | tail."
    return CHECK


def _disk(row: HostNow, disk: Disk) -> Iterator[Note]:
    nameless = mount_without_names(disk.mount)
    if disk.stale_since is not None:
        since_s = max(0.0, row.latest.timestamp - disk.stale_since) + row.age_s  # both by the host's clock
        what = "doesn't answer"
        yield Note("nfs", "bad", f"{disk.mount} {what}", since_s, _todo_of_network(disk), nameless=f"{nameless} {what}")
    elif disk.percent is not None and disk.percent >= NEARLY_FULL_PERCENT:
        level: Level = "bad" if disk.percent >= FULL_PERCENT else "warn"
        what, since_s = f"is {percent(disk.percent)} full", row.since_s(f"disk:{disk.mount}")
        todo = f"What is large: du -xh --max-depth=2 {_word(disk.mount)} | sort -rh | head -20"
        yield Note("disk", level, f"{disk.mount} {what}", since_s, todo, nameless=f"{nameless} {what}")


def _todo_of_network(disk: Disk) -> str:
    """`device` is server:/path for NFS and most others."""
    server, colon, _ = (disk.device or "").partition(":/")
    reached = f"Is its file server up? ping -c 3 {_word(server)}. " if colon and server else "Is its file server up? "
    mount = _word(disk.mount)
    ended = f"umount -f {mount} || umount -l {mount}"
    return f"{reached}Then on this host: dmesg | tail. To let go of what waits for it: {ended}"


def _word(text: str) -> str:
    """As one word for a shell: names come from the hosts."""
    return shlex.quote(printable(text))
