"""Takes posts that the server will never take, keeps the last few for a person to look at."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from cluster_dash_mole.identity import open_private

if TYPE_CHECKING:
    from pathlib import Path

MOST_KEPT = 10
_MOST_BYTES = 2**20


def keep_refused(folder: Path, number: int, body: bytes, status: int, said: str) -> None:
    """As <folder>/refused-<0 to 9>.json, over an older one; `number` counts them. A full disk keeps none."""
    about = {"refused_at": time.time(), "status": status, "said": said}
    text = json.dumps(about)[:-1].encode() + b', "post": ' + body + b"}\n"
    path = folder / f"refused-{number % MOST_KEPT}.json"
    with contextlib.suppress(OSError), open_private(path) as file:
        file.write(text[:_MOST_BYTES])
