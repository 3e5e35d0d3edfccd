"""Takes the real file systems, gives the post's `disk` section; memory that looks like a disk goes to the metrics."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cluster_dash_mole.mounts import Selected, parse_mountinfo, select_mounts
from cluster_dash_mole.mounts_child import measure
from cluster_dash_mole.reading import Metric, Reading, Sample, read_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster_dash_mole.mounts import Mount
    from cluster_dash_mole.network_mounts import Answer, NetworkMounts
    from cluster_dash_mole.reading import Json

INODES = Metric("sys.disk.inodes_percent", "%", "inodes in use: at 100 no file can be made, whatever room is left")
SHM_USED = Metric("sys.tmpfs.used_bytes", "B", "files in memory; data loaders and NCCL keep theirs in /dev/shm")
SHM_PERCENT = Metric("sys.tmpfs.used_percent", "%", "files in memory, of what this file system may hold")

GIB = 2**30
_MOST_DISKS = 256  # the server takes no more in one post
_MOST_ERRORS = 200  # of 256 in one post
_LONGEST_TEXT = 4096
_SHM = "/dev/shm"  # noqa: S108  its size is read, no file is made


class Disk(NamedTuple):
    """Bytes of one file system. Percentages are those of `df`: of what users can have. None = not known."""

    total: int
    used: int
    used_percent: float | None
    inodes_percent: float | None


def parse_sizes(sizes: tuple[int, ...] | None) -> Disk | None:
    """What mounts_child measures. None = nothing to show: a file over a file, or a file system without blocks."""
    if sizes is None or not sizes[1]:
        return None
    block, blocks, free, free_to_users, inodes, inodes_free, inodes_free_to_users = sizes
    used, inodes_used = blocks - free, inodes - inodes_free
    return Disk(
        blocks * block, used * block, _percent(used, free_to_users), _percent(inodes_used, inodes_free_to_users)
    )


def _percent(used: int, free: int) -> float | None:
    return 100 * used / (used + free) if used + free > 0 else None


def assemble_entry(mount: Mount, disk: Disk | None, stale_since: float | None = None) -> dict[str, Json]:
    """The seed's entry, in GiB. A mount that doesn't answer keeps its place without numbers, and says since when."""
    entry: dict[str, Json] = {
        "mount_point": as_text(mount.mount_point),
        "device": as_text(mount.device)[:_LONGEST_TEXT],
        "total_gb": disk.total / GIB if disk else None,
        "used_gb": disk.used / GIB if disk else None,
        "percent_used": disk.used_percent if disk else None,
    }
    return entry if stale_since is None else {**entry, "stale_since": stale_since}


def as_text(path: str) -> str:
    """A path that can travel as JSON: bytes that aren't UTF-8 are written as escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class DiskCollector:
    """File systems of this host. `measure` asks one that can't hang, `network` the others."""

    name = "disk"

    def __init__(
        self,
        network: NetworkMounts,
        proc: Path = Path("/proc"),
        measure: Callable[[bytes], tuple[int, ...] | None] = measure,
    ) -> None:
        self._mountinfo = str(proc / "self/mountinfo")
        self._network = network
        self._measure = measure
        self._text: str = ""
        self._selected = Selected([], [])

    def prime(self) -> None:
        """Start what asks the mounts that may hang, so that it is ready for the first reading."""
        self.collect()

    def collect(self) -> Reading:
        """`disk`; a disk that can't be read is left out, a stale one has no numbers, both are named in the errors."""
        reading = Reading()
        disks: dict[str, Json] = {}
        reading.sections["disk"] = disks
        self._read_table(reading)
        for mount in self._selected.local[:_MOST_DISKS]:
            try:
                disk = parse_sizes(self._measure(os.fsencode(mount.mount_point)))
            except OSError as error:
                _tell(reading, mount, error.strerror or str(error))
            else:
                _add(reading, disks, mount, disk)
        remote = self._selected.remote[: _MOST_DISKS - len(disks)]
        for mount, answer in self._network.read(remote).items():
            _add_answer(reading, disks, mount, answer)
        self._read_shm(reading)
        return reading

    def _read_table(self, reading: Reading) -> None:
        """The table is only understood anew when it changed: hosts with containers have thousands of lines."""
        try:
            text = read_text(self._mountinfo)
        except OSError as error:
            reading.errors["disk"] = f"{self._mountinfo}: {error.strerror}"
            return
        if text != self._text:
            self._text, self._selected = text, select_mounts(parse_mountinfo(text))

    def _read_shm(self, reading: Reading) -> None:
        try:
            disk = parse_sizes(self._measure(os.fsencode(_SHM)))
        except OSError:
            return
        if disk:
            tags = {"mount": _SHM}
            reading.samples += [
                Sample(SHM_USED, disk.used, tags=tags),
                Sample(SHM_PERCENT, disk.used_percent, tags=tags),
            ]

    def close(self) -> None:
        """Let go of the process for network file systems."""
        self._network.close()


def _add_answer(reading: Reading, disks: dict[str, Json], mount: Mount, answer: Answer) -> None:
    if answer.error is None:
        _add(reading, disks, mount, parse_sizes(answer.sizes))
        return
    _tell(reading, mount, os.strerror(answer.error) if isinstance(answer.error, int) else answer.error)
    if answer.stale_since is not None:
        disks[as_text(mount.mount_point)] = assemble_entry(mount, None, answer.stale_since)


def _add(reading: Reading, disks: dict[str, Json], mount: Mount, disk: Disk | None) -> None:
    if disk:
        mount_point = as_text(mount.mount_point)
        disks[mount_point] = assemble_entry(mount, disk)
        reading.samples.append(Sample(INODES, disk.inodes_percent, tags={"mount": mount_point}))


def _tell(reading: Reading, mount: Mount, error: str) -> None:
    if len(reading.errors) < _MOST_ERRORS:
        reading.errors[f"disk {as_text(mount.mount_point)}"[:256]] = error[:_LONGEST_TEXT]
