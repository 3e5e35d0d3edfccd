"""How the server's log is written: one line an event, what was sent in quotes or escaped, repeated events counted."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

import orjson

WINDOW_S = 60.0
AT_MOST = 5
"""Lines of one kind in a window; the rest are counted and told in one line at its end."""
MOST_KINDS = 1_000
LONGEST_LINE = 8_192


def set_up(form: str = "text", level: str = "info") -> None:
    """Of the root logger, where whoever started the server has not set one up."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = CountingHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it tells of each request that waits for a thread


def quoted(text: object) -> str:
    """A name that was sent to us, as a JSON string in ASCII: no terminal takes it for a command."""
    escaped = orjson.dumps(str(text).encode("utf-8", "replace").decode()).decode()
    return "".join(each if each.isascii() and each.isprintable() else _escape(each) for each in escaped)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def one_line(text: str) -> str:
    """Line ends and what else a terminal would obey are escaped; letters of every language stay."""
    return _printable(text)[:LONGEST_LINE]


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(each if each.isprintable() else _escape(each) for each in text)


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))
        line = f"{at} {record.levelname} {record.name}: {one_line(record.getMessage())}"
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return f"{line} {quoted(trace)}"[:LONGEST_LINE] if trace else line


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().encode("utf-8", "replace").decode()[:LONGEST_LINE],
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)[:LONGEST_LINE]
        return _printable(orjson.dumps(event).decode())


@dataclass(slots=True)
class Kind:
    """Events of one place in the code and one level; `extra={"kind": ...}` tells some of them apart."""

    window_start: float
    told: int = 0
    untold: int = 0


class CountingHandler(logging.StreamHandler[TextIO]):
    """To stderr. The handler's own lock guards the counts."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(sys.stderr)
        self._monotonic = monotonic
        self._kinds: dict[tuple[str, int, str], Kind] = {}

    def emit(self, record: logging.LogRecord) -> None:
        now = self._monotonic()
        key = (record.name, record.levelno, str(getattr(record, "kind", record.msg)))
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:
                self.tell_counts(now, all_of_them=True)
            kind = self._kinds[key] = Kind(now)
        elif now - kind.window_start >= WINDOW_S:
            self._tell(key, kind)
            kind = self._kinds[key] = Kind(now)
        if kind.told < AT_MOST:
            kind.told += 1
            super().emit(record)
        else:
            kind.untold += 1

    def tell_counts(self, now: float, all_of_them: bool = False) -> None:
        """Of the windows that are over; the server's background calls it, since the next event may never come."""
        for key, kind in list(self._kinds.items()):
            if all_of_them or now - kind.window_start >= WINDOW_S:
                self._tell(key, kind)
                del self._kinds[key]

    def _tell(self, key: tuple[str, int, str], kind: Kind) -> None:
        if kind.untold:
            name, level, template = key
            text = "and %d more within a minute: %s"
            super().emit(logging.LogRecord(name, level, "", 0, text, (kind.untold, template), None))


def tell_counts() -> float:
    """A background step; returns the seconds until the next."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, CountingHandler):
            handler.acquire()
            try:
                handler.tell_counts(time.monotonic())
            finally:
                handler.release()
    return WINDOW_S / 2
