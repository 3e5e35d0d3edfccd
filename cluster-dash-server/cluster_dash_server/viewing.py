"""Takes the viewing password, gives who may look: whoever sends it, and whoever has a cookie that was signed for it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .logs import quoted

log = logging.getLogger(__name__)

LASTS_S = 30 * 24 * 3600
SECRET_BYTES = 32
FREE_ATTEMPTS = 5
"""Wrong passwords from one address before each costs time."""
LONGEST_WAIT_S = 60.0
FORGOTTEN_AFTER_S = 900.0
MOST_ADDRESSES = 10_000
_LONGEST_COOKIE = 100


class Viewing:
    """The password and its cookies. Another password, or another secret, ends all cookies."""

    def __init__(
        self,
        password: str,
        secret: bytes,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._attempts = Attempts(monotonic)
        self.cookie_name = f"cluster_dash_{hashlib.sha256(secret).hexdigest()[:8]}"
        """A browser sends a host's cookies to every port: two servers on one must not end each other's."""
        self._password = _digest(password)
        self._key = hmac.digest(secret, b"viewer " + self._password, "sha256")
        self._wall = wall

    def check(self, address: str, sent: str) -> tuple[bool, float]:
        """(whether it is the password, seconds to wait before the next try). Compared in constant time."""
        guess = _digest(sent)
        if wait_s := self._attempts.begin(address, guess):
            return False, wait_s
        is_right = hmac.compare_digest(guess, self._password)
        if is_right:
            self._attempts.succeed(address)
        else:
            log.warning("a wrong viewing password from %s", quoted(address), extra={"kind": f"wrong from {address}"})
        return is_right, 0.0

    def make_cookie(self) -> str:
        made_at = str(int(self._wall()))
        return f"{made_at}.{self._sign(made_at)}"

    def age_s(self, cookie: str) -> float | None:
        """None where it isn't valid. One that seems made in the future is: the clock was set back since."""
        made_at, _, signature = cookie.partition(".")
        is_ours = len(cookie) <= _LONGEST_COOKIE and cookie.isascii() and made_at.isdecimal()
        if not is_ours or not hmac.compare_digest(signature, self._sign(made_at)):
            return None
        age_s = self._wall() - int(made_at)
        return age_s if age_s <= LASTS_S else None

    def _sign(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()


class _Failed(NamedTuple):
    times: int
    last_s: float
    guess: bytes


class Attempts:
    """How soon an address may try again: each further wrong guess doubles the wait, up to a minute. Others don't wait.

    A guess is counted before it is looked at, so that many at once are as many. The same one again is no further guess:
    a script that goes on with an old password shuts nobody out.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failed: dict[str, _Failed] = {}
        """The latest at the end."""

    def begin(self, address: str, guess: bytes) -> float:
        """Seconds to wait; 0: it may be looked at, and is wrong unless `succeed` follows."""
        key, now_s = _neighbourhood(address), self._monotonic()
        with self._lock:
            before = self._failed.get(key, _Failed(0, now_s, b""))
            if guess == before.guess:
                return 0.0
            times = before.times if now_s - before.last_s <= FORGOTTEN_AFTER_S else 0
            if times >= FREE_ATTEMPTS:
                wait_s = before.last_s + min(LONGEST_WAIT_S, 2.0 ** (times - FREE_ATTEMPTS)) - now_s
                if wait_s > 0:
                    return wait_s
            self._failed.pop(key, None)
            self._failed[key] = _Failed(times + 1, now_s, guess)
            if len(self._failed) > MOST_ADDRESSES:
                del self._failed[next(iter(self._failed))]
        return 0.0

    def succeed(self, address: str) -> None:
        """Takes back what `begin` counted, no more: others may be behind the same address."""
        key = _neighbourhood(address)
        with self._lock:
            failed = self._failed.pop(key, None)
            if failed and failed.times > 1:
                self._failed[key] = failed._replace(times=failed.times - 1, guess=b"")


def read_secret(path: Path) -> bytes:
    """Made at the first start. Where it can't be kept it holds until the next one."""
    try:
        return _read(path) or _make(path)
    except OSError as error:
        log.warning("%s can't be kept (%s): after a restart everybody has to sign in again", path, error.strerror)
        return secrets.token_bytes(SECRET_BYTES)


def _read(path: Path) -> bytes | None:
    """None where there is none, or what is there is none."""
    try:
        found = path.read_bytes() if path.stat().st_size == SECRET_BYTES else b""
    except FileNotFoundError:
        return None
    return found if len(found) == SECRET_BYTES else None


def _make(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    secret = secrets.token_bytes(SECRET_BYTES)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return secret


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _neighbourhood(address: str) -> str:
    """Of an IPv6 address the network: whoever has one has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
