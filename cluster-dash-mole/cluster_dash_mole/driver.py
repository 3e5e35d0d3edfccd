"""Takes /proc and the library folders, gives the trouble that an updated driver will make: told before it breaks.

After an update without a reboot the driver in the kernel and the library on disk differ in version. What has NVML or
CUDA open goes on for days, what starts anew fails.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cluster_dash_mole.nvml_process import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LIBRARY = "libnvidia-ml.so.1"
_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "lib64",
    "run/opengl-driver/lib",
    "usr/local/nvidia/lib64",
)
_CACHED = re.compile(rb"/[^\0]*/libnvidia-ml\.so\.1(?=\0)")
_OTHER_ARCHITECTURE = re.compile(r"i[3-6]86|lib32")
_VERSION = re.compile(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b")
_CHECKED_EVERY_S = 60.0


class Library(NamedTuple):
    """NVML's file: its version, and since when (Unix time) it is there."""

    version: str
    since: float


def read_driver_version(root: Path = Path("/")) -> str | None:
    """Of the driver that is loaded, from <root>/proc/driver/nvidia/version; None where there is none."""
    try:
        text = Path(root, "proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return parse_driver_version(text)


def parse_driver_version(text: str) -> str | None:
    """The first line names the module, closed or open, then the version."""
    found = _VERSION.search(text.partition("\n")[0])
    return found[1] if found else None


def read_library(root: Path = Path("/")) -> Library | None:
    """What a program that starts now would load; the version is in the name of the file behind the links."""
    for path in _library_paths(root):
        try:
            target = path.resolve(strict=True)
            since = target.stat().st_ctime
        except (OSError, RuntimeError):  # not there, or a circle of links
            continue
        found = _VERSION.search(target.name.partition(".so.")[2])
        if found:
            return Library(found[1], since)
    return None


def _library_paths(root: Path) -> Iterator[Path]:
    """As the loader finds them: its cache first."""
    try:
        cached = _CACHED.findall(Path(root, "etc/ld.so.cache").read_bytes())
    except OSError:
        cached = []
    for path in cached:
        name = path.decode("utf-8", "surrogateescape")
        if not _OTHER_ARCHITECTURE.search(name):
            yield Path(root, name.lstrip("/"))
    for folder in _FOLDERS:
        yield Path(root, folder, _LIBRARY)


class DriverCheck:
    """Compares the two versions once a minute."""

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._check_at: float | None = None
        self._trouble: str | None = None

    def read(self) -> str | None:
        """The trouble in words, None where there is none or it can't be known."""
        now = self._clock()
        if self._check_at is None or now >= self._check_at:
            self._check_at = now + _CHECKED_EVERY_S
            self._trouble = describe_mismatch(read_driver_version(self._root), read_library(self._root))
        return self._trouble


def describe_mismatch(driver: str | None, library: Library | None) -> str | None:
    """None where the versions agree or one of them isn't known."""
    if driver is None or library is None or driver == library.version:
        return None
    return (
        f"reboot pending: the NVIDIA driver in use is {driver}, its library on disk {library.version} since "
        f"{format_time(library.since)}; programs that start on the GPUs now fail: reboot this host or reload the driver"
    )
