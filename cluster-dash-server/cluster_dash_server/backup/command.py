"""`cluster-dash-server backup`, `restore` and `export`: takes the words of the command line, gives the exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..config import Config, ConfigError, read_config, settings_file
from ..printing import UNPRINTABLE
from ..receive.tokens import token_path
from ..state import state_folder
from ..store import StoreAway
from ..store.target import StoreUrlError
from .export import Wanted, export_points
from .link import AGAIN, Running, Unreachable, open_link
from .make import InTheWay, make_backup
from .manifest import Manifest, NotWhole, read_manifest
from .restore import DoesNotFit, restore_backup, restore_settings
from .tables import NoTable

FAILURES = (Unreachable, InTheWay, NotWhole, DoesNotFit, NoTable, StoreUrlError)
WHERE = (
    "The history is found as the server finds it, by the same settings and environment. The server may run or not; "
    "while it runs, it goes on receiving. Run this as its user, or as root while it runs. Exit codes: 0 done, 1 not "
    "done, 2 wrong usage or setting."
)


LATEST_S = 2**33


def add(commands: Any) -> None:
    """`commands` as argparse's add_subparsers gives it."""
    _add(
        commands,
        "backup",
        _backup,
        "copy all that is kept into a folder, while the server runs",
        "Copy the history, the latest post of each host, tokens and settings into FOLDER, as Parquet files with their "
        "checksums. All that was acknowledged before is in it. FOLDER comes to be when all is done, so one that is "
        "there is whole. It holds secrets: only its owner can read it.",
    ).add_argument("folder", metavar="FOLDER", type=Path, help="one that isn't there yet, or is empty")
    restore = _add(
        commands,
        "restore",
        _restore,
        "put a backup back, while the server runs or before it does",
        "Check the backup in FOLDER, and put its rows into the history. What is there stays, and nothing is there "
        "twice, however often it is done. Tokens come back where there are none; the settings of then are in "
        "FOLDER/settings.",
    )
    restore.add_argument("folder", metavar="FOLDER", type=Path, help="as `backup` made it")
    restore.add_argument("--check", action="store_true", help="only tell whether the backup is whole")
    export = _add(
        commands,
        "export",
        _export,
        "write points of some time into a Parquet file",
        "Write the points from one time to another into FILE, each once, series by series: event_time (UTC), run_id, "
        "host, rank, device (null: none), step, metric, value, unit, tags_json.",
    )
    export.add_argument("file", metavar="FILE.parquet", type=Path, help="one that isn't there yet")
    export.add_argument(
        "--from", dest="start_s", metavar="TIME", type=_time, required=True,
        help="2026-11-22, 2026-11-22T13:00 (of this machine's zone), 2026-11-22T13:00+01:00 or Unix seconds",
    )  # fmt: skip
    export.add_argument("--to", dest="end_s", metavar="TIME", type=_time, help="not included; now, if left out")
    export.add_argument("--host", action="append", default=[], metavar="NAME", help="only of this one; repeatable")
    export.add_argument("--metric", action="append", default=[], metavar="NAME", help="only this one; repeatable")


Run = Callable[[argparse.Namespace, Config], int]


def _add(commands: Any, name: str, run: Run, about: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=description, epilog=WHERE)
    parser.set_defaults(run=partial(_told, name, run))
    return parser


def _told(name: str, run: Run, asked: argparse.Namespace) -> int:
    """What went wrong as one line."""
    try:
        with _ended_in_order():
            return run(asked, read_config())
    except ConfigError as error:
        return _fail(str(error), 2)
    except FAILURES as error:
        return _fail(str(error))
    except StoreAway as error:
        return _fail(f"{name} was broken off: {error}{AGAIN}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name} was broken off: {where}{error.strerror}{AGAIN}")
    except KeyboardInterrupt:
        return _fail(f"{name} was broken off by a signal{AGAIN}")


@contextlib.contextmanager
def _ended_in_order() -> Generator[None]:
    """What would end the process at once ends it as Ctrl-C does: nothing that is half done stays."""
    ending = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for each in ending:
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in ending:
            signal.signal(each, signal.SIG_DFL)


def _fail(why: str, code: int = 1) -> int:
    _say(f"cluster-dash-server: {why}")
    return code


def _say(text: str) -> None:
    """A backup may be anybody's: what it says moves no cursor."""
    print(UNPRINTABLE.sub("\ufffd", text), file=sys.stderr)


def _backup(asked: argparse.Namespace, config: Config) -> int:
    from .. import __version__

    folder = asked.folder.absolute()
    files = [*_own_files(config).values(), settings_file(os.environ)]
    with open_link(config, state_folder(os.environ)) as link:
        made_at = datetime.now().astimezone().isoformat(timespec="seconds")
        made = make_backup(link, folder, files, made_at, __version__, _say)
    _say(f"done: {_size(made)} in {folder}")
    return 0


def _restore(asked: argparse.Namespace, config: Config) -> int:
    folder = asked.folder.absolute()
    manifest = read_manifest(folder)
    _say(f"{folder} is whole: {_size(manifest)}, made at {manifest.made_at} from {manifest.made_from}")
    if asked.check:
        return 0
    with open_link(config, state_folder(os.environ), makes=True) as link:
        restore_backup(link, folder, manifest, _say)
        restore_settings(folder, manifest, _own_files(config), _say)
        if isinstance(link, Running):
            link.look_for_hosts()
        _say(f"done: {manifest.rows:,} rows are in {link.shown}")
    return 0


def _export(asked: argparse.Namespace, config: Config) -> int:
    wanted = Wanted(asked.start_s, asked.end_s or time.time(), tuple(asked.host), tuple(asked.metric))
    if not wanted.start_s < wanted.end_s:
        return _fail("--from must be before --to", 2)
    if asked.file.suffix != ".parquet":
        return _fail(f"{asked.file}: what is written is Parquet, so its name must end in .parquet", 2)
    file = asked.file.absolute()
    with open_link(config, state_folder(os.environ)) as link:
        rows = export_points(link, file, wanted)
    _say(f"done: {rows:,} points in {file}" + ("" if rows else ": there are none of that time, host and metric"))
    return 0


def _own_files(config: Config) -> dict[str, Path]:
    """Those that the server makes and needs, by their names in a backup."""
    tokens = token_path(config.access, os.environ)
    return {tokens.name: tokens, "viewing.key": tokens.with_name("viewing.key")}


def _size(manifest: Manifest) -> str:
    return f"{len(manifest.files)} files, {manifest.rows:,} rows, {manifest.bytes / 2**20:,.1f} MiB"


def _time(text: str) -> float:
    """Unix seconds."""
    try:
        try:
            seconds = float(text)
        except ValueError:
            seconds = datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        seconds = -1.0
    if not 0 <= seconds < LATEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 2026-11-22, 2026-11-22T13:00 or Unix seconds")
    return seconds
