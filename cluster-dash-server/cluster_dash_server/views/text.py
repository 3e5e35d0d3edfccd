"""Takes a look at the fleet, gives the table for a terminal of 80 columns: `curl http://host:8080/`.

The server can't tell whether a terminal or a file reads it, so it colours only where it is asked to: `?color=1`.
"""

from __future__ import annotations

from typing import Any

import orjson

from . import notes
from .fleet.model import Look
from .states import HOST_WORDS, PART_WORDS, state_of
from .table import Cell, Column, lines
from .wording import MISSING, brief, duration, number, percent, printable, shorten

WIDTH = 80
LONGEST_NAME = 24
MOST_TILES = 16
MOST_HELD, MOST_USERS, MOST_NOTES = 20, 20, 60
COLUMNS = (
    Column("HOST", least=10),
    Column("STATE"),
    Column("AGE", right=True),
    Column("GPUS"),
    Column("UTIL", right=True),
    Column("GPUMEM", right=True),
    Column("CPU", right=True),
    Column("MEM", right=True),
    Column("DISK", least=8),
)
TILES = {"free": ".", "busy": "#", "idle": "h", "unknown": "?", "off": "x"}
"""A sign for each GPU; ! for those that are lost, hung or can't be read."""
LEGEND = "GPUs: " + "  ".join(f"{TILES.get(part, '!')} {words}" for part, words in PART_WORDS.items())
STATE_COLOURS = {"up": "", "stale": "warn", "conflict": "warn", "fault": "bad", "offline": "bad", "silent": "weak"}
GPU_COLOURS = {"free": "good", "idle": "warn", "lost": "bad", "hung": "bad", "error": "bad", "off": "weak"}

NO_HOST = """No host has reported yet.

On each GPU host:  python smart_startup.py   (with this server's address in its config.toml)
To try it here:    curl -d @etc/example_data1.json -H "Content-Type: application/json" -X POST {url}
"""


def fleet_table(look: Look, warnings: list[str], url: str, *, coloured: bool = False) -> str:
    if not look.rows:
        return NO_HOST.format(url=url) + "".join(f"\n{warning}\n" for warning in warnings)
    hosts: list[dict[str, Any]] = [orjson.loads(row.json.filled(look.mono_s)) for row in look.rows]
    table = lines(COLUMNS, [_cells(host) for host in hosts], WIDTH, coloured=coloured)
    found = [_totals(look), "", *table, "", LEGEND]
    for block in (_held(hosts, coloured), _users(look, coloured), _notes(hosts), warnings):
        found += ["", *block] if block else []
    return "\n".join(found) + "\n"


def _totals(look: Look) -> str:
    counts = look.totals
    text = f"{counts['up']} of {counts['hosts']} hosts up, {counts['free']} of {counts['gpus']} GPUs free"
    text += f", {counts['idle']} held idle" if counts["idle"] else ""
    return text + (f", {counts['bad']} {PART_WORDS['bad']}" if counts["bad"] else "")


def _cells(host: dict[str, Any]) -> tuple[Cell, ...]:
    """A host that is silent keeps its disk and size; what it did then is no figure of now."""
    is_up, gpus, disk = host["is"] == "up", host["gpus"], host.get("disk")
    state = state_of(host)
    used, total = host.get("mem") or (None, None)
    memory = min(100.0, used / total * 100) if used is not None and total else None
    return (
        Cell(shorten(printable(host["name"]), LONGEST_NAME)),
        Cell(HOST_WORDS[state], STATE_COLOURS[state]),
        Cell(MISSING if host.get("age_s") is None else brief(host["age_s"])),
        _tiles(gpus),
        Cell(_share([gpu["util"] for gpu in gpus]) if is_up else MISSING),
        Cell(_share([_of(gpu["mem"]) for gpu in gpus]) if is_up else MISSING),
        Cell(_percent(host.get("cpu") if is_up else None)),
        Cell(_percent(memory if is_up else None)),
        Cell(f"{_percent(disk['percent'])} {disk['mount']}", _fullness(disk["percent"])) if disk else Cell(MISSING),
    )


