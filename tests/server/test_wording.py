"""Numbers and names as a person reads them."""

from __future__ import annotations

import pytest

from cluster_dash_server.views.wording import (
    MISSING,
    brief,
    duration,
    instance_name,
    number,
    padded,
    percent,
    printable,
    rate,
    shorten,
    size,
    width,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (2.6, "3 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "59 min"), (3600, "1 h"),
        (8040, "2 h 14 min"), (86400, "1 d"), (100000, "1 d 3 h"),
    ],
)  # fmt: skip
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_what_is_missing_is_a_dash_and_zero_is_zero() -> None:
    assert [percent(None), number(None)] == [MISSING] * 2
    assert [percent(0), number(0), number(0.01)] == ["0 %", "0", "<0.1"]


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.06, "0.1"), (12, "12"), (12.04, "12"), (61.44, "61.4"), (99.94, "99.9"), (99.96, "100"), (1007.3, "1007")],
)
def test_a_number_has_a_decimal_below_100_and_never_a_zero_one(value: float, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize("name", ["NVIDIA A100-SXM4-80GB MIG 3g.40gb", "MIG 3g.40gb", "3g.40gb"])
def test_an_instance_of_mig_goes_by_its_own_name(name: str) -> None:
    assert instance_name(name) == "MIG 3g.40gb"


def test_names_lose_what_moves_the_cursor_or_turns_the_text() -> None:
    assert printable("a\x1b[31m\u202eb\n\u200bc é 日本") == "a\ufffd[31m\ufffdb\ufffd\ufffdc é 日本"


def test_a_long_name_is_cut_to_its_width() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize(
    ("bytes_per_s", "words"),
    [
        (None, MISSING), (0, "0 B/s"), (900, "900 B/s"), (1536, "1.5 KiB/s"), (1023 * 1024, "1 MiB/s"),
        (84 * 2**20, "84 MiB/s"), (12.5e9, "11.6 GiB/s"), (5e15, "4656613 GiB/s"),
    ],
)  # fmt: skip
def test_a_rate_is_told_in_the_unit_that_fits(bytes_per_s: float | None, words: str) -> None:
    assert rate(bytes_per_s) == words


@pytest.mark.parametrize(
    ("gib", "words"), [(None, MISSING), (0, "0 GiB"), (892.2, "892 GiB"), (1024, "1 TiB"), (58387, "57 TiB")]
)
def test_a_disk_is_told_in_the_unit_that_fits(gib: float | None, words: str) -> None:
    assert size(gib) == words


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("häß", 3),
        ("日本", 4),
        ("e\u0301", 1),
        ("\U0001f600", 2),
        ("–…", 2),
        ("한글", 4),
        ("\u200d", 0),
    ],
)
def test_the_width_of_a_text_is_what_a_terminal_gives_it(text: str, columns: int) -> None:
    assert width(text) == columns
    assert width(padded(text, 10)) == width(padded(text, 10, right=True)) == 10


@pytest.mark.parametrize(
    ("text", "columns", "cut"),
    [
        ("gpu01", 5, "gpu01"),
        ("gpu012", 5, "gpu0…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
    ],
)
def test_a_text_is_cut_to_columns(text: str, columns: int, cut: str) -> None:
    assert shorten(text, columns) == cut
    assert width(cut) <= columns


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3s"), (300, "5m"), (8040, "2h14m"), (273_600, "3d4h"), (1e9, "years")]
)
def test_a_duration_for_a_narrow_column(seconds: float, text: str) -> None:
    assert brief(seconds) == text
