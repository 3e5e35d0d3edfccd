"""Memory and swap."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster_dash_mole.memory import MemoryCollector, assemble_memory, assemble_samples, parse_meminfo, parse_vmstat
from cluster_dash_mole.reading import Reading
from mole.peers import ManualClock

MIB_KB = "1048576 kB"
MEMINFO = f"""\
MemTotal:       16777216 kB
MemFree:         1000000 kB
MemAvailable:   12582912 kB
Buffers:         {MIB_KB}
Cached:          2097152 kB
Shmem:              1024 kB
HugePages_Total:       0
HugePages_Free:        0
Hugepagesize:       2048 kB
"""
SWAP = "SwapTotal: 50 kB\nSwapFree: 20 kB\n"
VMSTAT = "nr_free_pages 100\npswpin 10\npswpout 20\noom_kill 0\n"


def values(reading: Reading) -> dict[str, float | None]:
    return {sample.metric.name: sample.value for sample in reading.samples}


def test_memory_used_is_what_cannot_be_given_back() -> None:
    assert assemble_memory(parse_meminfo(MEMINFO)) == {"total_gb": 16, "available_gb": 12, "used_gb": 4}


def test_a_kernel_that_does_not_tell_what_is_available_gives_nothing_for_it() -> None:
    told = assemble_memory(parse_meminfo("MemTotal: 1048576 kB\n"))
    assert told == {"total_gb": 1, "available_gb": None, "used_gb": None}


def test_lines_that_make_no_sense_are_left_out() -> None:
    assert parse_meminfo("MemTotal: much\nShmem\n:\nBuffers: 2 kB\n\x00") == {"Buffers": 2048}


def test_cache_and_shared_memory_are_metrics() -> None:
    samples = {sample.metric.name: sample.value for sample in assemble_samples(parse_meminfo(MEMINFO))}
    assert samples == {
        "sys.mem_shared_bytes": 2**20,
        "sys.mem_buffers_bytes": 2**30,
        "sys.mem_cached_bytes": 2**31,
    }


def test_huge_pages_are_shown_where_there_are_any() -> None:
    text = MEMINFO.replace("HugePages_Total:       0", "HugePages_Total: 10").replace("Free:        0", "Free: 4")
    samples = {sample.metric.name: sample.value for sample in assemble_samples(parse_meminfo(text))}
    assert samples["sys.mem_hugepages_bytes"] == 10 * 2**21
    assert samples["sys.mem_hugepages_free_bytes"] == 4 * 2**21


def test_swap_without_use_is_0_and_a_host_without_swap_has_none() -> None:
    unused = assemble_samples(parse_meminfo("SwapTotal: 50 kB\nSwapFree: 50 kB\n"))
    assert (unused[-2].value, unused[-1].value) == (0, 51200)
    absent = assemble_samples(parse_meminfo("SwapTotal: 0 kB\nSwapFree: 0 kB\n"))
    assert not [sample for sample in absent if "swap" in sample.metric.name]


def test_swapping_is_a_rate_in_bytes(tmp_path: Path) -> None:
    clock = ManualClock()
    Path(tmp_path, "meminfo").write_text(MEMINFO + SWAP)
    Path(tmp_path, "vmstat").write_text(VMSTAT)
    collector = MemoryCollector(tmp_path, clock)
    collector.prime()
    clock.now += 2
    Path(tmp_path, "vmstat").write_text(VMSTAT.replace("pswpin 10", "pswpin 14"))
    read = values(collector.collect())
    page = os.sysconf("SC_PAGE_SIZE")
    assert (read["sys.swap_in_bytes_per_s"], read["sys.swap_out_bytes_per_s"]) == (2 * page, 0)


@pytest.mark.parametrize("text", ["", "pswpin 1\n", "pswpin x\npswpout 1\n"])
def test_a_kernel_without_counts_of_swapping_gives_no_rate(tmp_path: Path, text: str) -> None:
    assert parse_vmstat(text) == []
    clock = ManualClock()
    Path(tmp_path, "meminfo").write_text(MEMINFO + SWAP)
    Path(tmp_path, "vmstat").write_text(text)
    collector = MemoryCollector(tmp_path, clock)
    collector.prime()
    clock.now += 2
    assert "sys.swap_in_bytes_per_s" not in values(collector.collect())


def test_a_host_that_shows_nothing_gives_nothing_and_says_so(tmp_path: Path) -> None:
    reading = MemoryCollector(tmp_path).collect()
    assert reading.sections == {"memory": {"total_gb": None, "available_gb": None, "used_gb": None}}
    assert set(values(reading).values()) == {None}
    assert reading.errors == {"memory": f"{tmp_path}/meminfo: No such file or directory"}
