"""Takes the folder of the mole's state, gives who this mole is: the id of the installation and which start this is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

_MOST_STARTS = 2**53


class Identity(NamedTuple):
    """`mole_id` stays over restarts; `epoch` is "<boot id>.<start counter>", new at each start."""

    mole_id: str
    epoch: str


def state_folder(setting: str, environ: Mapping[str, str], host_key: str) -> Path:
    """The folder of the settings, else the one that systemd gives the service, else the user's for this host.

    A home folder is often shared by all hosts of a cluster, so there each host has a folder of its own.
    """
    if setting:
        return Path(setting)
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    base = environ.get("XDG_STATE_HOME") or _home_state(environ)
    return Path(base, "cluster-dash-mole", host_key)


def _home_state(environ: Mapping[str, str]) -> Path:
    """A user without a home has what a service has, where it may write there."""
    try:
        return Path(environ.get("HOME") or "~").expanduser() / ".local/state"
    except (RuntimeError, KeyError):  # the latter is Python 3.9's
        return Path("/var/lib")


def read_host_key(hostname: str, etc: Path = Path("/etc")) -> str:
    """A short name for this host that outlives a change of its hostname, where the host has a machine id."""
    try:
        machine = Path(etc, "machine-id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        machine = ""
    # Hashed, as machine-id(5) asks for.
    return hashlib.sha256(f"cluster-dash-mole {machine or hostname}".encode()).hexdigest()[:12]


def load_identity(folder: Path, proc: Path = Path("/proc")) -> Identity:
    """Count this start in <folder>/mole.json. Where that can't be written the id is random, and the log says so."""
    boot_id = read_boot_id(proc)
    path = folder / "mole.json"
    try:
        state = _read_state(path)
        mole_id, starts = state["id"], state["starts"] + 1
        _write_state(path, {"id": mole_id, "starts": starts})
    except OSError as error:
        log.warning("%s can't be used (%s): this mole's id is new at each start", path, error.strerror or error)
        return Identity(str(uuid.uuid4()), f"{boot_id}.1")
    return Identity(mole_id, f"{boot_id}.{starts}")


def _read_state(path: Path) -> dict[str, Any]:
    new = {"id": str(uuid.uuid4()), "starts": 0}
    try:
        state = json.loads(path.read_bytes())
        starts = state["starts"]
        if type(starts) is not int or not 0 <= starts < _MOST_STARTS:
            raise ValueError("not a count of starts")
        return {"id": str(uuid.UUID(state["id"])), "starts": starts}
    except FileNotFoundError:
        return new
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        log.warning("%s is damaged: it is set aside as %s, and this mole gets a new id", path, aside.name)
        return new


def _write_state(path: Path, state: dict[str, Any]) -> None:
    """Whole or not at all, even if the host loses its power meanwhile; for this user alone."""
    make_folder(path.parent)
    new = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()  # an older one may have other permissions
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, json.dumps(state).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)


def make_folder(folder: Path) -> None:
    """Create what is missing, for this user alone; a folder that is there stays as it is."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path) -> BinaryIO:
    """To be written from its start, for this user alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def read_boot_id(proc: Path) -> str:
    """The kernel's random name of this boot; a random one where the kernel tells none."""
    try:
        return Path(proc, "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())
