"""Takes cells, gives lines of aligned columns for a terminal: as wide as it must be, and no wider than a width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .wording import padded, shorten, width

RESET = "\033[0m"
COLOURS = {"good": "\033[32m", "warn": "\033[33m", "bad": "\033[31m", "weak": "\033[2m", "head": "\033[1m"}


class Cell(NamedTuple):
    text: str
    colour: str = ""
    """A key of COLOURS, or none."""


class Column(NamedTuple):
    title: str
    right: bool = False
    least: int | None = None
    """Columns that it may be cut to where the line is too wide; None: never cut."""


def lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], most: int, *, coloured: bool) -> list[str]:
    """With the titles first. Columns that may be cut are, the last first, until a line has `most` columns."""
    table = [[Cell(column.title, "head") for column in columns], *rows]
    widths = [max(width(row[at].text) for row in table) for at in range(len(columns))]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= most else " "
    over = sum(widths) + len(gap) * (len(widths) - 1) - most
    for at in reversed(range(len(columns))):
        least = columns[at].least
        if over > 0 and least is not None and widths[at] > least:
            cut = min(over, widths[at] - least)
            widths[at], over = widths[at] - cut, over - cut
    return [
        gap.join(
            _cell(cell, columns[at], widths[at], is_last=at == len(columns) - 1, coloured=coloured)
            for at, cell in enumerate(row)
        ).rstrip()
        for row in table
    ]


def _cell(cell: Cell, column: Column, columns: int, *, is_last: bool, coloured: bool) -> str:
    text = shorten(cell.text, columns)
    spaces = padded("", columns - width(text))
    if coloured and cell.colour and text.strip():
        text = f"{COLOURS[cell.colour]}{text}{RESET}"
    if column.right:
        return spaces + text
    return text if is_last else text + spaces
