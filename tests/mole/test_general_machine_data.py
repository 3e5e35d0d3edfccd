"""Memory, disks and the host's own facts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole.general_machine_data import GIB, GeneralMachineCollector, Memory, as_text, parse_meminfo

MEMINFO = "MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  700 kB\nHugePages_Total: 0\n"


def collect(proc: Path, mountinfo: str) -> tuple[dict[str, Any], dict[str, str]]:
    Path(proc, "self").mkdir()
    Path(proc, "meminfo").write_text(MEMINFO)
    Path(proc, "self/mountinfo").write_text(mountinfo)
    reading = GeneralMachineCollector(proc).collect()
    return dict(reading.sections), reading.errors


def test_memory_used_is_what_cannot_be_given_back() -> None:
    assert parse_meminfo(MEMINFO) == Memory(1000 * 1024, 700 * 1024, 300 * 1024, None)


def test_swap_without_use_is_0_and_a_host_without_swap_has_none() -> None:
    assert parse_meminfo(MEMINFO + "SwapTotal: 50 kB\nSwapFree: 50 kB\n").swap_used == 0
    assert parse_meminfo(MEMINFO + "SwapTotal: 0 kB\nSwapFree: 0 kB\n").swap_used is None


def test_a_kernel_that_does_not_tell_what_is_available_gives_nothing_for_it() -> None:
    assert parse_meminfo("MemTotal: 1000 kB\n") == Memory(1000 * 1024, None, None, None)


def test_a_disk_is_measured_as_df_does(tmp_path: Path) -> None:
    sections, errors = collect(tmp_path, "20 1 8:2 / / rw - ext4 /dev/sda2 rw\n")
    size = shutil.disk_usage("/")
    disk = sections["disk"]["/"]
    assert (disk["mount_point"], disk["device"]) == ("/", "/dev/sda2")
    assert disk["total_gb"] == pytest.approx(size.total / GIB)
    assert disk["used_gb"] == pytest.approx(size.used / GIB, rel=0.01)
    assert disk["percent_used"] == pytest.approx(100 * size.used / (size.used + size.free), abs=0.5)
    assert errors == {}


def test_a_file_that_is_mounted_over_a_file_is_no_disk(tmp_path: Path) -> None:
    sections, _ = collect(tmp_path, "20 1 8:2 /x /etc/hosts rw - ext4 /dev/sda2 rw\n")
    assert sections["disk"] == {}


def test_a_disk_that_is_gone_is_left_out(tmp_path: Path) -> None:
    sections, _ = collect(tmp_path, f"20 1 8:2 / {tmp_path}/gone rw - ext4 /dev/sda2 rw\n")
    assert sections["disk"] == {}


def test_a_path_that_is_not_utf_8_can_be_sent() -> None:
    assert as_text("/m\udcff") == "/m\\xff"
