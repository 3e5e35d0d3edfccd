"""Takes /proc/<pid>/cgroup, gives the container that a process is in."""

from __future__ import annotations

import re

_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")  # docker, containerd, CRI-O, podman: one shape
_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f-_]{22,})")
_LXC = re.compile(r"/lxc(?:\.payload)?[./]([^/\n]+)")
_SHOWN = 12


def parse_container(cgroup: str) -> str | None:
    """The first 12 characters of its id, as `docker ps` shows it; else the pod's, or the name of an LXC container."""
    container = _ID.search(cgroup) or _POD.search(cgroup)
    if container:
        return container[1][:_SHOWN]
    lxc = _LXC.search(cgroup)
    return lxc[1][:64] if lxc else None
