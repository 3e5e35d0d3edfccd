"""`cluster-dash-server serve`: takes the settings, opens the sockets and runs the application until a signal comes."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from typing import Any

import msgspec

from .. import create_app, logs
from ..config import Config, ConfigError, read_config
from .server import Server
from .sockets import CannotListen, address_of, allow_descriptors, listen
from .systemd import Notifier

log = logging.getLogger(__name__)

POSTS = {("POST", "/")}
"""Of the hosts, thousands in a second; `receive.posts` answers them before Flask."""


COLLECT_AFTER = 50_000
"""Objects more than there were, until Python looks for cycles. At its 700 it looks several times while one post is
read, which has more objects than that and no cycle; so it takes a tenth of the time of all.
"""


def add(commands: Any) -> None:
    """`commands` as argparse's add_subparsers gives it."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve", help="run the server, with limits for slow, many and hostile connections"
    )
    parser.add_argument("--listen", action="append", metavar="HOST:PORT", help="instead of [serve] listen; repeatable")
    parser.add_argument("--log-format", choices=["text", "json"], help="instead of [log] format")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Until a signal ends it; returns the exit code."""
    try:
        config = _with_options(read_config(), arguments)
        logs.set_up(config.log.format, config.log.level)
        max_connections = allow_descriptors(config.serve.max_connections)
        sockets = [listen(address) for address in config.serve.listen]
    except (ConfigError, CannotListen) as error:
        print(f"cluster-dash-server: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    if max_connections < config.serve.max_connections:
        log.warning(
            "at most %d connections at once, not %d ([serve] max_connections): the limit of open files is too low",
            max_connections,
            config.serve.max_connections,
        )
    app = create_app(config, guarded=True)
    server = Server(
        app,
        sockets,
        config.serve,
        max_connections=max_connections,
        max_body_bytes=config.limits.body_bytes,
        notifier=Notifier(),
        # A post that waits for the disk would hold up all others; in threads they wait together, for one sync.
        at_once=() if app.extensions["keeps_on_disk"] else POSTS,
        slow=app.extensions["slow_paths"],
        batches=("/batch",),
        on_end=app.extensions["end_long_answers"],
    )
    gc.freeze()  # what is loaded stays
    gc.set_threshold(COLLECT_AFTER)
    log.info("cluster-dash: %s", "  ".join(map(address_of, sockets)))
    server.run()
    return 0


def _with_options(config: Config, arguments: argparse.Namespace) -> Config:
    if arguments.listen:
        config = msgspec.structs.replace(
            config, serve=msgspec.structs.replace(config.serve, listen=tuple(arguments.listen))
        )
    if arguments.log_format:
        config = msgspec.structs.replace(config, log=msgspec.structs.replace(config.log, format=arguments.log_format))
    return config
