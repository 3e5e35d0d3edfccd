"""Takes uids, gives names, without ever waiting long for a directory server."""

from __future__ import annotations

import pwd
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME_KEPT_S = 600.0
_NO_NAME_KEPT_S = 60.0  # a directory server that is away has no names either

_IMPATIENT_FOR_S = 600.0  # after a lookup that was slow nobody waits for the next ones


def read_user_name(uid: int) -> str:
    """From the host's user database. KeyError = the uid has no name."""
    return pwd.getpwuid(uid).pw_name


class _Known(NamedTuple):
    until: float
    name: str


class UserNames:
    """Names by uid, looked up aside by one thread at a time and remembered for ten minutes.

    Until a name is known the uid stands for it. A lookup is waited for up to `patience_s`, which local and cached names
    never need; while one hangs nothing is waited for, and nothing else is looked up.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        look_up: Callable[[int], str] = read_user_name,
        patience_s: float = 0.2,
    ) -> None:
        self._clock = clock
        self._look_up = look_up
        self._patience_s = patience_s
        self._known: dict[int, _Known] = {}
        self._wanted: list[int] = []
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._patient_at = 0.0

    def name_of(self, uid: int) -> str:
        """The user's name, an old one while it is looked up again; or the number as text."""
        known = self._known.get(uid)
        if known is None or self._clock() >= known.until:
            self._want(uid)
            known = self._known.get(uid)
        return known.name if known else str(uid)

    def _want(self, uid: int) -> None:
        with self._lock:
            if uid not in self._wanted:
                self._wanted.append(uid)
            if self._thread is not None:
                return
            # A daemon: a lookup that hangs must not keep the mole from ending.
            thread = self._thread = threading.Thread(target=self._look_up_wanted, name="user names", daemon=True)
            thread.start()
        if self._clock() >= self._patient_at:
            _join(thread, self._patience_s)
            if thread.is_alive():
                self._patient_at = self._clock() + _IMPATIENT_FOR_S

    def _look_up_wanted(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._thread = None
                    return
                uid = self._wanted[0]
            self._known[uid] = self._read(uid)
            with self._lock:
                self._wanted.remove(uid)

    def _read(self, uid: int) -> _Known:
        try:
            return _Known(self._clock() + _NAME_KEPT_S, self._look_up(uid))
        except Exception:  # noqa: BLE001  no name, or a module of the host's that fails: the other users keep theirs
            return _Known(self._clock() + _NO_NAME_KEPT_S, str(uid))


def _join(thread: threading.Thread, patience_s: float) -> None:
    """Without a lock's time-out, which an old Python takes from the wall clock."""
    until = time.monotonic() + patience_s
    while thread.is_alive() and time.monotonic() < until:
        time.sleep(0.001)
