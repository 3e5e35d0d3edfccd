"""Takes how far a program's clock is set off and how long its host slept, gives a library that shows both to the
program and its children.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Path(__file__).with_name("clock_standin.c")
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
YEAR_S = 365 * DAY_S


class ClockStandin:
    """A wall clock that a test sets while programs run. What is said of it in clock_standin.c counts."""

    def __init__(self, library: Path, folder: Path, off_s: float = 0.0) -> None:
        self._library = library
        self._file = folder / "clock"
        self._file.write_bytes(bytes(16))
        self.off_s = self.slept_s = 0.0
        self.set(off_s)

    def set(self, off_s: float) -> None:
        """So many seconds ahead of the real clock from now on; negative = behind."""
        self.off_s = off_s
        self._write(0, off_s)

    def sleep(self, seconds: float) -> None:
        """As if the host was suspended, and has just woken: the clock since boot went on with the wall clock."""
        self.slept_s += seconds
        self._write(8, self.slept_s)

    def _write(self, at: int, seconds: float) -> None:
        with self._file.open("r+b", buffering=0) as file:
            file.seek(at)
            file.write(int(seconds * 1e9).to_bytes(8, "little", signed=True))

    def now(self) -> float:
        """What the programs read."""
        return time.time() + self.off_s + self.slept_s

    @property
    def env(self) -> dict[str, str]:
        """For the environment of a program whose Python waits for locks by the clock that nobody sets."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_STANDIN": str(self._file)}

    @property
    def env_of_old_python(self) -> dict[str, str]:
        """For that of one whose Python waits for locks by the wall clock."""
        return {**self.env, "CLOCK_STANDIN_LOCKS": "1"}


def wall_beside(monotonic: Callable[[], float]) -> Callable[[], float]:
    """A wall clock that goes with a clock of the test's and starts at the real time."""
    off_s = time.time() - monotonic()
    return lambda: monotonic() + off_s


def compile_clock(folder: Path) -> Path:
    """The library in `folder`."""
    library = Path(folder, "clock_standin.so")
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", str(library), str(SOURCE)], check=True)
    return library
