"""A server whose name isn't known yet, or has an address of IPv6 alone: the mole finds it once that is there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole import backend
from cluster_dash_mole.config import JsonSenderLoggerSettings
from cluster_dash_mole.kept_sender import KeptSender
from cluster_dash_mole.outbox import Outbox
from mole import peers
from mole.peers import wait_until
from mole.store_peer import StorePeer

EPOCH = "boot.1"
NAME = "dash.test"


@pytest.fixture
def send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Outbox]]:
    """Gets an address, and sends 20 posts to it."""
    monkeypatch.setattr(backend, "LONGEST_BACK_OFF_S", 0.05)
    senders: list[KeptSender] = []

    def send(address: str) -> Outbox:
        outbox = Outbox(tmp_path, EPOCH, 2**20)
        senders.append(KeptSender(JsonSenderLoggerSettings(True, 0, address, "canary"), 0.01, outbox, 1000.0))
        for number in range(1, 21):
            senders[0].send({"hostname": "h", "mole": {"id": "x", "epoch": EPOCH}}, float(number))
        return outbox

    yield send
    for sender in senders:
        sender.close()


class Names:
    """What the resolver knows of NAME: None, or an address."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.asked = 0
        self._real = socket.getaddrinfo

    def look_up(self, host: Any, *args: Any, **more: Any) -> Any:
        if host != NAME:
            return self._real(host, *args, **more)
        self.asked += 1
        if self.address is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._real(self.address, *args, **more)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    return names


def test_a_name_that_is_not_known_yet_loses_nothing_and_is_asked_for_again(
    send: Callable[[str], Outbox], names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    server = StorePeer()
    try:
        outbox = send(f"http://{NAME}:{server.port}/")
        wait_until(lambda: names.asked > 3)
        wait_until(lambda: outbox.waiting == 20)
        assert "no connection: Name or service not known" in caplog.text
        assert not server.requests
        names.address = "127.0.0.1"
        wait_until(lambda: server.seqs(EPOCH) == list(range(1, 21)))
        assert outbox.dropped == 0
    finally:
        server.close()


def test_a_server_with_an_address_of_ipv6_alone_is_found(
    send: Callable[[str], Outbox], names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers._Server, "address_family", socket.AF_INET6)  # pyright: ignore[reportPrivateUsage]
    bind = ThreadingHTTPServer.server_bind

    def bind_v6(server: ThreadingHTTPServer) -> None:
        server.server_address = ("::1", 0)
        bind(server)

    monkeypatch.setattr(peers._Server, "server_bind", bind_v6)  # pyright: ignore[reportPrivateUsage]
    try:
        server = StorePeer()
    except OSError:
        pytest.skip("there is no IPv6 here")
    names.address = "::1"
    try:
        send(f"http://{NAME}:{server.port}/")
        wait_until(lambda: server.seqs(EPOCH) == list(range(1, 21)))
    finally:
        server.close()
