"""Takes a name that a host is to have, says whether two that look alike could be two.

hostname(7) allows letters, digits, hyphens and dots, but the kernel takes any bytes, and a script any text. So
visible signs are taken, whatever they are. The schema has the same patterns, for whoever validates with it alone.
"""

from __future__ import annotations

import re
import unicodedata

from .printing import UNPRINTABLE

BLANKS = re.compile("^ | $|  |[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
"""What Unicode lets a page leave out, beside `UNPRINTABLE`, and the sign of Braille without dots."""


def is_composed(name: str) -> bool:
    """Whether its letters with marks are one sign each, as Unicode's form NFC has them."""
    return name.isascii() or unicodedata.is_normalized("NFC", name)


def is_clear(name: str) -> bool:
    """Whether no other name looks like it by blanks, by signs that don't show or by the form of its letters."""
    return is_composed(name) and not any(rule.search(name) for rule in (UNPRINTABLE, BLANKS, INVISIBLE))