def _tiles(gpus: list[dict[str, Any]]) -> Cell:
    if len(gpus) > MOST_TILES:
        free = sum(gpu["is"] == "free" for gpu in gpus)
        return Cell(f"{free}/{len(gpus)} free")
    kinds = {gpu["is"] for gpu in gpus}
    worst = next((kind for kind in ("lost", "hung", "error", "idle", "off", "free") if kind in kinds), "")
    return Cell("".join(TILES.get(gpu["is"], "!") for gpu in gpus) or MISSING, GPU_COLOURS.get(worst, ""))


def _fullness(share: float | None) -> str:
    if share is None or share < notes.NEARLY_FULL_PERCENT:
        return ""
    return "bad" if share >= notes.FULL_PERCENT else "warn"


def _of(pair: list[float | None]) -> float | None:
    used, total = pair
    return used / total * 100 if used is not None and total else None


def _share(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _percent(sum(known) / len(known) if known else None)


def _percent(value: float | None) -> str:
    return percent(value).replace(" ", "")


def _gib(value: float | None) -> str:
    return MISSING if value is None else f"{number(value)} GiB"


def _held(hosts: list[dict[str, Any]], coloured: bool) -> list[str]:
    """Who holds a GPU without work, the longest first."""
    held = [(gpu.get("idle_s") or 0, host, gpu) for host in hosts for gpu in host["gpus"] if gpu["is"] == "idle"]
    held.sort(key=lambda each: -each[0])
    columns = (
        Column("HELD IDLE BY", least=10), Column("HOST", least=10), Column("GPU", right=True),
        Column("MEMORY", right=True), Column("FOR", right=True),
    )  # fmt: skip
    rows = [
        (
            Cell(", ".join(gpu["users"]) or "nobody that is known"),
            Cell(shorten(printable(host["name"]), LONGEST_NAME)),
            Cell("?" if gpu["i"] is None else str(gpu["i"])),
            Cell(_gib(gpu["mem"][0])),
            Cell(brief(idle_s), "warn"),
        )
        for idle_s, host, gpu in held[:MOST_HELD]
    ]
    return _with_rest(lines(columns, rows, WIDTH, coloured=coloured), len(held) - len(rows)) if rows else []


def _users(look: Look, coloured: bool) -> list[str]:
    """Who holds how much of what is read right now, the most first."""
    columns = (
        Column("USER", least=10), Column("GPUS", right=True), Column("IDLE", right=True), Column("UTIL", right=True),
        Column("MEMORY", right=True), Column("HOSTS", right=True),
    )  # fmt: skip
    rows = [
        (
            Cell(shorten(user["user"], LONGEST_NAME)),
            Cell(str(user["gpus"])),
            Cell(str(user["idle"]), "warn" if user["idle"] else ""),
            Cell(_percent(user["util"])),
            Cell(_gib(user["mem_gib"])),
            Cell(str(user["hosts"])),
        )
        for user in look.users[:MOST_USERS]
    ]
    return _with_rest(lines(columns, rows, WIDTH, coloured=coloured), len(look.users) - len(rows)) if rows else []


def _notes(hosts: list[dict[str, Any]]) -> list[str]:
    """A line each, the worst first; long ones aren't cut, as they say what is wrong."""
    found = [(level, host["name"], text) for host in hosts for level, text in _notes_of(host)]
    found.sort(key=lambda note: notes.LEVELS.index(note[0]))
    told = [f"{printable(name)}: {printable(text)}" for _, name, text in found[:MOST_NOTES]]
    return _with_rest(told, len(found) - len(told))


def _notes_of(host: dict[str, Any]) -> list[tuple[notes.Level, str]]:
    if host["is"] == "silent":
        return [("warn", "expected, has not reported yet")]
    silence: list[tuple[notes.Level, str]] = []
    if host["is"] != "up":
        silence = [("bad", f"{HOST_WORDS[host['is']]}: no post for {duration(host['age_s'])}")]
    return silence + [(note["level"], _note(note)) for note in host["notes"]]


def _note(note: dict[str, Any]) -> str:
    since = notes.since_words(note["since_s"], note.get("told_since"))
    return f"{note['text']} ({since})" if since else note["text"]


def _with_rest(told: list[str], rest: int) -> list[str]:
    return [*told, f"and {rest} more"] if rest > 0 else told


def wants_colour(asked: str | None) -> bool:
    """Of `?color`: with nothing, 1, yes or always. None: not asked."""
    return asked is not None and asked.lower() in ("", "1", "yes", "true", "always")
