"""Takes the words of the command line, gives the exit code of `cluster-dash-mole`: run it, check this host, print."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cluster_dash_mole import __version__
from cluster_dash_mole.simulate.command import add_command as add_simulate
from cluster_dash_mole.startup import main as run_mole

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = "Reads this host and reports it to a cluster-dash server; without a command until it is ended."
_EPILOG = """\
Settings come from config_<hostname>.toml, else config.toml, in the working directory, else they have their defaults.
Exit codes: 0 ended in order, 1 check found something wrong, 2 wrong usage or setting, 3 another mole is there already.
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's words."""
    parser = argparse.ArgumentParser(
        prog="cluster-dash-mole",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cluster-dash-mole {__version__}")
    parser.add_argument("--config", metavar="FILE", type=Path, help="the file with the settings")
    commands = parser.add_subparsers(dest="command", metavar="{check,print,simulate}")
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", metavar="FILE", type=Path, help=argparse.SUPPRESS, default=argparse.SUPPRESS)
    commands.add_parser(
        "check",
        parents=[config],
        help="tell what can be read here, what not and why, what that costs, and whether the server takes a post",
    )
    printing = commands.add_parser("print", parents=[config], help="show one post as JSON, and send nothing")
    printing.add_argument("--table", action="store_true", help="as the table that a terminal gets")
    add_simulate(commands, [config])
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """The exit code; see the epilog."""
    asked = build_parser().parse_args(words)
    if asked.config:
        os.environ["CLUSTER_DASH_MOLE_CONFIG"] = str(asked.config)
    folder = Path.cwd()
    if asked.command is None:
        return run_mole(folder)
    try:
        if asked.command == "simulate":
            from cluster_dash_mole.simulate.command import run as simulate

            return simulate(asked, folder)
        from cluster_dash_mole.check import check, print_post

        return check(folder) if asked.command == "check" else print_post(folder, asked.table)
    except BrokenPipeError:  # of `cluster-dash-mole print | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
