"""The real programs as processes: each picks its own port, is bounded in time and ends with its test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import requests

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
WAITRESS = [sys.executable, "-m", "waitress", "--listen=127.0.0.1:{port}", "--call", "cluster_dash_server:create_app"]
SERVE = [sys.executable, "-m", "cluster_dash_server", "serve", "--listen", "127.0.0.1:{port}"]
LONG_S = 60.0
"""What tests wait for takes a second or two, on a slow and busy machine several times that; they go on once it came."""
PROMPT_S = 30
"""A process that is asked to end is gone sooner, on a busy machine too; what could hold it up takes a minute."""


def until(what: Callable[[], T], within_s: float = LONG_S, message: str = "") -> T:
    """The first true answer; the test fails when none comes in time."""
    deadline = time.monotonic() + within_s
    while not (answer := what()):
        assert time.monotonic() < deadline, message or f"nothing came within {within_s} s"
        time.sleep(0.05)
    return answer


def _ports_in(log: str) -> list[str]:
    return re.findall(r"http://127\.0\.0\.1:(\d+)/?(?:[\s\"]|$)", log)  # not the address of a store


class Program:
    """A process whose output goes to a file."""

    def __init__(self, command: list[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self.command, self.log_path, self.environ = command, log, dict(environ or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log_path.open("ab") as log:
            environ = {**os.environ, **self.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """(exit code, seconds it took)."""
        assert self.process is not None
        asked = time.monotonic()
        self.process.send_signal(with_signal)
        try:
            code = self.process.wait(LONG_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # upon which a server tells what its threads do
            self.process.wait(LONG_S)
            raise AssertionError(f"it doesn't end: {self.log[-5000:]}") from None
        return code, time.monotonic() - asked

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(LONG_S)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_: object) -> None:
        self.kill()


class Server(Program):
    """`waitress-serve --call cluster_dash_server:create_app` on a port of the system's choice, or on `port`."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str] | None = None, port: int = 0, command: list[str] | None = None
    ) -> None:
        words = [word.format(port=port) for word in command or WAITRESS]
        super().__init__(words, folder / "server.log", environ)
        self.port = port

    def start(self) -> Self:
        self.start_without_waiting()
        until(self.answers, message="the server does not answer")
        return self

    def start_without_waiting(self) -> None:
        """Until it listens only: it may have a reason to answer that it isn't well."""
        already = len(self.log)
        super().start()
        found = until(lambda: _ports_in(self._new_log(already)), message="no address")
        self.port = int(found[-1])

    def _new_log(self, already: int) -> str:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.log}"
        return self.log[already:]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            return self.get("/health").status_code == requests.codes.ok
        except requests.ConnectionError:
            return False

    def get(self, path: str, accept: str = "*/*") -> requests.Response:
        return requests.get(self.url + path, headers={"Accept": accept}, timeout=LONG_S)

    def post(self, document: Any) -> requests.Response:
        return requests.post(self.url + "/", json=document, timeout=LONG_S)
