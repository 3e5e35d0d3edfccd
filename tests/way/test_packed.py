"""A real mole packs its posts as soon as a real server has said that it unpacks them."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from processes import LONG_S, ROOT, Program, Server, until

pytestmark = pytest.mark.slow

MOLE = [sys.executable, str(ROOT / "cluster-dash-mole" / "smart_startup.py")]


class Tap:
    """Passes connections on to a server, and keeps what came from the client."""

    def __init__(self, port: int) -> None:
        self.heard = bytearray()
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, what: object, *arguments: object) -> None:
        self._threads.append(threading.Thread(target=what, args=arguments))  # pyright: ignore[reportArgumentType]
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                self._start(self._pass, client, server, self.heard)
                self._start(self._pass, server, client, bytearray())

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, heard: bytearray) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                heard += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LONG_S)
        for each in self._sockets:
            each.close()


@pytest.fixture
def tap(server: Server) -> Iterator[Tap]:
    tap = Tap(server.port)
    yield tap
    tap.close()


def requests_of(tap: Tap) -> list[str]:
    """The headers of each, in order."""
    return [head.decode("latin-1") for head in re.findall(rb"POST / HTTP/1.1\r\n.*?\r\n\r\n", tap.heard, re.DOTALL)]


def test_only_the_first_post_is_plain(server: Server, tap: Tap, tmp_path: Path) -> None:
    settings = {
        "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.2",
        "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        "JSON_SENDER_LOGGER_TIMEOUT_IN_SECS": str(LONG_S),
        "JSON_SENDER_LOGGER_ADDRESS_IN": f"http://127.0.0.1:{tap.port}/",
    }
    environ = {f"CLUSTER_DASH_MOLE_{name}": value for name, value in settings.items()} | {
        "XDG_STATE_HOME": str(tmp_path)
    }
    with Program(MOLE, tmp_path / "mole.log", environ) as mole:
        until(lambda: len(requests_of(tap)) >= 4)
        packed = ["Content-Encoding: gzip" in head for head in requests_of(tap)[:4]]
        assert packed == [False, True, True, True]
        assert "answers 4" not in mole.log
    host = server.get("/api/dashboard-data").json()["servers"]
    assert len(host) == 1
    assert "Traceback" not in server.log
