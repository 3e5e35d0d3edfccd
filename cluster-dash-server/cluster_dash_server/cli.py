"""The command `cluster-dash-server`, also as `python -m cluster_dash_server`."""

from __future__ import annotations

import argparse
import sys

from . import __version__
from .serving import command as serve


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="cluster-dash-server", description="The dashboard of a GPU cluster.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve.add_to(commands)
    arguments = parser.parse_args(argv)
    sys.exit(arguments.run(arguments))
