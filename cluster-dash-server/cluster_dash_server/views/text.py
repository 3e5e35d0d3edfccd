"""Takes the hosts as they are now, gives the table for a terminal of 80 columns: `curl http://host:8080/`."""

from __future__ import annotations

from ..query import HostNow, mean
from .wording import MISSING, duration, percent, printable, shorten

HEADER = ("HOST", "STATE", "AGE", "FREE", "UTIL", "GPUMEM", "CPU", "MEM", "DISK")
LEFT_ALIGNED = 2
LONGEST_NAME = 22

NO_HOST = """No host has reported yet.

On each GPU host:  python smart_startup.py
To try it here:    curl -d @etc/example_data1.json -H "Content-Type: application/json" -X POST {url}
"""


def fleet_table(rows: list[HostNow], warning: str | None, url: str) -> str:
    if not rows:
        return NO_HOST.format(url=url) + (f"\n{warning}\n" if warning else "")
    lines = _aligned([HEADER, *map(_cells, rows)])
    notes = [
        f"{printable(row.name)}: {printable(note)}" for row in rows for note in [*_status_note(row), *notes_of(row)]
    ]
    if notes:
        lines += ["", *notes]
    if warning:
        lines += ["", warning]
    return "\n".join(lines) + "\n"


def _cells(row: HostNow) -> tuple[str, ...]:
    return (
        shorten(printable(row.name), LONGEST_NAME),
        row.status,
        duration(row.age_s),
        f"{row.free_gpus}/{len(row.gpus)}" if row.gpus else MISSING,
        percent(mean([gpu.util_percent for gpu in row.gpus])),
        percent(mean([gpu.mem_percent for gpu in row.gpus])),
        percent(row.cpu_percent),
        percent(row.mem_percent),
        percent(row.fullest_disk.percent if row.fullest_disk else None),
    )


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(_padded(cells, widths)).rstrip() for cells in table]


def _padded(cells: tuple[str, ...], widths: list[int]) -> list[str]:
    return [
        cell.ljust(width) if column < LEFT_ALIGNED else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]


def _status_note(row: HostNow) -> list[str]:
    return [] if row.status == "up" else [f"{row.status}: no post for {duration(row.age_s)}"]


def notes_of(row: HostNow) -> list[str]:
    """What a person should know about this host besides its state and age, each in a line."""
    notes: list[str] = []
    skew_s = row.host.skew_s
    if skew_s is not None:
        notes.append(f"its clock is {duration(abs(skew_s))} {'ahead' if skew_s > 0 else 'behind'}")
    if row.gpu_error:
        notes.append(f"GPUs {'hung' if row.gpu_error[0] == 'hung' else 'not readable'}: {row.gpu_error[1]}")
    notes += [
        f"GPU {gpu.index} {gpu.state}" + (f": {gpu.error}" if gpu.error else "")
        for gpu in row.gpus
        if gpu.state != "ok"
    ]
    errors: dict[str, str] = row.host.post.get("mole", {}).get("errors", {})
    told = row.gpu_error[1] if row.gpu_error else None
    notes += [f"mole: {what}: {text}" for what, text in errors.items() if text != told]
    return notes
