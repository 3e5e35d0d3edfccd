"""A driver that was updated without a reboot is told before it breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_dash_mole.driver import DriverCheck, parse_driver_version, read_library
from mole.peers import ManualClock

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: 12.2.0\n"
)
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (dvs-builder@U16-I2-D03-40)\n"
)


def install(root: Path, version: str, folder: str = "usr/lib/x86_64-linux-gnu") -> None:
    """The library's file and the link to it, as a package puts them."""
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / f"libnvidia-ml.so.{version}").touch()
    (place / "libnvidia-ml.so.1").unlink(missing_ok=True)
    (place / "libnvidia-ml.so.1").symlink_to(f"libnvidia-ml.so.{version}")


def load_driver(root: Path, text: str) -> None:
    (root / "proc/driver/nvidia").mkdir(parents=True)
    (root / "proc/driver/nvidia/version").write_text(text)


@pytest.mark.parametrize(("text", "version"), [(CLOSED, "535.104.05"), (OPEN, "550.54.15"), ("what?\n", None)])
def test_the_driver_says_its_version(text: str, version: str | None) -> None:
    assert parse_driver_version(text) == version


def test_a_library_of_another_version_than_the_driver_needs_a_reboot(tmp_path: Path) -> None:
    load_driver(tmp_path, CLOSED)
    install(tmp_path, "535.104.05")
    clock = ManualClock()
    check = DriverCheck(tmp_path, clock)
    assert check.read() is None
    install(tmp_path, "550.54.15")
    assert check.read() is None, "looked again within the minute"
    clock.now += 61
    told = check.read()
    assert told is not None
    assert told.startswith(
        "reboot pending: the NVIDIA driver in use is 535.104.05, its library on disk 550.54.15 since 20"
    )


def test_without_driver_or_library_nothing_is_pending(tmp_path: Path) -> None:
    assert DriverCheck(tmp_path, ManualClock()).read() is None
    load_driver(tmp_path, CLOSED)
    assert DriverCheck(tmp_path, ManualClock()).read() is None
    install(tmp_path, "550.54.15", "usr/lib64")
    assert DriverCheck(tmp_path, ManualClock()).read() is not None


def test_the_loaders_cache_says_where_the_library_is(tmp_path: Path) -> None:
    install(tmp_path, "550.54.15", "opt/nvidia/lib")
    install(tmp_path, "470.57.02", "usr/lib/i386-linux-gnu")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.cache").write_bytes(
        b"glibc-ld.so.cache1.1\0/usr/lib/i386-linux-gnu/libnvidia-ml.so.1\0/opt/nvidia/lib/libnvidia-ml.so.1\0"
    )
    library = read_library(tmp_path)
    assert library is not None
    assert library.version == "550.54.15"


def test_a_library_that_does_not_tell_its_version_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib64"
    folder.mkdir(parents=True)
    (folder / "libnvidia-ml.so.1").touch()
    assert read_library(tmp_path) is None
    (folder / "libnvidia-ml.so.1").unlink()
    (folder / "libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.1")
    assert read_library(tmp_path) is None
