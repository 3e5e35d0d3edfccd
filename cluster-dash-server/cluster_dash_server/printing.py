"""The signs that no name may have and no page passes on: they move a terminal's cursor or turn the text around them."""

from __future__ import annotations

import re

UNPRINTABLE = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
