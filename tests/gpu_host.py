"""Holds what a real mole posts of a real NVIDIA GPU against nvidia-smi. By hand, on a host that has one:

    .venv/bin/python tests/gpu_host.py [--fault] [--gpu INDEX] [--seconds 10]

It needs nvidia-smi, and torch or cupy (any Python's: --python) for the phases with a load, which it leaves out and says
so without. --fault also lets a program use memory that isn't its own, which the driver reports as XID 31. It changes
nothing about the GPU. Others may use it meanwhile: what they do is seen by both sides. The exit code is 1 where they
differ by more than stands in the table, 2 where there is nothing to compare with.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union

from mole.peers import MoleProcess, Peer

LOAD = Path(__file__).with_name("gpu_load.py")
SETTLE_S, READY_S, POST_S = 4.0, 120.0, 2.0
Value = Union[float, str, None]


class Check(NamedTuple):
    """A number of the mole beside one of nvidia-smi: `name` is a metric or a field of the GPU's entry.

    Means over a phase may differ by `points`, or by `share` of what nvidia-smi says; by `loose` times that where the
    load comes and goes, as the two don't look in the same moments.
    """

    what: str
    name: str
    column: str
    points: float
    share: float = 0.0
    loose: float = 1.0
    scale: float = 1.0


MIB = 2.0**-20
CHECKS = (
    Check("memory used, MiB", "used_mem", "memory.used", 1),
    Check("memory in all, MiB", "total_mem", "memory.total", 1),
    Check("memory free, MiB", "sys.gpu.mem_free_bytes", "memory.free", 1, scale=MIB),
    Check("memory reserved, MiB", "sys.gpu.mem_reserved_bytes", "memory.reserved", 1, scale=MIB),
    Check("utilisation, %", "gpu_util", "utilization.gpu", 5, loose=4),
    Check("memory's utilisation, %", "memory_util", "utilization.memory", 5, loose=2),
    Check("power, W", "sys.gpu.power_w", "power.draw", 3, 0.03, loose=4),
    Check("power limit, W", "sys.gpu.power_limit_w", "enforced.power.limit", 0.5),
    Check("temperature, °C", "sys.gpu.temperature_c", "temperature.gpu", 3, loose=2),
    Check("memory's temperature, °C", "sys.gpu.mem_temperature_c", "temperature.memory", 3),
    Check("SM clock, MHz", "sys.gpu.sm_clock_mhz", "clocks.sm", 30, 0.08, loose=3),
    Check("memory clock, MHz", "sys.gpu.mem_clock_mhz", "clocks.mem", 0),
    Check("fan, %", "sys.gpu.fan_percent", "fan.speed", 5),
    Check("PCIe generation at most", "sys.gpu.pcie_max_generation", "pcie.link.gen.max", 0),
    Check("PCIe lanes", "sys.gpu.pcie_width", "pcie.link.width.current", 0),
    Check("corrected errors", "sys.gpu.ecc_corrected", "ecc.errors.corrected.volatile.total", 0),
    Check("uncorrected errors", "sys.gpu.ecc_uncorrected", "ecc.errors.uncorrected.volatile.total", 0),
    Check("rows replaced", "sys.gpu.remapped_rows_correctable", "remapped_rows.correctable", 0),
)
# These columns are of `nvidia-smi dmon --gpm-metrics`, from Hopper on.
ACTIVITY = (
    Check("SMs active, %", "sys.gpu.sm_active_percent", "smutil", 5, loose=2),
    Check("SMs' occupancy, %", "sys.gpu.sm_occupancy_percent", "smocc", 5, loose=2),
    Check("tensor cores, %", "sys.gpu.tensor_active_percent", "mmaact", 5, loose=2),
    Check("memory bandwidth, %", "sys.gpu.dram_active_percent", "dram", 5, loose=2),
    Check("PCIe sent, MiB/s", "sys.gpu.pcie_sent_bytes_per_s", "pcitx", 10, 0.2, scale=MIB),
    Check("PCIe received, MiB/s", "sys.gpu.pcie_recv_bytes_per_s", "pcirx", 10, 0.2, scale=MIB),
)
GPM_NUMBERS = "2,3,5,10,20,21"
# Counters that grow: the mole reads them once a minute. nvidia-smi has microseconds.
SLOWED = {
    "sys.gpu.power_capped_s": "clocks_event_reasons_counters.sw_power_cap",
    "sys.gpu.heat_slowed_s": "clocks_event_reasons_counters.sw_thermal_slowdown",
    "sys.gpu.heat_braked_s": "clocks_event_reasons_counters.hw_thermal_slowdown",
    "sys.gpu.power_braked_s": "clocks_event_reasons_counters.hw_power_brake_slowdown",
}
REASONS = "clocks_event_reasons.active"


class Seen(NamedTuple):
    """What one look of nvidia-smi told, by column."""

    time: float
    values: dict[str, float]


class Row(NamedTuple):
    """A line of the table."""

    phase: str
    what: str
    mole: Value
    smi: Value
    allowed: str
    is_ok: bool


class Smi:
    """nvidia-smi, asked once, and two that go on: one for what it queries, one for GPM."""

    def __init__(self, gpu: int) -> None:
        self._gpu = gpu
        wanted = [check.column for check in CHECKS] + [*SLOWED.values(), REASONS]
        self.columns = [column for column in wanted if self._tells(column)]
        self.seen: list[Seen] = []
        self.activity: list[Seen] = []
        query = [f"--query-gpu={','.join(self.columns)}", "--format=csv,noheader,nounits", "-lms", "500"]
        monitor = ["dmon", "-s", "m", "--gpm-metrics", GPM_NUMBERS, "-d", "1"]
        self._headings: list[str] = []
        self._processes = [self._follow(query, self._parse_query), self._follow(monitor, self._parse_monitor)]

    def _words(self, *words: str) -> list[str]:
        return ["nvidia-smi", *words, "-i", str(self._gpu)]

    def ask(self, *words: str) -> str:
        """What it prints; nothing where it refuses."""
        asked = subprocess.run(self._words(*words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return asked.stdout.decode() if asked.returncode == 0 else ""

    def _tells(self, column: str) -> bool:
        return bool(self.ask(f"--query-gpu={column}", "--format=csv,noheader"))

    def knows(self, column: str) -> bool:
        """Whether this nvidia-smi has that column at all."""
        return column in self.columns or column in self._headings

    def unknown(self) -> list[str]:
        """The columns that it lacks."""
        wanted = [*(check.column for check in (*CHECKS, *ACTIVITY)), *SLOWED.values(), REASONS]
        return [column for column in wanted if not self.knows(column)]

    def processes(self) -> dict[str, float]:
        """MiB by pid."""
        told = self.ask("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits").splitlines()
        return {pid.strip(): float(mib) for pid, mib in (line.split(",") for line in told if "," in line)}

    def _follow(self, words: Sequence[str], parse: Callable[[str], None]) -> subprocess.Popen[str]:
        process = subprocess.Popen(self._words(*words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout
        threading.Thread(target=feed, args=(process.stdout, parse), daemon=True).start()
        return process

    def _parse_query(self, line: str) -> None:
        self.seen.append(Seen(time.time(), read_numbers(self.columns, line.split(","))))

    def _parse_monitor(self, line: str) -> None:
        words = line.split()
        if line.startswith("#") and "gpu" in words:
            self._headings = [word for word in words if word != "#"]
        elif not line.startswith("#"):
            self.activity.append(Seen(time.time(), read_numbers(self._headings, words)))

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(10)


def feed(lines: Iterable[str], parse: Callable[[str], None]) -> None:
    for line in lines:
        parse(line)


def read_numbers(columns: Sequence[str], words: Sequence[str]) -> dict[str, float]:
    """Those that are numbers; "[N/A]" and "-" are none."""
    found: dict[str, float] = {}
    for column, word in zip(columns, words):
        with contextlib.suppress(ValueError):
            found[column] = float(int(word, 16) if word.strip().startswith("0x") else float(word))
    return found


class Bench:
    """A mole, nvidia-smi beside it, and the table."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.gpu: int = arguments.gpu
        self.seconds: float = arguments.seconds
        self._python: str = arguments.python
        self.rows: list[Row] = []
        self.peer = Peer()
        self.smi = Smi(self.gpu)
        settings = {
            "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": str(POST_S),
            "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
            "JSON_SENDER_LOGGER_ADDRESS_IN": self.peer.address,
        }
        self.mole = MoleProcess(folder, settings, command=(sys.executable, "-m", "cluster_dash_mole"))

    @contextlib.contextmanager
    def load(self, kind: str) -> Generator[subprocess.Popen[str], None, None]:
        """A program with that load on the GPU, while the context lasts."""
        environ = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(self.gpu)}
        words = [self._python, str(LOAD), kind]
        program = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert program.stdout
        try:
            assert program.stdout.readline() == "ready\n", f"the load {kind!r} did not start"
            yield program
        finally:
            program.kill()
            program.wait(30)
            program.stdout.close()

    def compare(self, phase: str, loose: bool = False) -> None:
        """Wait for it to settle, look at both for a while, and add to the table."""
        time.sleep(SETTLE_S)
        began = time.time()
        time.sleep(self.seconds)
        processes, ended = self.smi.processes(), time.time()
        posts = [post for post in self.peer.posts if began + POST_S <= post["timestamp"] <= ended]
        for table, seen in ((CHECKS, self.smi.seen), (ACTIVITY, self.smi.activity)):
            told = [each.values for each in seen if began + POST_S / 2 <= each.time <= ended]
            for check in table:
                self._compare(phase, check, posts, told, check.loose if loose else 1.0)
        masks = {int(each.values.get(REASONS, -1)) for each in self.smi.seen if began <= each.time}
        self._compare_entry(phase, posts, masks, processes)

    def _compare(
        self, phase: str, check: Check, posts: list[dict[str, Any]], told: list[dict[str, float]], loose: float
    ) -> None:
        ours = mean([value for post in posts if (value := self.value(post, check.name)) is not None])
        ours = None if ours is None else ours * check.scale
        theirs = mean([values[check.column] for values in told if check.column in values])
        if not self.smi.knows(check.column) or (ours is None and theirs is None):
            return
        allowed = loose * max(check.points, check.share * (theirs or 0.0))
        is_ok = ours is not None and theirs is not None and abs(ours - theirs) <= allowed
        self.rows.append(Row(phase, check.what, ours, theirs, f"± {allowed:.4g}", is_ok))

    def _compare_entry(
        self, phase: str, posts: list[dict[str, Any]], masks: set[int], processes: dict[str, float]
    ) -> None:
        entry: dict[str, Any] = self.entry(posts[-1]) if posts else {}
        state = entry.get("state")
        self.rows.append(Row(phase, "state", state, "ok", "equal", state == "ok"))
        if self.smi.knows(REASONS):
            ours = entry.get("throttle_reasons", -1)
            listed = " or ".join(f"{mask:#x}" for mask in sorted(masks))
            self.rows.append(Row(phase, "why clocks are low", f"{int(ours):#x}", listed, "one of", ours in masks))
        users: dict[str, dict[str, Any]] = entry.get("users") or {}
        found: dict[str, tuple[str, Any]] = {
            pid: (user, each["mem"]) for user, held in users.items() for pid, each in held.items()
        }
        pids = sorted(found), sorted(processes)
        self.rows.append(Row(phase, "processes", " ".join(pids[0]), " ".join(pids[1]), "equal", pids[0] == pids[1]))
        for pid in set(found) & set(processes):
            user, mib = found[pid]
            is_ok = abs((mib or 0) - processes[pid]) <= 1
            self.rows.append(Row(phase, f"MiB of {pid}", mib, processes[pid], "± 1", is_ok))
            self.rows.append(Row(phase, f"user of {pid}", user, owner_of(pid), "equal", user == owner_of(pid)))

    def entry(self, post: dict[str, Any]) -> dict[str, Any]:
        """The GPU's, as the mole sent it."""
        return {entry["index"]: entry for entry in post["gpu"].values()}.get(self.gpu, {})

    def value(self, post: dict[str, Any], name: str) -> float | None:
        """A metric or a field of the GPU, None where it isn't told."""
        if not name.startswith("sys."):
            return self.entry(post).get(name)
        column = post["metrics"].get(name, {"device": [], "value": []})
        return dict(zip(column["device"], column["value"])).get(self.gpu)

    def compare_counters(self) -> None:
        """Those that only grow: what the mole told last lies between what nvidia-smi told first and last."""
        for name, column in SLOWED.items():
            told = [each.values[column] / 1e6 for each in self.smi.seen if column in each.values]
            ours = self.value(self.peer.posts[-1], name)
            if told:
                is_ok = ours is not None and told[0] - 0.1 <= ours <= told[-1] + 0.1
                allowed = f"{told[0]:.2f} to {told[-1]:.2f}"
                self.rows.append(Row("whole", f"{name[8:-2].replace('_', ' ')}, s", ours, told[-1], allowed, is_ok))

    def fault(self) -> None:
        """The event of a program that uses memory that isn't its own."""
        before = len(self.peer.posts)
        with self.load("fault") as program:
            program.wait(60)
            time.sleep(3 * POST_S)
        events = [event for post in self.peer.posts[before:] for event in post.get("events", ())]
        told = ", ".join(f"{event['kind']} {event['data']['code']} on {event.get('device')}" for event in events)
        expected = f"xid 31 on {self.gpu}"
        self.rows.append(Row("fault", "event", told, expected, "equal", told == expected))

    def end(self) -> None:
        took_s = self.mole.end(signal.SIGTERM)
        code = self.mole.process.returncode
        self.rows.append(Row("end", "mole's exit code", code, 0, "equal", code == 0))
        self.rows.append(Row("end", "mole ends within, s", took_s, 1, "at most 1", took_s <= 1))

    def close(self) -> None:
        if self.mole.process.poll() is None:
            self.mole.close()
        self.smi.close()
        self.peer.close()


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def owner_of(pid: str) -> str:
    """Its user's name, while it lives."""
    with contextlib.suppress(OSError, KeyError):
        return pwd.getpwuid(Path("/proc", pid).stat().st_uid).pw_name
    return "unknown"


