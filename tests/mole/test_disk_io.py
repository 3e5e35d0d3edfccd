"""What disks read and write."""

from __future__ import annotations

from pathlib import Path

from cluster_dash_mole.disk_io import DiskIoCollector, parse_diskstats, select_disks
from mole.peers import ManualClock

DISKSTATS = """\
   7       0 loop0 5 0 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5
 259       0 nvme0n1 42431 11930 {read} 12131 40245 180456 {written} 43876 0 {busy} 58002 16227 37 448336 1457 5537 536
 259       1 nvme0n1p1 1 0 1 1 1 1 1 1 0 1 1
   8       0 sda 1 2 3
   8      16 sdb 1 2 x 4 5 6 7 8 9 10 11
"""


def text(read: int, written: int, busy: int) -> str:
    return DISKSTATS.format(read=read, written=written, busy=busy)


def collect(proc: Path, clock: ManualClock, *rounds: str) -> dict[str, float | None]:
    """The last of the rounds, which are 2 s apart."""
    collector = DiskIoCollector(proc, clock)
    samples = []
    for round_text in rounds:
        Path(proc, "diskstats").write_text(round_text)
        samples = collector.collect().samples
        clock.now += 2
    return {f"{sample.metric.name[12:]} {(sample.tags or {})['disk']}": sample.value for sample in samples}


def test_partitions_and_what_is_no_disk_are_left_out() -> None:
    names = (
        "nvme0n1 nvme0n1p1 nvme0n1p12 nvme10n1 sda sda1 sdaa sdaa3 vda vda1 xvda1 mmcblk0 mmcblk0p1 rbd0 rbd0p1 nbd1"
    )
    others = "loop0 ram0 zram0 sr0 fd0 dm-0 md127 md127p1 zd16"
    kept = "mmcblk0 nbd1 nvme0n1 nvme10n1 rbd0 sda sdaa vda xvda1"
    assert select_disks([*names.split(), *others.split()]) == kept.split()


def test_a_line_that_is_short_or_no_number_is_left_out() -> None:
    assert parse_diskstats(text(1, 2, 3))["nvme0n1"] == (1, 2, 3)
    assert "sda" not in parse_diskstats(text(1, 2, 3))
    assert "sdb" not in parse_diskstats(text(1, 2, 3))


def test_rates_are_bytes_and_the_share_of_time(tmp_path: Path) -> None:
    read = collect(tmp_path, ManualClock(), text(1000, 500, 0), text(1004, 500, 500))
    assert read == {"read_bytes_per_s nvme0n1": 1024, "written_bytes_per_s nvme0n1": 0, "busy_percent nvme0n1": 25}


def test_a_disk_is_never_busier_than_100(tmp_path: Path) -> None:
    read = collect(tmp_path, ManualClock(), text(1, 1, 0), text(1, 1, 2005))
    assert read["busy_percent nvme0n1"] == 100


def test_the_first_reading_and_a_wrapped_counter_give_nothing(tmp_path: Path) -> None:
    assert collect(tmp_path, ManualClock(), text(1, 1, 1)) == {}
    assert collect(tmp_path, ManualClock(), text(5, 5, 2**32 - 10), text(900, 900, 30)) == {}


def test_a_host_without_diskstats_has_no_rates(tmp_path: Path) -> None:
    assert DiskIoCollector(tmp_path).collect().samples == []
