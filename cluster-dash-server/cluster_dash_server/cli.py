"""Takes the words of the command line, gives the exit code of `cluster-dash-server`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from . import __version__, token_command
from .backup import command as backup_command
from .serving import command as serve_command

COMMANDS = (serve_command.add, token_command.add, backup_command.add)
"""Each adds its parsers, with its `run` as default: it takes the parsed words and gives the exit code."""


def main(words: Sequence[str] | None = None) -> int:
    """0: done, 1: could not be done, 2: wrong usage or setting."""
    parser = argparse.ArgumentParser(prog="cluster-dash-server", description="The server of cluster-dash.")
    parser.add_argument("--version", action="version", version=f"cluster-dash-server {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    asked = parser.parse_args(words)
    return asked.run(asked)
