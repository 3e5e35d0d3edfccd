"""Takes questions, gives the answers of the process that holds NVML, without ever waiting for longer than told."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_THOROUGH_EVERY_S = 60.0
_PATIENCE_S = (0.3, 0.1, 0.1)  # by itself, once it is asked to, once it is told to
_START = "import sys; sys.path += sys.argv[3:]; from cluster_dash_mole.nvml_child import main; main()"


class NvmlProcess:
    """The process that runs nvml_child, with at most one question open."""

    def __init__(self, now: float, sample_s: float, activity: bool = True) -> None:
        pynvml = importlib.util.find_spec("pynvml")
        folder = str(Path(pynvml.origin).parent) if pynvml and pynvml.origin else ""
        words = (str(sample_s), "activity" if activity else "no activity")
        # Without site and the environment's Python settings: less memory, and nothing that shadows a module.
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, *words, folder, str(Path(__file__).parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # so that not even its first moments hear a Ctrl-C
        )
        self._received = bytearray()
        self._asked_all_at = 0.0
        self.asked_at: float | None = None
        self.has_answered = False
        self.pid = self._popen.pid
        self.ask(now)

    def ask(self, now: float) -> None:
        """Ask for a reading, a thorough one at first and each minute. That the process has ended shows on receiving."""
        self.asked_at = now
        is_thorough = not self.has_answered or now - self._asked_all_at >= _THOROUGH_EVERY_S
        if is_thorough:
            self._asked_all_at = now
        try:
            self._stdin.write(b"all\n" if is_thorough else b"\n")
        except BrokenPipeError:
            log.debug("the NVML process has ended")

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        """The answer, or None when it isn't there in time. EOFError: the process has ended."""
        until = time.monotonic() + timeout_s
        while not self._received.endswith(b"\n"):  # one question is open at most, so nothing comes after its answer
            wait_s = max(0.0, until - time.monotonic())
            if not select.select([self._stdout], [], [], wait_s)[0]:
                return None
            self._received += os.read(self._stdout.fileno(), 65536) or self._raise_end()
        line, self._received = self._received, bytearray()
        self.asked_at = None
        self.has_answered = True
        return json.loads(line)

    def _raise_end(self) -> bytes:
        code = self._popen.wait(1)
        raise EOFError(signal.Signals(-code).name if code < 0 else f"exit code {code}")

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._popen.poll() is not None

    def let_end(self) -> None:
        """Tell it to shut NVML down and end, without waiting."""
        self._stdin.close()
        self._stdout.close()

    def close(self) -> None:
        """End it, in half a second at most. What even SIGKILL can't end waits in the driver and ends with its call."""
        self.let_end()
        for patience_s, give_up in zip(_PATIENCE_S, (self._popen.terminate, self._popen.kill, lambda: None)):
            try:
                self._popen.wait(patience_s)
            except subprocess.TimeoutExpired:
                give_up()
            else:
                return
        # Nobody waits for it any more, which is meant: without this Python warns.
        self._popen.returncode = self._popen.returncode or 0

    @property
    def _stdin(self) -> Any:
        return self._popen.stdin

    @property
    def _stdout(self) -> Any:
        return self._popen.stdout
