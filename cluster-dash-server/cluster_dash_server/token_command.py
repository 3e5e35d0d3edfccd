"""`cluster-dash-server token`: makes, lists and revokes the tokens by which single hosts may post."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema_rs

from .config import ConfigError, read_config
from .hostnames import is_composed
from .receive.schema import SCHEMA
from .receive.tokens import TokenFileError, make_token, read_tokens, revoke_tokens, token_path
from .views.wording import printable


def add(commands: Any) -> None:
    """`commands` as argparse's add_subparsers gives it."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "token",
        help="make, list and revoke the tokens by which single hosts may post",
        description="Make a token by which HOST may post, beside those that it has. The token alone is printed, this "
        "once: put it into the mole's config.toml as auth_code. A running server knows of it within two seconds.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("host", nargs="?", metavar="HOST", help="the name under which the host reports, exactly")
    what.add_argument("--list", action="store_true", help="the hosts that have tokens, and when each was made")
    what.add_argument("--revoke", metavar="HOST", help="make all tokens of HOST invalid, within two seconds")
    parser.add_argument("--keep-newest", action="store_true", help="with --revoke: all but the newest")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    if asked.keep_newest and asked.revoke is None:
        print("cluster-dash-server: --keep-newest goes with --revoke HOST", file=sys.stderr)
        return 2
    try:
        path = token_path(read_config().access, os.environ)
    except ConfigError as error:
        print(f"cluster-dash-server: {error}", file=sys.stderr)
        return 2
    try:
        if asked.list:
            return show(path)
        return revoke(path, asked.revoke, asked.keep_newest) if asked.revoke is not None else make(path, asked.host)
    except OSError as error:
        print(f"cluster-dash-server: {path}: {error.strerror}", file=sys.stderr)
    except TokenFileError as error:
        print(f"cluster-dash-server: {error}", file=sys.stderr)
    return 1


def make(path: Path, host: str) -> int:
    if not jsonschema_rs.is_valid(SCHEMA["$defs"]["label"], host) or not is_composed(host):
        allowed = SCHEMA["$defs"]["label"]["description"]
        print(f"cluster-dash-server: no host can report under that name: it must have {allowed}", file=sys.stderr)
        return 2
    print(make_token(path, host, time.time()))
    print(f"kept (its hash) in {path}; as auth_code in the mole's config.toml it lets {host} post", file=sys.stderr)
    return 0


def revoke(path: Path, host: str, keep_newest: bool) -> int:
    count = revoke_tokens(path, host, keep_newest=keep_newest)
    print(f"{count} revoked in {path}", file=sys.stderr)
    return 0 if count or keep_newest else 1


def show(path: Path) -> int:
    try:
        tokens = read_tokens(path)
    except FileNotFoundError:
        tokens = []
    for token in sorted(tokens, key=lambda each: (each.host, each.made_at)):
        print(f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(token.made_at))}  {printable(token.host)}")
    print(f"{len(tokens)} in {path}", file=sys.stderr)
    return 0
