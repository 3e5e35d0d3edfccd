"""Takes the environment and the folder of the start script, gives the exit code of a mole that ran until its end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


def end_on_signals() -> None:
    """From here on SIGTERM and SIGINT raise SystemExit(0), once; what they interrupt is cleaned up on the way out."""

    def end(number: int, frame: object) -> None:  # noqa: ARG001  the form that signal asks for
        for again in (signal.SIGTERM, signal.SIGINT):
            signal.signal(again, signal.SIG_IGN)
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def choose_config(folder: Path, environ: Mapping[str, str], hostname: str) -> Path | None:
    """The file that CLUSTER_DASH_MOLE_CONFIG names, else the host's own in `folder`, else config.toml, else None."""
    named = environ.get("CLUSTER_DASH_MOLE_CONFIG")
    if named:
        return Path(named)
    candidates = (folder / f"config_{hostname}.toml", folder / "config.toml")
    return next((path for path in candidates if path.is_file()), None)


def main(folder: Path) -> int:
    """0 after a signal, 2 when a setting is wrong."""
    end_on_signals()
    # Only now what takes long to import, so that a Ctrl-C meanwhile ends quietly.
    from cluster_dash_mole.config import ConfigError, load_config
    from cluster_dash_mole.main import build_runner, run

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    path = choose_config(folder, os.environ, socket.gethostname())
    try:
        config = load_config(path, os.environ)
    except ConfigError as error:
        print(f"cluster-dash-mole: {error}", file=sys.stderr)
        return 2
    log.info("settings: %s", path or f"defaults, as {folder} has no config.toml")
    run(build_runner(config, os.environ))
    return 0
