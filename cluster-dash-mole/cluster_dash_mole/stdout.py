"""Takes posts, writes them to stdout: a table on a terminal, else one JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import shutil
from typing import TYPE_CHECKING, Any

from cluster_dash_mole.backend import Backend

if TYPE_CHECKING:
    from cluster_dash_mole.config import StdOutLoggerSettings

log = logging.getLogger(__name__)


class StdOutLogger(Backend):
    """Never the auth_code: a post doesn't have it."""

    target = "stdout"

    def __init__(self, settings: StdOutLoggerSettings, poll_interval_s: float, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._is_terminal = os.isatty(descriptor)
        self._is_gone = False
        super().__init__(settings.min_interval_in_secs, poll_interval_s)

    def deliver(self, post: dict[str, Any]) -> None:
        """Written straight to the descriptor: a buffer of Python's would block the exit when nobody reads."""
        if self._is_gone:
            return
        if self._is_terminal:
            from cluster_dash_mole.table import render_table

            text = render_table(post, shutil.get_terminal_size().columns) + "\n\n"
        else:
            text = json.dumps(post, allow_nan=False) + "\n"
        rest = text.encode("utf-8", "replace")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._is_gone = True
            log.warning("stdout can't be written (%s): nothing more goes there", error.strerror)
