"""The host's own facts and clocks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole.general_machine_data import (
    GeneralMachineCollector,
    clear_hostname,
    parse_cpu_model,
    parse_os_release,
    read_hostname,
)
from cluster_dash_mole.reading import Reading

CPUINFO = "processor\t: 0\nmodel name\t: AMD EPYC 9654   96-Core Processor\n\nprocessor\t: 1\nmodel name\t: another\n"


class Host:
    """A host whose clocks a test sets."""

    def __init__(self, folder: Path) -> None:
        self.wall = 1_795_308_000.0
        self.uptime = 1000.0
        self.skew: float | None = None
        self.proc = folder / "proc"
        self.etc = folder / "etc"
        Path(self.proc, "sys/kernel/random").mkdir(parents=True)
        self.etc.mkdir()
        self.collector = GeneralMachineCollector(
            self.proc, self.etc, lambda: self.wall, lambda: self.uptime, lambda: self.skew
        )

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds

    def read(self) -> dict[str, Any]:
        return general(self.collector.collect())


def general(reading: Reading) -> Any:
    return reading.sections["general"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_facts_come_from_the_kernel_and_the_system(host: Host) -> None:
    Path(host.proc, "sys/kernel/random/boot_id").write_text("e485afc5-0c4f-420c-b76f-c65c884ce61b\n")
    Path(host.proc, "sys/kernel/osrelease").write_text("6.8.0-45-generic\n")
    Path(host.proc, "cpuinfo").write_text(CPUINFO * 200)
    Path(host.etc, "os-release").write_text('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.1 LTS"\n')
    read = host.read()
    assert read["boot_id"] == "e485afc5-0c4f-420c-b76f-c65c884ce61b"
    assert read["kernel"] == "6.8.0-45-generic"
    assert read["os"] == "Ubuntu 24.04.1 LTS"
    assert read["cpu_model"] == "AMD EPYC 9654 96-Core Processor"


def test_what_the_host_does_not_tell_is_none(host: Host) -> None:
    read = host.read()
    assert [read[key] for key in ("boot_id", "kernel", "os", "cpu_model")] == [None] * 4
    assert parse_os_release("PRETTY_NAME=\nPRETTY_NAMES=x\n") is None
    assert parse_os_release("PRETTY_NAME=Arch\n") == "Arch"
    assert parse_cpu_model("Processor : ARMv8\nmodel name\n") is None


def test_a_system_that_is_updated_is_noticed_within_the_hour(host: Host) -> None:
    host.read()
    Path(host.etc, "os-release").write_text("PRETTY_NAME=new\n")
    host.pass_time(10)
    assert host.read()["os"] is None
    host.pass_time(3600)
    assert host.read()["os"] == "new"


def test_the_time_of_boot_does_not_waver_while_the_clock_is_slewed(host: Host) -> None:
    seen: set[str] = set()
    for step in range(200):
        host.pass_time(5)
        host.wall += 0.003 if step % 2 else -0.003
        seen.add(host.read()["boottime"])
    assert len(seen) == 1


@pytest.mark.parametrize("jump_s", [86_400, -86_400])
def test_a_clock_that_is_set_moves_the_time_of_boot_with_it_and_not_the_uptime(host: Host, jump_s: float) -> None:
    host.read()
    host.wall += jump_s
    host.pass_time(5)
    reading = host.collector.collect()
    assert reading.samples[0].value == 1005
    fresh = GeneralMachineCollector(host.proc, host.etc, lambda: host.wall, lambda: host.uptime)
    assert general(reading) == general(fresh.collect())


def test_a_host_without_a_clock_of_its_uptime_gives_none() -> None:
    reading = GeneralMachineCollector(uptime=lambda: None).collect()
    assert general(reading)["boottime"] is None
    assert reading.samples[0].value is None


def test_the_skew_is_what_the_sender_says(host: Host) -> None:
    assert host.collector.collect().samples[1].value is None
    host.skew = -2.5
    sample = host.collector.collect().samples[1]
    assert (sample.metric.name, sample.value) == ("sys.time.skew_s", -2.5)


def test_a_host_that_is_renamed_has_its_new_name_at_once() -> None:
    script = """
import socket
from cluster_dash_mole.general_machine_data import GeneralMachineCollector
collector = GeneralMachineCollector()
names = [collector.collect().sections["general"]["hostname"]]
socket.sethostname("renamed-gpu07")
names.append(collector.collect().sections["general"]["hostname"])
print(*names)
"""
    command = ["unshare", "--uts", "--map-root-user", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"a host's name can't be set here: {done.stderr.strip()}")
    assert done.stdout.split() == [read_hostname(), "renamed-gpu07"], done.stderr


@pytest.mark.parametrize(
    ("kernel", "sent"),
    [
        ("gpu01.example.org", "gpu01.example.org"),
        ("  gpu \u00a0 01\t", "gpu 01"),
        ("gpu\x07\u200b01\udcff", "gpu01"),
        ("mu\u0308ller", "m\u00fcller"),
        (" \n\u200b ", "unknown"),
        ("x" * 255 + "  y", "x" * 255),
    ],
)
def test_a_host_name_is_sent_in_one_form_of_all_that_look_alike(kernel: str, sent: str) -> None:
    assert clear_hostname(kernel) == sent
