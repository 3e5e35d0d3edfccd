"""Takes the kernel's table of mounts, gives the real local file systems, each once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

LOCAL = frozenset(
    re.findall(
        r"\w+", "bcachefs btrfs exfat ext2 ext3 ext4 f2fs hfsplus jfs nilfs2 ntfs ntfs3 reiserfs ufs vfat xfs zfs"
    )
)
# A path may lead through these without asking anyone over a network.
_IN_MEMORY = frozenset(("autofs", "devtmpfs", "overlay", "ramfs", "rootfs", "squashfs", "tmpfs"))
# What lies below these belongs to programs that keep images and containers; a disk mounted at one of them counts.
_PRIVATE = (
    "/proc",
    "/sys",
    "/dev",
    "/snap",
    "/var/snap",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/kubelet",
    "/run/containerd",
    "/run/docker",
)


class Mount(NamedTuple):
    """A line of mountinfo. `device_number` is "major:minor", `root` the folder of the file system that is mounted."""

    mount_id: str
    parent_id: str
    device_number: str
    root: str
    mount_point: str
    fs_type: str
    device: str


def read_mounts(proc: Path) -> list[Mount]:
    """From <proc>/self/mountinfo, in the kernel's order. A path that isn't UTF-8 keeps its bytes as surrogates."""
    text = Path(proc, "self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return parse_mountinfo(text)


def parse_mountinfo(text: str) -> list[Mount]:
    """A line that can't be understood is left out. Format: proc_pid_mountinfo(5)."""
    mounts: list[Mount] = []
    for line in text.split("\n"):
        fields, separator, rest = line.partition(" - ")
        left, right = fields.split(" "), rest.split(" ")
        if separator and len(left) >= 5 and len(right) >= 2:
            mount_id, parent_id, number, root, point = (_unescape(word) for word in left[:5])
            mounts.append(Mount(mount_id, parent_id, number, root, point, right[0], _unescape(right[1])))
    return mounts


def _unescape(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), word)


def select_local(mounts: list[Mount]) -> list[Mount]:
    """The mounts whose size may be asked without a risk to hang, one for each file system, sorted by mount point.

    Left out: network file systems and what is mounted below one (a dead one would block this process beyond any
    kill), images (squashfs), memory, what containers mount for themselves. An overlay counts only as "/", where it is
    all that a container has. Of several mounts of one device the whole one goes before a part, then the shorter path.
    """
    by_id = {mount.mount_id: mount for mount in mounts}
    on_top = {mount.mount_point: mount for mount in mounts}  # a later mount hides an earlier one at its place
    chosen: dict[str, Mount] = {}
    for mount in sorted(on_top.values(), key=lambda mount: (mount.root != "/", len(mount.mount_point), mount)):
        if _is_real(mount) and _is_reached_locally(mount, by_id):
            chosen.setdefault(mount.device_number, mount)
    return sorted(chosen.values(), key=lambda mount: mount.mount_point)


def _is_real(mount: Mount) -> bool:
    if mount.mount_point == "/" and mount.fs_type == "overlay":
        return True
    private = any(mount.mount_point.startswith(folder + "/") for folder in _PRIVATE)
    return mount.fs_type in LOCAL and not private


def _is_reached_locally(mount: Mount, by_id: dict[str, Mount]) -> bool:
    parent = by_id.get(mount.parent_id)
    if parent is None or parent.mount_id == mount.mount_id:
        return True
    return parent.fs_type in LOCAL | _IN_MEMORY and _is_reached_locally(parent, by_id)
