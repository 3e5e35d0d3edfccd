"""Takes the state folder and where posts go, gives the certainty that no other mole on this host does the same."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import struct
from typing import TYPE_CHECKING

from cluster_dash_mole.identity import make_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class AnotherMoleError(Exception):
    """Who holds what this mole wanted, for a person."""


class MoleLock:
    """Held until closed, or until this process ends, however it ends.

    Two things are locked. The state folder, as two moles of one id would mix their posts up: a file lock. And each
    target on this host, whoever runs the moles and wherever they keep their state: a name among the kernel's sockets,
    which leaves no file behind. A mole that reports elsewhere, as `make run` does, is welcome beside.
    """

    def __init__(self, folder: Path, targets: Sequence[str]) -> None:
        self._file: int | None = None
        self._sockets: list[socket.socket] = []
        try:
            self._file = lock_folder(folder)
            for target in targets:
                self._sockets.append(lock_target(target))
        except AnotherMoleError:
            self.close()
            raise

    def drain(self) -> None:
        """Let go of the connections by which others asked who holds this lock."""
        for held in self._sockets:
            with contextlib.suppress(OSError):
                while True:
                    held.accept()[0].close()

    def close(self) -> None:
        """Let another mole start."""
        for held in self._sockets:
            held.close()
        self._sockets = []
        if self._file is not None:
            os.close(self._file)
            self._file = None


def lock_folder(folder: Path) -> int | None:
    """The descriptor that holds the lock; None where the folder can't be written or its file system can't lock."""
    try:
        make_folder(folder)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None  # which load_identity tells
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 300).decode("utf-8", "replace").strip()
        os.close(descriptor)
        shown = "".join(letter for letter in holder if letter.isprintable()) or "its process is not known"
        raise AnotherMoleError(f"another mole uses {folder} ({shown})") from error
    except OSError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    # With the host's name, as a home folder may be shared by many.
    os.write(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def lock_target(target: str) -> socket.socket:
    """A listening socket without a file, named after the target."""
    held = socket.socket(socket.AF_UNIX)
    held.setblocking(False)
    try:
        held.bind(name_of(target))
        held.listen(8)
    except OSError as error:
        held.close()
        holder = find_holder(target) or "its process is not known"
        raise AnotherMoleError(f"another mole on this host reports to {target} ({holder})") from error
    return held


def name_of(target: str) -> bytes:
    """In Linux's abstract namespace, of which each network namespace has one."""
    return b"\0cluster-dash-mole/" + hashlib.sha256(target.rstrip("/").encode()).hexdigest()[:32].encode()


def find_holder(target: str) -> str | None:
    """The process that listens there, as the kernel tells whoever connects; None when nobody does."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(name_of(target))
            credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except ConnectionRefusedError:
            return None
        except OSError:
            return "its process is not known"
    pid, uid, _ = struct.unpack("3i", credentials)
    return f"pid {pid} of uid {uid}"
