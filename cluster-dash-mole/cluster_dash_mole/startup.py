"""Takes the environment and the folder of the start script, gives the exit code of a mole that ran until its end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_dash_mole import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cluster_dash_mole.backend import Backend
    from cluster_dash_mole.config import Config
    from cluster_dash_mole.identity import Identity

log = logging.getLogger(__name__)

WRONG_SETTING, ANOTHER_MOLE, MISSING_PACKAGE = 2, 3, 4


def end_on_signals() -> None:
    """From here on SIGTERM and SIGINT raise SystemExit(0), once; what they interrupt is cleaned up on the way out."""

    def end(number: int, frame: object) -> None:  # noqa: ARG001  the form that signal asks for
        for again in (signal.SIGTERM, signal.SIGINT):
            signal.signal(again, signal.SIG_IGN)
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def main(folder: Path) -> int:
    """0 after a signal, 2 = a wrong setting, 3 = another mole is there already, 4 = a package is missing."""
    end_on_signals()
    try:
        return _main(folder)
    except ModuleNotFoundError as error:
        print(
            f"cluster-dash-mole: the Python package {error.name!r} is missing in {sys.executable}: "
            "install requirements.txt beside smart_startup.py, as setup.md says",
            file=sys.stderr,
        )
        return MISSING_PACKAGE


def _main(folder: Path) -> int:
    os.umask(0o077)
    # Only now what takes long to import, so that a Ctrl-C meanwhile ends quietly.
    from cluster_dash_mole.config import ConfigError, choose_config, load_config
    from cluster_dash_mole.lock import AnotherMoleError

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        path = choose_config(folder, os.environ, socket.gethostname())
        config = load_config(path, os.environ)
        log.info("settings: %s", path or f"defaults, as {folder} has no config.toml")
        run(config, os.environ)
    except ConfigError as error:
        print(f"cluster-dash-mole: {error}", file=sys.stderr)
        return WRONG_SETTING
    except AnotherMoleError as error:
        print(f"cluster-dash-mole: {error}: this one stops", file=sys.stderr)
        return ANOTHER_MOLE
    return 0


def run(config: Config, environ: Mapping[str, str]) -> None:
    """Step after step until a signal raises SystemExit. Raises AnotherMoleError before anything is read or sent."""
    from cluster_dash_mole.identity import load_identity, read_host_key, state_folder
    from cluster_dash_mole.lock import MoleLock
    from cluster_dash_mole.main import build_runner, run

    folder = state_folder(config.state.state_dir, environ, read_host_key(socket.gethostname()))
    lock = MoleLock(folder, [config.json_sender.address_in] if config.json_sender.use else [])
    try:
        identity = load_identity(folder)
        run(build_runner(config, identity, build_backends(config, folder, identity)), lock.drain)
    finally:
        lock.close()


def build_backends(config: Config, folder: Path, identity: Identity) -> list[Backend]:
    """Those that are used; the log says where posts go. `folder` is the mole's state."""
    interval_s = config.poll.poll_interval_in_secs
    backends: list[Backend] = []
    if config.json_sender.use:
        backends.append(build_sender(config, folder, identity))
    if config.stdout.use:
        from cluster_dash_mole.stdout import StdOutLogger

        backends.append(StdOutLogger(config.stdout, interval_s))
    backends += build_sheets(config)
    targets = ", ".join(f"{backend.target} every {backend.interval_s:g} s" for backend in backends)
    log.info("cluster-dash-mole %s reports to %s", __version__, targets or "nobody: no backend has use = true")
    return backends


def build_sender(config: Config, folder: Path, identity: Identity) -> Backend:
    """The server's, with an outbox where one is wanted."""
    interval_s = config.poll.poll_interval_in_secs
    most_bytes = int(config.outbox.max_mib * 2**20)
    if not most_bytes:
        from cluster_dash_mole.comms import JsonSenderLogger

        return JsonSenderLogger(config.json_sender, interval_s)
    from cluster_dash_mole.kept_sender import KeptSender
    from cluster_dash_mole.outbox import FOLDER, Outbox

    outbox = Outbox(folder / FOLDER, identity.epoch, most_bytes)
    return KeptSender(config.json_sender, interval_s, outbox, config.outbox.posts_per_sec)


def build_sheets(config: Config) -> list[Backend]:
    """Google Sheets, where it is used and its library is installed."""
    if not config.google_sheets.use:
        return []
    from cluster_dash_mole.sheets import INSTALL, GoogleSheetsLogger

    try:
        return [GoogleSheetsLogger(config.google_sheets, config.poll.poll_interval_in_secs)]
    except ModuleNotFoundError as error:
        log.warning("[Google_Sheets_Logger] use = true, but %s is not installed: %s", error.name, INSTALL)
        return []
