"""Takes a number, gives as many users of a lab that never was: made-up logins, nobody's names."""

from __future__ import annotations

from typing import NamedTuple


class Person(NamedTuple):
    """A user as the hosts know one."""

    login: str
    uid: int


_FIRST_UID = 2001
_KNOWN = (
    "mira", "tsato", "okeke", "jlund", "pvarga", "rqiu", "ines", "dkovac", "aminr", "hbrandt", "yuna", "costas",
    "fleur", "nadeem", "sbisk", "olavi",
)  # fmt: skip
_STARTS = ("ba", "do", "fe", "gu", "hi", "ka", "lo", "mu", "ne", "po", "ri", "su", "ta", "vo", "ze")
_ENDS = ("din", "lek", "mar", "nov", "ras", "sel", "tok", "van", "wen", "zik")


def list_people(count: int) -> list[Person]:
    """So many, at least 16; the first are always the same."""
    logins: list[str] = list(_KNOWN)
    pairs = [start + end for start in _STARTS for end in _ENDS]
    for number in range(count - len(_KNOWN)):
        turn, at = divmod(number, len(pairs))
        logins.append(pairs[at] + (str(turn + 1) if turn else ""))
    return [Person(login, _FIRST_UID + place) for place, login in enumerate(logins)]
