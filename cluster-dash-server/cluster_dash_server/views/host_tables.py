"""Takes a host's latest post, gives the tables of its page beside that of its GPUs: what passes through its network and
disks, what had to wait, how worn its GPUs are, what its mole says of itself.

What a mole doesn't send gives no row, and a value that it left out is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .wording import duration, number

Post = dict[str, Any]

SIGNS = {"gpu": "GPU", "xid": "XID"}
WAITS_FOR = {"cpu": "a free core", "memory": "memory", "io": "disks and network file systems"}


class Wire(NamedTuple):
    """A network interface, or a port of InfiniBand."""

    name: str
    received_bytes_per_s: float | None
    sent_bytes_per_s: float | None
    errors_per_s: float | None
    drops_per_s: float | None


class Drive(NamedTuple):
    name: str
    read_bytes_per_s: float | None
    written_bytes_per_s: float | None
    busy_percent: float | None
    """Share of the time in which it did something; a fast one can take more at 100 %."""


class Wait(NamedTuple):
    """Pressure stall information of the last interval (/proc/pressure)."""

    what: str
    some_percent: float | None
    """Share of the time in which at least one process waited for it."""
    full_percent: float | None
    """Share in which all that had work did."""


class Collector(NamedTuple):
    name: str
    took_s: float | None
    is_ok: bool | None


class Wear(NamedTuple):
    """Something about a GPU's hardware that a person should know; `level` is bad, warn or info."""

    level: str
    text: str


def wires(post: Post) -> list[Wire]:
    """InfiniBand last, each by name."""
    counted = ("recv_bytes_per_s", "sent_bytes_per_s", "errors_per_s", "drops_per_s")
    ethernet = _rows([_by_tag(post, f"sys.net.{metric}", "iface") for metric in counted])
    ports = _rows([_by_tag(post, f"sys.infiniband.{metric}", "port") for metric in counted])
    return [Wire(name, *values) for name, values in (*ethernet, *ports)]


def drives(post: Post) -> list[Drive]:
    """By name."""
    metrics = ("read_bytes_per_s", "written_bytes_per_s", "busy_percent")
    return [
        Drive(name, *values) for name, values in _rows([_by_tag(post, f"sys.disk_io.{m}", "disk") for m in metrics])
    ]


def waits(post: Post) -> list[Wait]:
    some, full = (_by_tag(post, f"sys.pressure.{kind}_percent", "resource") for kind in ("some", "full"))
    return [Wait(WAITS_FOR.get(name, name), *values) for name, values in _rows([some, full])]


def collectors(post: Post) -> list[Collector]:
    """The slowest first."""
    took, ok = _by_tag(post, "sys.collect.duration_s", "collector"), _by_tag(post, "sys.collect.ok", "collector")
    found = [
        Collector(name, took_s, None if is_ok is None else bool(is_ok)) for name, (took_s, is_ok) in _rows([took, ok])
    ]
    return sorted(found, key=lambda each: -(each.took_s or 0))


def mole_facts(mole: Post) -> list[tuple[str, str]]:
    """Name and words, of the post's section `mole`; without its errors, which stand among the host's notes."""
    epoch, cpu_s, rss = mole.get("epoch"), mole.get("cpu_s"), mole.get("rss_bytes")
    starts = str(epoch).rpartition(".")[2] if epoch else ""
    facts = {
        "version": mole.get("version"),
        "id": mole.get("id"),
        "posts every": None if mole.get("interval_s") is None else duration(float(mole["interval_s"])),
        "posts since its start": None if mole.get("seq") is None else f"{int(mole['seq'])}",
        "starts so far": starts if starts.isdecimal() else None,
        "CPU time since its start": None if cpu_s is None else f"{number(cpu_s)} s",
        "memory": None if rss is None else f"{rss / 2**20:.0f} MiB",
        "posts that wait to be sent": None if mole.get("backlog") is None else f"{int(mole['backlog'])}",
        "posts that were lost": None if mole.get("dropped") is None else f"{int(mole['dropped'])}",
    }
    return [(name, str(fact)) for name, fact in facts.items() if fact is not None]