def run_phases(bench: Bench, can_load: bool, fault: bool) -> None:
    """All of them, one after the other."""
    bench.compare("idle")
    if can_load:
        for kind, name in (("full", "full load"), ("half", "half load"), ("memory", "memory load")):
            with bench.load(kind):
                bench.compare(name, loose=kind == "half")
        with bench.load("hold") as holder:
            bench.compare("holder")
            with bench.load("full"):
                bench.compare("two processes")
            holder.send_signal(signal.SIGKILL)
            holder.wait(30)
            bench.compare("after kill -9")
    if fault:
        bench.fault()
        bench.compare("after the fault")
    bench.compare_counters()
    bench.end()


def shown(value: Value) -> str:
    return "-" if value is None else f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def print_table(rows: Sequence[Row]) -> None:
    lines = [("phase", "what", "mole", "nvidia-smi", "allowed", "")]
    lines += [(r.phase, r.what, shown(r.mole), shown(r.smi), r.allowed, "ok" if r.is_ok else "DIFFERS") for r in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(6)]
    for line in lines:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip())


def why_not(python: str, script: str) -> str:
    """Empty where it runs, else the end of what it says."""
    words = [python, "-c", script]
    tried = subprocess.run(words, cwd=LOAD.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return tried.stderr.decode().strip()[-300:] if tried.returncode else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(". By hand")[0])
    parser.add_argument("--fault", action="store_true", help="also cause an XID 31")
    parser.add_argument("--gpu", type=int, default=0, help="its index, as nvidia-smi has it")
    parser.add_argument("--seconds", type=float, default=10.0, help="for which each phase is looked at")
    parser.add_argument("--python", default=sys.executable, help="one that has torch or cupy")
    arguments = parser.parse_args()
    if not shutil.which("nvidia-smi") or subprocess.run(["nvidia-smi", "-L"], check=False).returncode:
        print("left out: all, as nvidia-smi finds no GPU here")
        return 2
    no_load = why_not(arguments.python, "import gpu_load; gpu_load.find_work()")
    no_fault = no_load or (why_not(arguments.python, "import cupy") if arguments.fault else "")
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Bench(arguments, Path(folder))) as bench:
        run_phases(bench, not no_load, arguments.fault and not no_fault)
    print_table(bench.rows)
    if no_load:
        print(f"left out: the phases with a load, as there is no CUDA: {no_load}")
    if arguments.fault and no_fault:
        print(f"left out: the fault, as there is no cupy: {no_fault}")
    for column in bench.smi.unknown():
        print(f"left out: {column}, which this nvidia-smi doesn't know")
    differing = sum(not row.is_ok for row in bench.rows)
    print(f"{len(bench.rows)} compared, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
