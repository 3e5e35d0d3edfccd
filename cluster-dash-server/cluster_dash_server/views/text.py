"""Takes the hosts as they are now, gives the table for a terminal of 80 columns: `curl http://host:8080/`."""

from __future__ import annotations

from collections import defaultdict

from ..points import mean
from ..query import HostNow
from . import notes
from .wording import MISSING, duration, gib, percent, printable, shorten

HEADER = ("HOST", "STATE", "AGE", "FREE", "UTIL", "GPUMEM", "CPU", "MEM", "FULLEST DISK")
NAME, STATE, DISK = 0, 1, 8
LEFT_ALIGNED = (NAME, STATE, DISK)
LONGEST_NAME = 18
LONGEST_MOUNT = 11

NO_HOST = """No host has reported yet.

On each GPU host:  python smart_startup.py   (with this server's address in its config.toml)
To try it here:    curl -d @etc/example_data1.json -H "Content-Type: application/json" -X POST {url}
"""


def fleet_table(rows: list[HostNow], warnings: list[str], url: str) -> str:
    if not rows:
        return NO_HOST.format(url=url) + "".join(f"\n{warning}\n" for warning in warnings)
    counts = totals(rows)
    lines = [
        f"{counts['up']} of {counts['hosts']} hosts up, {counts['free']} of {counts['gpus']} GPUs free",
        "",
        *_aligned([HEADER, *map(_cells, rows)]),
    ]
    for block in (_users(rows), _notes(rows), warnings):
        lines += ["", *block] if block else []
    return "\n".join(lines) + "\n"


def totals(rows: list[HostNow]) -> dict[str, int]:
    """GPUs are free, in use or unknown: lost, or of a driver or a host that tells nothing right now."""
    gpus = sum(len(row.gpus) for row in rows)
    free, used = sum(row.free_gpus for row in rows), sum(row.used_gpus for row in rows)
    return {
        "hosts": len(rows),
        "up": sum(row.status == "up" for row in rows),
        "gpus": gpus,
        "free": free,
        "in_use": used,
        "unknown": gpus - free - used,
    }


def _cells(row: HostNow) -> tuple[str, ...]:
    """A host that is silent keeps its disk and size; what it did then is no figure of now."""
    now = row.status == "up"
    disk = row.fullest_disk
    return (
        shorten(printable(row.name), LONGEST_NAME),
        row.state,
        duration(row.age_s),
        f"{row.free_gpus if now else MISSING}/{len(row.gpus)}" if row.gpus else MISSING,
        percent(mean([gpu.util_percent for gpu in row.gpus]) if now else None),
        percent(mean([gpu.mem_percent for gpu in row.gpus]) if now else None),
        percent(row.cpu_percent if now else None),
        percent(row.mem_percent if now else None),
        f"{percent(disk.percent)} {shorten(printable(disk.mount), LONGEST_MOUNT)}" if disk else MISSING,
    )


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    """The columns of LEFT_ALIGNED at the left, the others at the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column in LEFT_ALIGNED else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in table
    ]


def _users(rows: list[HostNow]) -> list[str]:
    """Who holds how much of what is read right now, the most first."""
    held: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for gpu in row.gpus if row.status == "up" else []:
            for user, mib in gpu.user_mib().items():
                held[user].append(mib or 0)
    most = sorted(held.items(), key=lambda user: (-sum(user[1]), user[0]))
    table = [("USER", "", "GPUS", "MEMORY")]
    table += [
        (shorten(printable(user), LONGEST_NAME), "", str(len(m)), gib(sum(m) / 1024) + " GiB") for user, m in most
    ]
    return _aligned(list(table)) if most else []


def _notes(rows: list[HostNow]) -> list[str]:
    return [f"{printable(row.name)}: {printable(note)}" for row in rows for note in [*_silence(row), *notes_of(row)]]


def _silence(row: HostNow) -> list[str]:
    return [] if row.status == "up" else [f"{row.status}: no post for {duration(row.age_s)}"]


def notes_of(row: HostNow) -> list[str]:
    """What a person should know about this host besides its state and age, each in a line."""
    return [note.text for note in notes.notes_of(row)]


def troubles_of(row: HostNow) -> list[str]:
    """`notes_of` without the conflicts about its name, of which its own page has a table."""
    return [note.text for note in notes.troubles(row)]
