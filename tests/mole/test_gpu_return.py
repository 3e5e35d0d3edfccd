"""A lost GPU that only a library opened afresh finds comes back without a restart, and costs the others nothing."""

from __future__ import annotations

import os
import resource
import select
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from nvml_standin import Gpu, NvmlStandin

from mole.gpu_host import Host, nvml_processes
from mole.peers import wait_until

EIGHT = [Gpu() for _ in range(8)]
STALE = "stale gpu 3 fail * 15"  # a library that was loaded before this was written finds the GPU no more
LOST = "gpu 3 fail * 15"


def alive() -> list[int]:
    return [process.pid for process in nvml_processes() if process.status() != psutil.STATUS_ZOMBIE]


def states(host: Host) -> list[Any]:
    """Of a reading on time: old values or none are no reading."""
    gpus = host.gpus()
    assert host.errors == {}
    assert len(host.metrics["sys.gpu.power_w"]) == sum(gpu["state"] == "ok" for gpu in gpus.values())
    return [gpu["state"] for gpu in gpus.values()]


def lose(standin: NvmlStandin, host: Host, fault: str) -> int:
    """Lose a GPU and let most of a minute pass; the process that reads."""
    host.set_pci(*range(8))
    standin.set(*EIGHT)
    assert states(host) == ["ok"] * 8
    standin.set(*EIGHT, faults=(fault,))
    assert states(host).count("lost") == 1
    host.clock.now += 59
    assert states(host).count("lost") == 1
    [pid] = alive()
    return pid


def look_again(host: Host) -> int:
    """The time of the next try has come; the process that is started, which may have crashed already."""
    before = {process.pid for process in nvml_processes()}
    assert states(host).count("lost") == 1
    [pid] = {process.pid for process in nvml_processes()} - before
    return pid


def test_it_returns_while_the_others_are_read_on(standin: NvmlStandin, host: Host) -> None:
    old = lose(standin, host, STALE)
    host.clock.now += 1
    new = look_again(host)
    for _ in range(500):
        now = states(host)
        if now == ["ok"] * 8:
            break
        assert now == ["ok"] * 3 + ["lost"] + ["ok"] * 4
    assert states(host) == ["ok"] * 8
    assert (host.reader.pid, host.reader.pid == old) == (new, False)
    assert [event["kind"] for event in host.events] == ["gpu_lost", "gpu_returned"]
    wait_until(lambda: alive() == [new])
    host.clock.now += 1000
    assert states(host) == ["ok"] * 8
    assert alive() == [new]


def test_one_that_nvml_stopped_to_list_returns_likewise(standin: NvmlStandin, host: Host) -> None:
    host.set_pci(0, 1)
    standin.set(Gpu(), Gpu())
    host.gpus()
    standin.set(Gpu(), faults=tuple("fresh " + line.decode() for line in Gpu().lines(1)))
    assert states(host) == ["ok", "lost"]
    host.clock.now += 60
    look_again(host)
    wait_until(lambda: states(host) == ["ok", "ok"])


def test_one_that_left_the_bus_is_not_looked_for(standin: NvmlStandin, host: Host) -> None:
    host.set_pci(0, 1)
    standin.set(Gpu(), Gpu())
    host.gpus()
    host.set_pci(0)
    standin.set(Gpu())
    for _ in range(3):
        host.clock.now += 100
        assert states(host) == ["ok", "lost"]
        assert len(alive()) == 1


def test_one_that_stays_lost_is_looked_for_ever_more_rarely_and_the_running_process_stays(
    standin: NvmlStandin, host: Host
) -> None:
    old = lose(standin, host, LOST)
    lost_at = host.clock.now - 59
    host.clock.now += 1
    started: list[float] = []
    while len(started) < 5:
        states(host)
        if len(alive()) == 2:
            started.append(host.clock.now - lost_at)
            wait_until(lambda: states(host) and alive() == [old])
        host.clock.now += 20
    assert started == [60, 180, 420, 900, 1500]
    assert host.reader.pid == old
    standin.set(*EIGHT)
    assert states(host) == ["ok"] * 8
    standin.set(*EIGHT, faults=(STALE,))
    states(host)
    host.clock.now += 60
    look_again(host)  # again after a minute


@pytest.mark.parametrize("fault", ["fresh delay nvmlInitWithFlags 60", "fresh crash nvmlInitWithFlags"])
def test_a_driver_that_cannot_be_opened_anew_costs_the_others_nothing(
    standin: NvmlStandin, host: Host, fault: str
) -> None:
    host.set_pci(*range(8))
    standin.set(*EIGHT)
    host.gpus()
    standin.set(*EIGHT, faults=(LOST, fault))
    states(host)
    [old] = alive()
    host.clock.now += 60
    new = look_again(host)
    if "crash" in fault:
        wait_until(lambda: states(host) and alive() == [old])
        return
    for _ in range(10):
        host.clock.now += 1000
        assert states(host).count("ok") == 7
        assert sorted(alive()) == sorted([old, new]), "another one was started beside one that hangs"
    host.collector.close()
    assert alive() == []


def test_no_descriptors_for_a_second_process_cost_the_others_nothing(standin: NvmlStandin, host: Host) -> None:
    lose(standin, host, STALE)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    report = host.reader.read(5)
    host.clock.now += 1
    free = os.dup(0)
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        host.reader.look_for_missing(True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert report.state == "ok"
    assert len(alive()) == 1
    host.clock.now += 120
    look_again(host)


@pytest.mark.parametrize("clock_was_ahead_s", [0, 3600])
def test_an_event_is_told_once_also_when_the_second_process_takes_over(
    standin: NvmlStandin, tmp_path: Path, clock_was_ahead_s: float
) -> None:
    """Though the clock is set back after that, which dates the events."""
    host = Host(tmp_path, sample_s=0.02)
    host.reader._wall_clock = lambda: time.time() + clock_was_ahead_s  # pyright: ignore[reportPrivateUsage]
    try:
        lose(standin, host, STALE)
        host.clock.now += 1
        new = look_again(host)
        probe: Any = host.reader._probe._process  # pyright: ignore
        wait_until(lambda: select.select([probe._stdout], [], [], 0)[0])
        standin.set(*EIGHT, faults=(STALE, "event 1 2 8 79"))
        time.sleep(0.3)  # both processes notice it
        for _ in range(3):
            host.gpus()
        assert host.reader.pid == new
        standin.set(*EIGHT, faults=(STALE, "event 1 2 8 79", "event 2 2 8 48"))
        host.gpus()
        assert [event["data"]["code"] for event in host.events if event["kind"] == "xid"] == [79, 48]
    finally:
        host.collector.close()
