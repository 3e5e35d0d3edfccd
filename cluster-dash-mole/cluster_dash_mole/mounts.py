"""Takes the kernel's table of mounts, gives the real file systems, each once, those that may hang apart."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCAL = frozenset(
    re.findall(
        r"\w+", "bcachefs btrfs exfat ext2 ext3 ext4 f2fs hfsplus jfs nilfs2 ntfs ntfs3 reiserfs ufs vfat xfs zfs"
    )
)
# Their size comes from another machine or from a program of this one; either may never answer.
_REMOTE = frozenset(
    re.findall(
        r"\w+",
        "9p afs beegfs ceph cifs coda fuse fuseblk gfs2 glusterfs gpfs lustre mmfs nfs nfs4 ocfs2 orangefs panfs pvfs2"
        " smb3 smbfs vboxsf virtiofs wekafs",
    )
)
# FUSE programs that keep no files of their own: desktops, containers, images.
_NO_STORE = frozenset(
    "fuse." + name
    for name in re.findall(
        r"[\w-]+",
        "fuse-overlayfs gvfsd-fuse lxcfs portal rofiles-fuse snapfuse squashfuse squashfuse_ll sysboxfs vmware-vmblock",
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
_LONGEST_PATH = 1000  # bytes: short enough for a pipe in one piece, and for the server when each one is escaped


class Mount(NamedTuple):
    """A line of mountinfo. `device_number` is "major:minor", `root` the folder of the file system that is mounted."""

    mount_id: str
    parent_id: str
    device_number: str
    root: str
    mount_point: str
    fs_type: str
    device: str
    options: str


class Selected(NamedTuple):
    """`local` may be asked without a risk to hang; `remote` only by a process that can be given up."""

    local: list[Mount]
    remote: list[Mount]


def parse_mountinfo(text: str) -> list[Mount]:
    """A line that can't be understood is left out. Format: proc_pid_mountinfo(5)."""
    mounts: list[Mount] = []
    for line in text.split("\n"):
        fields, separator, rest = line.partition(" - ")
        left, right = fields.split(" "), rest.split(" ")
        if separator and len(left) >= 5 and len(right) >= 2:
            mount_id, parent_id, number, root, point = (_unescape(word) for word in left[:5])
            device, options = _unescape(right[1]), right[2] if len(right) > 2 else ""
            mounts.append(Mount(mount_id, parent_id, number, root, point, right[0], device, options))
    return mounts


def _unescape(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), word)


def select_mounts(mounts: list[Mount], uid: int | None = None) -> Selected:
    """One mount for each file system, sorted by mount point.

    Remote is also a disk that is only reached through a network file system: a dead one would block whoever looks
    beyond any kill. Left out: images (squashfs), memory, what containers mount for themselves, what no path leads to,
    and FUSE file systems that another user keeps to himself. An overlay counts only as "/", where it is all that a
    container has. Of several mounts of one device a local one goes first, the whole before a part, the shorter path.
    """
    ways = _Ways(mounts)
    candidates: list[tuple[bool, bool, int, Mount]] = []
    for mount in mounts:
        way = ways.to(mount)
        if way and _is_real(mount) and not _is_kept_from(os.geteuid() if uid is None else uid, mount):
            is_remote = any(step.fs_type not in LOCAL | _IN_MEMORY for step in way)
            candidates.append((is_remote, mount.root != "/", len(mount.mount_point), mount))
    chosen: dict[str, tuple[bool, Mount]] = {}
    for is_remote, _, _, mount in sorted(candidates):
        chosen.setdefault(mount.device_number, (is_remote, mount))
    return Selected(_sorted(chosen.values(), is_remote=False), _sorted(chosen.values(), is_remote=True))


def _sorted(chosen: Iterable[tuple[bool, Mount]], is_remote: bool) -> list[Mount]:
    return sorted((mount for remote, mount in chosen if remote == is_remote), key=lambda mount: mount.mount_point)


def _is_real(mount: Mount) -> bool:
    if mount.mount_point == "/" and mount.fs_type == "overlay":
        return True
    private = any(mount.mount_point.startswith(folder + "/") for folder in _PRIVATE)
    is_fuse = mount.fs_type.startswith("fuse.") and mount.fs_type not in _NO_STORE
    counts = mount.fs_type in LOCAL or mount.fs_type in _REMOTE or is_fuse
    return counts and not private and len(os.fsencode(mount.mount_point)) <= _LONGEST_PATH


def _is_kept_from(uid: int, mount: Mount) -> bool:
    """A FUSE file system answers only the user who mounted it, root included, unless it was told otherwise."""
    options = mount.options.split(",")
    return mount.fs_type.startswith("fuse") and "allow_other" not in options and f"user_id={uid}" not in options


class _Ways:
    """Which mounts a path leads through. A mount that another one covers, at its place or above it, isn't reached."""

    def __init__(self, mounts: list[Mount]) -> None:
        known = {mount.mount_id for mount in mounts}
        self._over: dict[tuple[str, str], Mount] = {}
        for mount in mounts:
            parent = mount.parent_id if mount.parent_id in known and mount.parent_id != mount.mount_id else ""
            self._over[parent, mount.mount_point] = mount

    def to(self, mount: Mount) -> list[Mount]:
        """All of them, the mount itself last; empty when the path ends elsewhere."""
        way: list[Mount] = []
        for place in _places(mount.mount_point):
            at = way[-1].mount_id if way else ""
            while (at, place) in self._over and self._over[at, place] not in way:
                way.append(self._over[at, place])
                at = way[-1].mount_id
        return way if way and way[-1] == mount else []


def _places(path: str) -> list[str]:
    """`/`, `/a` and `/a/b` for `/a/b`."""
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: count + 1]) for count in range(len(parts)))]
