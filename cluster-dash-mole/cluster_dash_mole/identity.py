"""Takes the folder of the mole's state, gives who this mole is: the id of the installation and which start this is."""

from __future__ import annotations

import json
import logging
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


class Identity(NamedTuple):
    """`mole_id` stays over restarts; `epoch` is "<boot id>.<start counter>", new at each start."""

    mole_id: str
    epoch: str


def state_folder(environ: Mapping[str, str]) -> Path:
    """The folder systemd gives the service, else the user's."""
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    base = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".local/state"
    return Path(base, "cluster-dash-mole")


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
        return {"id": str(uuid.UUID(state["id"])), "starts": int(state["starts"])}
    except FileNotFoundError:
        return new
    except (ValueError, TypeError, KeyError):
        log.warning("%s is damaged: this mole gets a new id", path)
        return new


def _write_state(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(state) + "\n", encoding="ascii")
    new.replace(path)


def read_boot_id(proc: Path) -> str:
    """The kernel's random name of this boot; a random one where the kernel tells none."""
    try:
        return Path(proc, "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())
