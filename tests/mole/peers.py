"""What the mole meets in tests: a clock that only a test moves, a server that does as told, a real mole process."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).parents[2]
MOLE_FOLDER = ROOT / "cluster-dash-mole"
STORED = (200, b'{"success": true, "msg": "stored result"}')


LONG_S = 60.0
"""What tests wait for takes a second or two, on a slow and busy machine several times that; they go on once it came."""
PROMPT_S = 30
"""A process that is asked to end is gone sooner, on a busy machine too; what could hold it up takes a minute."""
WAITS_LONG = {"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_TIMEOUT_IN_SECS": str(LONG_S)}
"""A mole takes no server for away that a busy machine holds up."""


def wait_until(condition: Callable[[], object], timeout_s: float = LONG_S) -> None:
    """Look every 10 ms; fail when it takes too long."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.01)


class ManualClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        peer: Peer = cast("Any", self.server).peer
        body = self.rfile.read(int(self.headers["Content-Length"]))
        peer.requests.append({**self.headers, "path": self.path})
        document = json.loads(gzip.decompress(body) if "Content-Encoding" in self.headers else body)
        peer.posts.append(document)
        peer.may_answer.wait()
        status, answer = peer.reply(self.path, document)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        for name, value in peer.extra_headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Keep the tests' output clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    connections: list[socket.socket]
    peer: Peer

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection: a kept one would outlive the server."""
        self.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A mole that ends while it waits for its answer is no error here."""


class Peer:
    """A server on a port of its own. Clear `may_answer` and it hangs."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.answer: tuple[int, bytes] = STORED
        self.extra_headers: dict[str, str] = {}
        self.posts: list[dict[str, Any]] = []
        self.requests: list[dict[str, str]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.connections = []
        self._server.peer = self
        if tls:
            # The handshake belongs to a connection's own thread.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def reply(self, path: str, document: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body of an answer; a batch that is stored has a result for each of its posts, as the server's."""
        if self.answer == STORED and path.endswith("/batch"):
            results = [{"success": True, "msg": "stored result"} for _ in document["posts"]]
            return 200, json.dumps({"success": True, "results": results}).encode()
        return self.answer

    def close(self) -> None:
        """Answer nobody any more."""
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self._server.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    """A port on which nobody listens right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MoleProcess:
    """`python smart_startup.py` as a person starts it, with its log in a file."""

    def __init__(
        self,
        folder: Path,
        env: dict[str, str],
        stdout: int = subprocess.DEVNULL,
        command: tuple[str, ...] = (sys.executable, "smart_startup.py"),
        cwd: Path = MOLE_FOLDER,
    ) -> None:
        self.log_path = folder / f"mole{len(list(folder.glob('mole*.log'))) or ''}.log"
        settings = {f"CLUSTER_DASH_MOLE_{name}": value for name, value in env.items() if name.isupper()}
        loader = {name: settings.pop(f"CLUSTER_DASH_MOLE_{name}") for name in _PLAIN if name in env}
        base = {name: value for name, value in os.environ.items() if not name.startswith("CLUSTER_DASH_MOLE_")}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**base, **WAITS_LONG, "XDG_STATE_HOME": str(folder / "state"), **loader, **settings},
                stdout=stdout,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """What it said so far."""
        return self.log_path.read_text(encoding="utf-8")

    def end(self, number: int = signal.SIGTERM) -> float:
        """Send the signal; the seconds until the process was gone."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(LONG_S)
        return time.monotonic() - started

    def close(self) -> None:
        """End it, whatever the test did; in order, so that an NVML process that hangs is ended with it."""
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LONG_S)
        if self.process.stdout:
            self.process.stdout.close()


_PLAIN = (
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "NVML_STANDIN", "CLOCK_STANDIN", "CLOCK_STANDIN_LOCKS"),
    *("STATE_DIRECTORY", "XDG_STATE_HOME"),
)
