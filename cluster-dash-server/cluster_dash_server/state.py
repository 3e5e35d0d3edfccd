"""Takes the environment, gives the folder for what the server keeps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

SYSTEM_FOLDER = Path("/var/lib/cluster-dash")


def state_folder(environ: Mapping[str, str], system_folder: Path = SYSTEM_FOLDER) -> Path:
    """The one that systemd gives the service, else the system's where it may be written, else the user's."""
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    if os.access(system_folder if system_folder.exists() else system_folder.parent, os.W_OK | os.X_OK):
        return system_folder
    home = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or "/") / ".local/state"
    return Path(home, "cluster-dash")
