"""Takes what ClickHouse or the way to it failed with, gives it in a few words."""

from __future__ import annotations

import re

LONGEST_TEXT = 200
WRAPPING = re.compile(r"Code: \d+\. DB::Exception: | \(version [\d.]+\)")
"""What ClickHouse puts around its words, often twice."""
SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([^\"')\n]+)")


def worded(error: Exception | str) -> str:
    """ClickHouse tells much: the first line says what it is, and of a lost connection the system's error."""
    text = str(error).split("\n")[0]
    found = SYSTEM_ERROR.search(text)
    return found[1] if found else WRAPPING.sub("", text)[:LONGEST_TEXT]
