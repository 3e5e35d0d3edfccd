"""Takes the kernel's facts about this host and its clocks, gives the post's `general` section."""

from __future__ import annotations

import os
import socket
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_dash_mole.clocks import Sleep, read_uptime
from cluster_dash_mole.reading import Metric, Reading, Sample, read_optional

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster_dash_mole.reading import Json

UPTIME = Metric("sys.uptime_s", "s", "time since the host started, sleep included")
SKEW = Metric("sys.time.skew_s", "s", "how far this host's clock is ahead of the server's; negative = behind")

_FACTS_KEPT_S = 3600.0  # a system that is updated gets another name without a restart
_NOTICED_S = 1.0  # a smaller change of the time of boot is how the two clocks are read, not a clock that was set


def read_facts(proc: Path, etc: Path) -> dict[str, Json]:
    """What hardly changes: boot id, kernel, system, model of the CPU. None = the kernel doesn't tell."""
    return {
        "boot_id": read_optional(str(proc / "sys/kernel/random/boot_id")).strip() or None,
        "kernel": read_optional(str(proc / "sys/kernel/osrelease")).strip() or None,
        "os": parse_os_release(read_optional(str(etc / "os-release"))),
        "cpu_model": parse_cpu_model(_read_start(proc / "cpuinfo")),
    }


def _read_start(path: Path) -> str:
    """4 KiB hold the first CPU; on a host with hundreds the kernel works long for the rest."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 4096).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def parse_os_release(text: str) -> str | None:
    """`PRETTY_NAME="Ubuntu 24.04.1 LTS"`, quoted as a shell would."""
    for line in text.split("\n"):
        key, _, value = line.partition("=")
        if key.strip() == "PRETTY_NAME":
            return value.strip().strip("\"'") or None
    return None


def parse_cpu_model(text: str) -> str | None:
    """Of the first CPU in /proc/cpuinfo. ARM hosts don't tell."""
    for line in text.split("\n"):
        key, separator, value = line.partition(":")
        if separator and key.strip() == "model name":
            return " ".join(value.split()) or None
    return None


def read_hostname() -> str:
    """As the kernel has it now, which takes any bytes, in the one form of all that look alike that the server takes."""
    return clear_hostname(socket.gethostname())


def clear_hostname(name: str) -> str:
    """Without control characters, with blanks only between words and composed letters; never empty."""
    words = ("".join(letter for letter in word if letter.isprintable()) for word in name.split())
    return unicodedata.normalize("NFC", " ".join(filter(None, words)))[:256].strip() or "unknown"


class GeneralMachineCollector:
    """Name, system and clocks. `read_skew` gives how far this host's clock is ahead of the server's, None = unknown."""

    name = "general"

    def __init__(
        self,
        proc: Path = Path("/proc"),
        etc: Path = Path("/etc"),
        wall: Callable[[], float] = time.time,
        uptime: Callable[[], float | None] = read_uptime,
        read_skew: Callable[[], float | None] = lambda: None,
        awake: Callable[[], float] = time.monotonic,
    ) -> None:
        self._proc = proc
        self._etc = etc
        self._wall = wall
        self._uptime = uptime
        self._read_skew = read_skew
        self._sleep = Sleep(uptime, awake)
        self._facts: dict[str, Json] = {}
        self._facts_at: float | None = None
        self._booted_at: float | None = None

    def prime(self) -> None:
        """From here on it is told when the host sleeps."""
        self._sleep.look(self._wall())

    def collect(self) -> Reading:
        """`general`; the times in local time, for a person."""
        now, uptime = self._wall(), self._uptime()
        booted_at = self._find_boot(now, uptime)
        general: dict[str, Json] = {
            "hostname": read_hostname(),
            "system_time": _local_time(now),
            "boottime": None if booted_at is None else _local_time(booted_at),
            **self._recall_facts(uptime),
        }
        samples = [Sample(UPTIME, uptime), Sample(SKEW, self._read_skew())]
        return Reading({"general": general}, samples, events=self._sleep.look(now))

    def _find_boot(self, now: float, uptime: float | None) -> float | None:
        """Kept from reading to reading, so that it doesn't waver by a second; a clock that was set moves it."""
        if uptime is None:
            return None
        if self._booted_at is None or abs(now - uptime - self._booted_at) >= _NOTICED_S:
            self._booted_at = now - uptime
        return self._booted_at

    def _recall_facts(self, uptime: float | None) -> dict[str, Json]:
        at = uptime or 0.0
        if self._facts_at is None or at - self._facts_at >= _FACTS_KEPT_S:
            self._facts, self._facts_at = read_facts(self._proc, self._etc), at
        return self._facts

    def close(self) -> None:
        """Nothing is held."""


def _local_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
