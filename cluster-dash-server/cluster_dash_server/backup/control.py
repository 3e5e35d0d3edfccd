"""What a running server does for `cluster-dash-server backup` and its like, which can't open the store beside it.

It listens at a socket in its folder, where no network leads: whoever connects must be the same user, or root. Either
may read and write the store's files anyway, so they may ask it anything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..store import StoreAway
from . import pieces
from .pieces import Stream

if TYPE_CHECKING:
    from ..store.transfer import Transfer

log = logging.getLogger(__name__)

NAME = "control.socket"
WAIT_MS = 500
IDLE_S = 60.0
"""A client that is silent for longer in the midst of its work is dropped."""
END_S, END_AGAIN_S = 5.0, 0.2
"""So long, and so often, the end of the server has a work broken off: just as it begins nothing may be there to end."""
_CREDENTIALS = struct.Struct("3i")


class Control:
    """One client at a time; others wait."""

    def __init__(self, folder: Path, transfer: Callable[[], Transfer], look_for_hosts: Callable[[], None]) -> None:
        self._folder, self._transfer, self._look_for_hosts = folder, transfer, look_for_hosts
        self._listener: socket.socket | None = None
        self._at_work: Transfer | None = None

    def step(self) -> float | None:
        if self._listener is None:
            try:
                self._listener = _listen(self._folder)
            except OSError as error:  # a file system without sockets; all else goes on
                log.warning("no backup while this server runs: %s: %s", self._folder / NAME, error.strerror)
                return None
        poll = select.poll()  # select() takes no descriptor beyond 1023
        poll.register(self._listener, select.POLLIN)
        if poll.poll(WAIT_MS):
            with contextlib.suppress(OSError):  # it left
                client, _ = self._listener.accept()
                with client:
                    if _may_ask(client):
                        self._serve(client)
        return 0.0

    def end(self) -> None:
        """Breaks off what is going on, so that the process can end."""
        until = time.monotonic() + END_S
        while (transfer := self._at_work) is not None and time.monotonic() < until:
            transfer.cancel()
            time.sleep(END_AGAIN_S)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(IDLE_S)
        with client.makefile("rwb") as stream, contextlib.closing(self._transfer()) as transfer:
            try:
                while line := stream.readline(pieces.LONGEST_LINE):
                    self._at_work = transfer
                    self._answer(orjson.loads(line), stream, transfer)
                    self._at_work = None
            except (ValueError, LookupError, TypeError, AttributeError):  # it is no such command
                stream.write(orjson.dumps({"error": "that is no question of this version"}) + b"\n")
            finally:
                self._at_work = None

    def _answer(self, asked: dict[str, Any], stream: Stream, transfer: Transfer) -> None:
        """Of `read` pieces, of all else a line."""
        if asked["do"] == "read":
            pieces.send(stream, transfer.read(asked["sql"], asked["parameters"]))
            return
        try:
            answer = {"answer": self._done(asked, stream, transfer)}
        except StoreAway as error:
            answer = {"error": str(error)}
        stream.write(orjson.dumps(answer) + b"\n")
        stream.flush()

    def _done(self, asked: dict[str, Any], stream: Stream, transfer: Transfer) -> Any:
        match asked["do"]:
            case "about":
                return {"database": transfer.database, "shown": transfer.shown}
            case "carry":
                return transfer.carry()
            case "ask":
                return transfer.ask(asked["sql"], asked["parameters"])
            case "look_for_hosts":
                return self._look_for_hosts()
            case "write":
                coming = pieces.receive(stream)
                try:
                    return transfer.write(asked["table"], asked["columns"], coming)
                finally:
                    for _ in coming:  # what wasn't taken is no question
                        pass
            case other:
                raise StoreAway(f"this server knows no {other!r}: it is of another version than the command")


def address(folder: int) -> str:
    """Of the socket in an open folder: a path of its own may be longer than a socket's can be."""
    return f"/proc/self/fd/{folder}/{NAME}"


def _listen(folder: Path) -> socket.socket:
    """The folder is this process' alone, as the journal is, so one that is there is of a process that was killed."""
    (folder / NAME).unlink(missing_ok=True)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(address(opened))
        (folder / NAME).chmod(0o600)
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(opened)
    return listener


def _may_ask(client: socket.socket) -> bool:
    sent = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(sent)
    if user not in (0, os.geteuid()):
        log.warning("user %d may not ask for backups here", user)
        return False
    return True