def event_words(kind: str) -> str:
    """Of an event's kind, as a mole names it: GPU lost of gpu_lost."""
    return " ".join(SIGNS.get(word, word) for word in kind.split("_"))


def wear(post: Post) -> dict[int, list[Wear]]:
    """By GPU index, the worst first; none where the driver tells and all is well, no entry where it tells nothing."""
    found: dict[int, list[Wear]] = {}
    for metric, (level, words) in _WEAR.items():
        for device, value in _by_device(post, metric):
            told = found.setdefault(device, [])
            if value > 0:
                told.append(Wear(level, words.format(n=f"{value:.0f}", s="" if value == 1 else "s")))
    for device, lanes, most in _both(post, "sys.gpu.pcie_width", "sys.gpu.pcie_max_width"):
        if lanes < most:
            found.setdefault(device, []).append(Wear("warn", f"PCIe with {lanes:.0f} of {most:.0f} lanes"))
    for device, action in _by_device(post, "sys.gpu.recovery_action"):
        if action > 0:
            words = _RECOVERY.get(int(action), f"the driver asks for recovery action {action:.0f}")
            found.setdefault(device, []).append(Wear("bad", words))
    return {device: sorted(each, key=lambda wear: LEVELS.index(wear.level)) for device, each in found.items()}


def hot(post: Post) -> dict[int, str]:
    """By GPU index what is too hot, by the card's own limits; no entry for a GPU that isn't, or doesn't tell them."""
    found: dict[int, str] = {}
    for metric, part in (("sys.gpu.mem_temperature", "the memory"), ("sys.gpu.temperature", "the core")):
        for device, now, most in _both(post, f"{metric}_c", f"{metric}_max_c"):
            if now >= most:
                found[device] = f"{part} is meant for less than {most:.0f} °C"
    return found


LEVELS = ("bad", "warn", "info")

_WEAR = {
    "sys.gpu.remapped_rows_failed": ("bad", "a bad memory row could not be replaced: have this GPU exchanged"),
    "sys.gpu.ecc_uncorrected": ("bad", "{n} uncorrected memory error{s} since the driver started"),
    "sys.gpu.remapped_rows_pending": ("warn", "a memory row waits to be replaced: reset this GPU when it is free"),
    "sys.gpu.remapped_rows_uncorrectable": ("warn", "{n} memory row{s} replaced after uncorrected errors"),
    "sys.gpu.nvlink_recovery_errors": ("warn", "{n} times an NVLink recovered from errors"),
    "sys.gpu.ecc_corrected": ("info", "{n} corrected memory error{s} since the driver started"),
    "sys.gpu.remapped_rows_correctable": ("info", "{n} memory row{s} replaced after corrected errors"),
}
_RECOVERY = {1: "the driver asks for a reset of this GPU", 2: "the driver asks for a reboot of this host"}
"""Level and words by metric; NVML's counts, 0 where all is well."""


def _by_tag(post: Post, metric: str, tag: str) -> dict[str, float]:
    columns: Post = post.get("metrics", {}).get(metric, {})
    tagged = zip(columns.get("tags", ()), columns.get("value", ()), strict=False)
    return {tags[tag]: value for tags, value in tagged if tag in tags}


def _by_device(post: Post, metric: str) -> Iterator[tuple[int, float]]:
    columns: Post = post.get("metrics", {}).get(metric, {})
    return zip(map(int, columns.get("device", ())), columns.get("value", ()), strict=False)


def _both(post: Post, metric: str, other: str) -> Iterator[tuple[int, float, float]]:
    others = dict(_by_device(post, other))
    for device, value in _by_device(post, metric):
        if device in others:
            yield device, value, others[device]


def _rows(columns: list[dict[str, float]]) -> Iterator[tuple[str, list[float | None]]]:
    """By name, over all names that any column has."""
    for name in sorted({name: None for column in columns for name in column}):
        yield name, [column.get(name) for column in columns]
