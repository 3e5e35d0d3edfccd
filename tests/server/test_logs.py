"""The log: a line an event, nothing in it that a terminal obeys, repeated events counted."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from cluster_dash_server.logs import AT_MOST, WINDOW_S, CountingHandler, JsonLines, TextLines, one_line, quoted


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> logging.Logger:
    handler = CountingHandler(clock)
    handler.setStream(io.StringIO())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(handler)
    return logger


def lines(log: logging.Logger) -> list[str]:
    handler = log.handlers[0]
    assert isinstance(handler, CountingHandler)
    stream = handler.stream
    assert isinstance(stream, io.StringIO)
    return stream.getvalue().splitlines()


def test_a_repeated_event_is_told_a_few_times_then_counted(log: logging.Logger, clock: Clock) -> None:
    for number in range(100):
        log.warning("lost %s", number)
    assert lines(log) == [f"WARNING lost {number}" for number in range(AT_MOST)]
    clock.now += WINDOW_S
    log.warning("lost %s", "again")
    assert lines(log)[AT_MOST:] == ["WARNING and 95 more within a minute: lost %s", "WARNING lost again"]


def test_the_count_is_told_though_the_event_never_comes_again(log: logging.Logger, clock: Clock) -> None:
    for _ in range(AT_MOST + 3):
        log.info("seen")
    handler = log.handlers[0]
    assert isinstance(handler, CountingHandler)
    handler.tell_counts(clock.now + WINDOW_S / 2)
    assert len(lines(log)) == AT_MOST
    handler.tell_counts(clock.now + WINDOW_S)
    assert lines(log)[AT_MOST:] == ["INFO and 3 more within a minute: seen"]


def test_events_of_different_kinds_are_counted_apart(log: logging.Logger) -> None:
    for _ in range(AT_MOST + 1):
        for address in ("a", "b"):
            log.warning("refused %s", address, extra={"kind": address})
    assert len(lines(log)) == 2 * AT_MOST


def test_ten_thousand_kinds_take_no_more_memory_than_a_thousand(log: logging.Logger) -> None:
    for number in range(10_000):
        log.warning("kind %d" % number)  # noqa: UP031  a template of its own each
    handler = log.handlers[0]
    assert isinstance(handler, CountingHandler)
    assert len(handler._kinds) <= 1000  # pyright: ignore[reportPrivateUsage]
    assert len(lines(log)) == 10_000


HOSTILE = "gpu01\x1b[31m\x9b0m\r\n2026 INFO forged\u202e\u2028\x00 naïve 日本"


def test_what_was_sent_is_quoted_in_ascii() -> None:
    shown = quoted(HOSTILE)
    assert shown.isascii()
    assert shown.isprintable()
    assert json.loads(shown) == HOSTILE
    assert json.loads(quoted("\U0001f600\ud800")) == "\U0001f600?"


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_an_event_is_one_printable_line_whatever_is_in_it(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "failed: %s", (HOSTILE,), sys.exc_info())
    line = formatter.format(record)
    assert len(line.splitlines()) == 1
    assert not set(line) & set("\x1b\x9b\r\n\u202e\u2028\x00")
    assert "ValueError" in line


def test_letters_of_every_language_stay_readable_in_text() -> None:
    assert one_line("Zürich 日本") == "Zürich 日本"


def test_json_lines_hold_time_level_and_message() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "", 1, "seen %d", (3,), None)
    event = json.loads(JsonLines().format(record))
    assert event == {"time": record.created, "level": "warning", "logger": "a.b", "message": "seen 3"}


def test_a_line_has_an_end_however_much_is_told() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 1, "x" * 1_000_000, (), None)
    assert len(TextLines().format(record)) < 10_000
    assert len(JsonLines().format(record)) < 10_000
