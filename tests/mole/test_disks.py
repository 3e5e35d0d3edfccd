"""The post's disks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole.disks import GIB, DiskCollector, as_text, parse_sizes
from cluster_dash_mole.network_mounts import NetworkMounts
from cluster_dash_mole.reading import Reading
from mole.test_network_mounts import CHILD

ROOT = "20 1 8:2 / / rw - ext4 /dev/sda2 rw\n"


def collect(proc: Path, mountinfo: str) -> Reading:
    Path(proc, "self").mkdir()
    Path(proc, "self/mountinfo").write_text(mountinfo)
    collector = DiskCollector(NetworkMounts(), proc)
    reading = collector.collect()
    collector.close()
    return reading


def disks(reading: Reading) -> Any:
    return reading.sections["disk"]


def test_a_disk_is_measured_as_df_does(tmp_path: Path) -> None:
    reading = collect(tmp_path, ROOT)
    size = shutil.disk_usage("/")
    disk = disks(reading)["/"]
    assert (disk["mount_point"], disk["device"]) == ("/", "/dev/sda2")
    assert disk["total_gb"] == pytest.approx(size.total / GIB)
    assert disk["used_gb"] == pytest.approx(size.used / GIB, rel=0.01)
    assert disk["percent_used"] == pytest.approx(100 * size.used / (size.used + size.free), abs=0.5)
    assert "stale_since" not in disk
    assert reading.errors == {}


def test_percentages_are_of_what_users_can_have() -> None:
    disk = parse_sizes((4096, 1000, 600, 400, 100, 20, 20))
    assert disk is not None
    assert disk == (1000 * 4096, 400 * 4096, 50, 80)


def test_a_file_system_that_does_not_count_inodes_has_no_share_of_them() -> None:
    disk = parse_sizes((4096, 1000, 600, 400, 0, 0, 0))
    assert disk is not None
    assert disk.inodes_percent is None


def test_a_file_that_is_mounted_over_a_file_is_no_disk(tmp_path: Path) -> None:
    reading = collect(tmp_path, "20 1 8:2 /x /etc/hosts rw - ext4 /dev/sda2 rw\n")
    assert (disks(reading), reading.errors) == ({}, {})


def test_a_disk_that_is_gone_is_left_out_and_named(tmp_path: Path) -> None:
    reading = collect(tmp_path, f"20 1 8:2 / {tmp_path}/gone rw - ext4 /dev/sda2 rw\n")
    assert disks(reading) == {}
    assert reading.errors == {f"disk {tmp_path}/gone": "No such file or directory"}


def test_shared_memory_is_a_metric_and_no_disk(tmp_path: Path) -> None:
    sizes = {b"/": (4096, 100, 50, 50, 10, 5, 5), b"/dev/shm": (4096, 1000, 750, 750, 9, 9, 9)}
    Path(tmp_path, "self").mkdir()
    Path(tmp_path, "self/mountinfo").write_text(ROOT + "21 20 0:25 / /dev/shm rw - tmpfs tmpfs rw\n")
    reading = DiskCollector(NetworkMounts(), tmp_path, sizes.get).collect()
    assert list(disks(reading)) == ["/"]
    values = {(sample.metric.name, *(sample.tags or {}).values()): sample.value for sample in reading.samples}
    assert values == {
        ("sys.disk.inodes_percent", "/"): 50,
        ("sys.tmpfs.used_bytes", "/dev/shm"): 250 * 4096,
        ("sys.tmpfs.used_percent", "/dev/shm"): 25,
    }


def test_a_mount_that_comes_or_goes_is_noticed(tmp_path: Path) -> None:
    Path(tmp_path, "self").mkdir()
    table = Path(tmp_path, "self/mountinfo")
    collector = DiskCollector(NetworkMounts(), tmp_path)
    for text, expected in (
        (ROOT, ["/"]),
        (ROOT + f"21 20 8:3 / {tmp_path} rw - xfs /dev/sdb rw\n", ["/", str(tmp_path)]),
    ):
        table.write_text(text)
        assert list(disks(collector.collect())) == expected
    table.write_text(ROOT)
    assert list(disks(collector.collect())) == ["/"]


def test_a_table_that_cannot_be_read_is_told_and_the_disks_known_before_go_on(tmp_path: Path) -> None:
    Path(tmp_path, "self").mkdir()
    Path(tmp_path, "self/mountinfo").write_text(ROOT)
    collector = DiskCollector(NetworkMounts(), tmp_path)
    collector.prime()
    Path(tmp_path, "self/mountinfo").unlink()
    reading = collector.collect()
    assert list(disks(reading)) == ["/"]
    assert reading.errors == {"disk": f"{tmp_path}/self/mountinfo: No such file or directory"}


def test_a_network_file_system_is_measured_by_the_child(tmp_path: Path) -> None:
    reading = collect(tmp_path, f"21 20 0:40 / {tmp_path} rw - nfs4 server:/data rw\n")
    size = os.statvfs(tmp_path)
    disk = disks(reading)[str(tmp_path)]
    assert disk["total_gb"] == pytest.approx(size.f_blocks * size.f_frsize / GIB)
    assert disk["device"] == "server:/data"


def test_a_host_with_very_many_disks_that_cannot_be_read_still_fits_into_a_post(tmp_path: Path) -> None:
    lines = (f"{n} 20 9:{n} / {tmp_path}/{n}{'x' * 300} rw - xfs /dev/{'d' * 5000} rw\n" for n in range(30, 700))
    reading = collect(tmp_path, ROOT + "".join(lines))
    assert len(reading.errors) == 200
    assert max(len(source) for source in reading.errors) == 256


@pytest.mark.parametrize(
    ("number", "text", "is_shown"), [(13, "Permission denied", False), (116, "Stale file handle", True)]
)
def test_a_network_file_system_that_fails_is_named_and_only_a_stale_one_keeps_its_place(
    tmp_path: Path, number: int, text: str, is_shown: bool
) -> None:
    Path(tmp_path, "self").mkdir()
    Path(tmp_path, "self/mountinfo").write_text(f"21 20 0:40 / {tmp_path}/mnt rw - nfs4 server:/data rw\n")
    Path(tmp_path, "mnt.fails").write_text(str(number))
    collector = DiskCollector(NetworkMounts(5, command=CHILD), tmp_path)
    reading = collector.collect()
    collector.close()
    assert reading.errors == {f"disk {tmp_path}/mnt": text}
    assert list(disks(reading)) == [f"{tmp_path}/mnt"] * is_shown
    assert all(entry["total_gb"] is None and entry["stale_since"] > 1.7e9 for entry in disks(reading).values())


def test_a_path_that_is_not_utf_8_can_be_sent() -> None:
    assert as_text("/m\udcff") == "/m\\xff"
