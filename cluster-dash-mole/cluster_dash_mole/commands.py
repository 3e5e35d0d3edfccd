"""Takes a process's arguments, gives one line for a page: short, and without what looks like a secret.

Too much is blanked rather than too little; what a person needs to know a job by (script, model, sizes) stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 512
BLANKED = "***"

_SECRET = re.compile(r"token|key|pass|secret|auth|credential|pwd", re.IGNORECASE)
# Everyday words of this field that hold one of those.
_HARMLESS = re.compile(
    r"tokeni[sz](?:e[rd]?s?|ation|ing)|keypoints?|keyframes?|keyboard|monkey|authors?(?![a-z])|bypass|compass|passes"
    r"|passages?|hotkeys?",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"(?:^|[^a-z])tokens(?:$|[^a-z])", re.IGNORECASE)  # max_tokens=512 is a size
_NUMBER = re.compile(r"[\d_.,]{1,12}[kKmMbBtT]?")

# None of these may look at a text twice from each of its places: a user chooses it, and it may be long.
_NAMED = re.compile(r"""(?<![\w.-])([\w.-]+)["']?\s*[=:]\s*""")
_VALUE = re.compile(r"""("[^"]*"|'[^']*'|[^\s"'&;,)}]+)""")
_WHOLE = re.compile(r"(-{0,2}[\w.-]+)=(.*)", re.DOTALL)
_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")
_SHAPES = re.compile(
    r"""sk-[\w-]{8,} | hf_\w{8,} | gh[pousr]_\w{8,} | github_pat_\w+ | glpat-[\w-]+ | xox[abprs]-[\w-]+
      | (?:AKIA|ASIA)[A-Z0-9]{12,} | AIza[\w-]{20,} | nvapi-[\w-]{8,} | (?<![\w-])eyJ[\w-]{8,}\.[\w.-]+""",
    re.VERBOSE,
)
_URL_USER = re.compile(r"(?<![\w+.-])([\w+.-]+://)[^/\s]*@")
_SCHEME = re.compile(r"\b(bearer|basic)\s+[^\s\"']+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


def parse_command(cmdline: bytes) -> str | None:
    """One line from /proc/<pid>/cmdline; None for a process without arguments, as kernel threads are."""
    arguments = [argument.decode("utf-8", "backslashreplace") for argument in cmdline.rstrip(b"\0").split(b"\0")]
    line = _CONTROL.sub(" ", " ".join(redact(arguments))).strip()
    return (line if len(line) <= LONGEST else line[: LONGEST - 1] + "…") or None


def redact(arguments: Sequence[str]) -> list[str]:
    """The arguments without secrets: by the name of the option, by their shape, and in addresses."""
    shown: list[str] = []
    secret_next = False
    for argument in arguments:
        if secret_next and not argument.startswith("--"):
            shown.append(BLANKED)
            secret_next = False
            continue
        secret_next = bool(_OPTION.fullmatch(argument)) and _is_secret(argument)
        shown.append(redact_text(argument))
    return [_keep_count(shown, arguments, place) for place in range(len(shown))]


def _keep_count(shown: list[str], arguments: Sequence[str], place: int) -> str:
    """`--max-tokens 512`: a number after a name that only counts tokens is none."""
    if place and shown[place] == BLANKED and _is_count(arguments[place - 1], arguments[place]):
        return arguments[place]
    return shown[place]


def redact_text(text: str) -> str:
    """One argument, which may be a whole program or a JSON document."""
    text = _SCHEME.sub(rf"\1 {BLANKED}", _URL_USER.sub(rf"\1{BLANKED}@", text))
    whole = _WHOLE.fullmatch(text)
    if whole and _is_secret(whole[1]) and not _is_count(whole[1], whole[2]):
        return f"{whole[1]}={BLANKED}"
    return _SHAPES.sub(BLANKED, _blank_values(text))


def _blank_values(text: str) -> str:
    """`name=value`, `name: value` and the like anywhere in the text."""
    parts: list[str] = []
    place = 0
    while named := _NAMED.search(text, place):
        parts.append(text[place : named.end()])
        place = named.end()
        value = _VALUE.match(text, place) if _is_secret(named[1]) else None
        if value and not _is_count(named[1], value[0]):
            parts.append(BLANKED)
            place = value.end()
    return "".join(parts) + text[place:]


def _is_secret(name: str) -> bool:
    return bool(_SECRET.search(_HARMLESS.sub("", name)))


def _is_count(name: str, value: str) -> bool:
    others = _COUNTED.sub("", _HARMLESS.sub("", name))
    return bool(_COUNTED.search(name) and not _SECRET.search(others) and _NUMBER.fullmatch(value))
