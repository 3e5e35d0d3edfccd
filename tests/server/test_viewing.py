"""Who may look: the cookie and its secret, and how often a password may be guessed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cluster_dash_server.viewing import (
    FORGOTTEN_AFTER_S,
    FREE_ATTEMPTS,
    LASTS_S,
    LONGEST_WAIT_S,
    MOST_ADDRESSES,
    SECRET_BYTES,
    Attempts,
    Viewing,
    read_secret,
)

SECRET = bytes(range(SECRET_BYTES))


class Seconds:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def viewing(clock: Seconds) -> Viewing:
    return Viewing("right", SECRET, clock, clock)


def test_a_cookie_lasts_thirty_days(viewing: Viewing, clock: Seconds) -> None:
    cookie = viewing.make_cookie()
    assert viewing.age_s(cookie) == 0
    clock.now_s += LASTS_S
    assert viewing.age_s(cookie) == LASTS_S
    clock.now_s += 1
    assert viewing.age_s(cookie) is None


def test_a_clock_that_is_set_back_ends_no_cookie(viewing: Viewing, clock: Seconds) -> None:
    cookie = viewing.make_cookie()
    clock.now_s -= 500_000
    assert viewing.age_s(cookie) == -500_000


def test_another_password_or_secret_ends_all_cookies(viewing: Viewing, clock: Seconds) -> None:
    cookie = viewing.make_cookie()
    assert Viewing("right", SECRET, clock, clock).age_s(cookie) == 0
    assert Viewing("other", SECRET, clock, clock).age_s(cookie) is None
    assert Viewing("right", bytes(SECRET_BYTES), clock, clock).age_s(cookie) is None


@pytest.mark.parametrize("cookie", ["", ".", "1", "1.", "-1.", "x.y", "9" * 500, "1." + "0" * 64, "²." + "0" * 64])
def test_what_was_not_signed_is_no_cookie(viewing: Viewing, cookie: str) -> None:
    assert viewing.age_s(cookie) is None


def test_a_cookie_that_was_changed_is_none(viewing: Viewing) -> None:
    made_at, _, signature = viewing.make_cookie().partition(".")
    assert viewing.age_s(f"{int(made_at) + 1}.{signature}") is None
    assert viewing.age_s(f"{made_at}.{signature[:-1]}") is None
    assert viewing.age_s(f"{made_at}.{signature}.") is None


@pytest.mark.parametrize("sent", ["", "Right", "right ", "righ", "rightt", "r\udcff", "x" * 100_000])
def test_only_the_password_is_it(viewing: Viewing, sent: str) -> None:
    assert viewing.check("10.0.0.1", sent) == (False, 0.0)
    assert viewing.check("10.0.0.1", "right") == (True, 0.0)


def test_guessing_gets_slow_for_whoever_guesses_and_for_nobody_else(viewing: Viewing, clock: Seconds) -> None:
    for number in range(FREE_ATTEMPTS):
        assert viewing.check("10.0.0.1", f"guess {number}") == (False, 0.0)
    for number in range(10):
        wait_s = min(LONGEST_WAIT_S, 2.0**number)
        assert viewing.check("10.0.0.1", "right") == (False, wait_s), "the right one isn't even looked at"
        clock.now_s += wait_s
        assert viewing.check("10.0.0.1", f"further {number}") == (False, 0.0)
        assert viewing.check("10.0.0.2", "right") == (True, 0.0)
    clock.now_s += LONGEST_WAIT_S
    assert viewing.check("10.0.0.1", "right") == (True, 0.0)


def test_wrong_guesses_are_forgotten_after_a_quarter_of_an_hour(viewing: Viewing, clock: Seconds) -> None:
    for number in range(FREE_ATTEMPTS):
        viewing.check("10.0.0.1", f"guess {number}")
    clock.now_s += FORGOTTEN_AFTER_S + 1
    for number in range(FREE_ATTEMPTS):
        assert viewing.check("10.0.0.1", f"guess {number}") == (False, 0.0)


def test_who_knows_it_undoes_only_his_own_try(viewing: Viewing) -> None:
    for number in range(FREE_ATTEMPTS - 1):
        viewing.check("10.0.0.1", f"guess {number}")
        assert viewing.check("10.0.0.1", "right") == (True, 0.0)
    viewing.check("10.0.0.1", "one more")
    assert viewing.check("10.0.0.1", "right")[1] > 0


def test_a_script_that_goes_on_with_an_old_password_shuts_nobody_out(viewing: Viewing) -> None:
    for _ in range(1000):
        assert viewing.check("10.0.0.1", "old") == (False, 0.0)
    assert viewing.check("10.0.0.1", "right") == (True, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("not an address", "not an address", True),
    ],
)
def test_an_ipv6_network_is_one_guesser(viewing: Viewing, first: str, second: str, same: bool) -> None:
    for number in range(FREE_ATTEMPTS):
        viewing.check(first, f"guess {number}")
    assert (viewing.check(second, "right")[1] > 0) is same


def test_a_million_addresses_fill_no_memory(clock: Seconds) -> None:
    attempts = Attempts(clock)
    for number in range(MOST_ADDRESSES + 500):
        attempts.begin(f"host {number}", b"x")
    assert len(attempts._failed) == MOST_ADDRESSES  # pyright: ignore[reportPrivateUsage]


def test_a_secret_outlives_a_restart_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "viewing.key"
    secret = read_secret(path)
    assert len(secret) == SECRET_BYTES
    assert read_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["viewing.key"]


@pytest.mark.parametrize("content", [b"", b"short", bytes(SECRET_BYTES + 1)])
def test_a_damaged_secret_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "viewing.key"
    path.write_bytes(content)
    assert read_secret(path) == read_secret(path) == path.read_bytes()


def test_a_secret_that_cannot_be_kept_holds_until_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "viewing.key", tmp_path):
        assert len(read_secret(path)) == SECRET_BYTES
    assert caplog.text.count("after a restart everybody has to sign in again") == 2
