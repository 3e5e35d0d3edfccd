"""Takes numbers and names, gives them as a person reads them. Here, and nowhere before, numbers are rounded.

One rule for all numbers with a fraction: a decimal below 100, none from there on, and never a .0. Percent, watts, °C
and MHz are whole. Sizes are in GiB, those of disks in TiB from 1000 GiB on, rates in KiB/s to GiB/s; a space stands
before a unit. The overview's wording.js does the same.
"""

from __future__ import annotations

import re
import unicodedata

from ..printing import UNPRINTABLE

MISSING = "–"
YEAR_S = 365 * 86_400


def printable(text: str) -> str:
    """Without what would move a terminal's cursor or turn the direction of the text around it."""
    return UNPRINTABLE.sub("\ufffd", text)


def width(text: str) -> int:
    """Columns that it takes in a terminal: two for signs of East Asia and emoji, none for marks on the sign before."""
    if text.isascii():
        return len(text)
    return sum(_width_of(sign) for sign in text)


def _width_of(sign: str) -> int:
    if unicodedata.combining(sign) or unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """Cut at its end, with … in the last column."""
    if width(text) <= columns:
        return text
    kept, room = "", columns - 1
    for sign in text:
        room -= _width_of(sign)
        if room < 0:
            break
        kept += sign
    return kept + "…"


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """With spaces behind, or before."""
    spaces = " " * max(0, columns - width(text))
    return spaces + text if right else text + spaces


def instance_name(name: str) -> str:
    """MIG 3g.40gb of "NVIDIA A100-SXM4-80GB MIG 3g.40gb": its GPU stands above it."""
    return "MIG " + re.sub(r"^.*\bMIG\s+", "", printable(name))


def percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0f} %"


def number(value: float | None) -> str:
    """12.3, 12, 123; <0.1 of what would look like 0."""
    if value is None:
        return MISSING
    if 0 < abs(value) < 0.05:
        return "<0.1"  # little is not nothing
    return f"{value:.1f}".removesuffix(".0") if abs(value) < 99.95 else f"{value:.0f}"


def mib_as_gib(value: float | None) -> str:
    return number(None if value is None else value / 1024)


def size(gib: float | None) -> str:
    """Of a disk: 892 GiB, 57 TiB."""
    if gib is None:
        return MISSING
    return f"{number(gib)} GiB" if gib < 999.5 else f"{number(gib / 1024)} TiB"


def rate(bytes_per_s: float | None) -> str:
    """12 KiB/s, 3.4 GiB/s."""
    if bytes_per_s is None:
        return MISSING
    size, unit = bytes_per_s, "B"
    for larger in ("KiB", "MiB", "GiB"):
        if abs(size) < 999.5:
            break
        size, unit = size / 1024, larger
    return f"{round(size) if unit == 'B' else number(size)} {unit}/s"


def whole(value: object) -> str:
    """Of anything else than a number, as of a template's Undefined, a dash."""
    return f"{value:.0f}" if isinstance(value, (int, float)) else MISSING


def when(started_at: float | None, now_s: float) -> str:
    """How long ago."""
    return MISSING if started_at is None else duration(max(0.0, now_s - started_at))


def duration(seconds: float) -> str:
    """3 s, 5 min, 2 h 14 min, 3 d 4 h."""
    whole = round(seconds)
    for size, unit, smaller, smaller_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole // 60} min" if whole >= 60 else f"{whole} s"


def brief(seconds: float) -> str:
    """3s, 5m, 2h14m, 3d4h: `duration` for a narrow column."""
    return re.sub(r" |in", "", duration(seconds)) if seconds < YEAR_S else "years"


def shortened(promised_s: float, share: float, memory_mib: int) -> str:
    """What to say of a history that memory cuts; nothing where it is whole."""
    if share >= 1:
        return ""
    return (
        f"The last {_hours(promised_s * share)} instead of {_hours(promised_s)}: "
        f"memory for history is limited to {memory_mib} MiB ([live] memory_mib)."
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 3 * 3600 else duration(seconds)
