"""Takes the words after `cluster-dash-mole simulate`, runs a simulated fleet against a server, gives the exit code."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import re
import socket
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from cluster_dash_mole.config import Config
    from cluster_dash_mole.simulate.fleet import Fleet
    from cluster_dash_mole.simulate.sender import FleetSender, Report

log = logging.getLogger(__name__)

_WRONG_SETTING, _NOT_ALL_TAKEN = 2, 1
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FEW_HOSTS = 200  # up to here each post is sent by itself, as moles do
_BATCH = 50
_HOSTS_PER_SENDER = 1000
_MOST_SENDERS = 2
_ONCE_WITHIN_S = 300.0

_DESCRIPTION = """\
Posts for a fleet of hosts that never was: users and processes come and go as in a lab's week, and in the scenario
"demo" one host is down, one GPU lost, one driver hung, and so on. The same seed gives the same fleet. The server can't
tell its posts from real ones, so use one of its own for it: `make demo` starts both.
"""
_EPILOG = """\
examples:
  cluster-dash-mole simulate --server http://127.0.0.1:8080/ --speed 60
  cluster-dash-mole simulate --scenario plain --hosts 1000 --gpus-per-host 4
  cluster-dash-mole simulate --once --print | head -1

The passcode is that of the mole's settings: config.toml, or CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_AUTH_CODE.
"""


def add_command(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """To the parser of `cluster-dash-mole`."""
    parser = commands.add_parser(
        "simulate",
        parents=parents,
        help="post for a fleet that never was: for a look at the pages, for tests and benchmarks",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--hosts", type=_whole(1, 100_000), default=24, metavar="N", help="how many hosts (24)")
    add("--gpus-per-host", type=_whole(0, 64), default=8, metavar="N", help="GPUs of each plain host (8)")
    add("--seed", type=int, default=1, metavar="S", help="another number gives another fleet (1)")
    add(
        "--scenario",
        choices=("demo", "plain"),
        default="demo",
        help='"demo": 24 hosts with every kind of trouble, further ones plain; "plain": nothing is wrong (demo)',
    )
    add("--interval", type=_number(0.1, 86400), metavar="S", help="seconds between two posts of a host (the mole's)")
    add("--speed", type=_number(0.001, 10_000), default=1.0, metavar="X", help="the lab's seconds in one second (1)")
    add(
        "--start",
        type=_start,
        default=_start("tue 10:00"),
        metavar='"DAY HH:MM"',
        help='when in the lab\'s week it begins ("tue 10:00")',
    )
    add("--server", metavar="URL", help="the server's address (that of the mole's settings)")
    add("--auth-code", metavar="CODE", help="others on this host can read it from here; the settings keep it from them")
    add(
        "--batch",
        type=_whole(1, 256),
        metavar="N",
        help="posts sent at once (1 as moles do, from 200 hosts on 50)",
    )
    add("--gzip", action="store_true", help="pack the posts, as moles do; that takes about as much CPU as all the rest")
    add("--once", action="store_true", help="one post of each host, then end; 1 = not all were taken")
    add("--print", action="store_true", dest="is_printing", help="posts as JSON lines to stdout, and send nothing")


def run(asked: argparse.Namespace, folder: Path) -> int:
    """0 = ended by a signal, or all have posted once; 1 = not all posts of that were taken; 2 = a wrong setting."""
    from cluster_dash_mole.config import ConfigError, choose_config, load_config
    from cluster_dash_mole.startup import end_on_signals

    end_on_signals()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    environ = dict(os.environ)
    if asked.server:
        environ["CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_ADDRESS_IN"] = asked.server
    if asked.auth_code is not None:
        environ["CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_AUTH_CODE"] = asked.auth_code
    try:
        config = load_config(choose_config(folder, environ, socket.gethostname()), environ)
    except ConfigError as error:
        print(f"cluster-dash-mole: {error}", file=sys.stderr)
        return _WRONG_SETTING
    fleet = _build_fleet(asked, asked.interval or config.poll.poll_interval_in_secs)
    now = _steady_clock()
    if asked.is_printing:
        return _print_posts(fleet, asked.once, now)
    return _send_posts(asked, fleet, config, now)


def _build_fleet(asked: argparse.Namespace, interval_s: float) -> Fleet:
    from cluster_dash_mole.simulate.fleet import Fleet

    return Fleet(
        asked.hosts,
        asked.seed,
        scenario=asked.scenario,
        gpus_per_host=asked.gpus_per_host,
        interval_s=interval_s,
        began_at=round(time.time() - (interval_s if asked.once else 0), 3),
        speed=asked.speed,
        start_s=asked.start,
        spread=not asked.once,
    )


def _steady_clock() -> Callable[[], float]:
    """The time of day as it goes on from now, whatever happens to this host's clock."""
    ahead_s = time.time() - time.monotonic()
    return lambda: time.monotonic() + ahead_s


def _print_posts(fleet: Fleet, is_once: bool, now: Callable[[], float]) -> int:
    from cluster_dash_mole.simulate.schedule import Schedule

    schedule = Schedule(fleet, range(len(fleet)), is_once=is_once)
    while not schedule.has_ended:
        for due in schedule.due(now(), len(fleet)):
            print(fleet.body(due.host, due.number))
            schedule.advance(due)
        sys.stdout.flush()
        if not schedule.has_ended:
            time.sleep(schedule.wait_s(now()))
    return 0


def _send_posts(asked: argparse.Namespace, fleet: Fleet, config: Config, now: Callable[[], float]) -> int:
    from cluster_dash_mole.simulate.sender import Report

    report = Report(config.json_sender.address_in)
    gpus = sum(host.plan.gpus for host in fleet.hosts)
    pace = "once" if asked.once else f"every {fleet.interval_s:g} s"
    log.info(
        "simulating %d hosts with %d GPUs (scenario %s, seed %d, %gx), each posts %s to %s",
        len(fleet), gpus, asked.scenario, asked.seed, asked.speed, pace, config.json_sender.address_in,
    )  # fmt: skip
    senders = _start_senders(asked, fleet, config, now, report)
    try:
        is_over = all if asked.once else any
        while not is_over(sender.has_ended.is_set() for sender in senders):
            _give_up_once(asked.once, now() - fleet.began_at, report)
            time.sleep(0.1)
    finally:
        for sender in senders:
            sender.close()
        log.info("ended: %d posts taken, %d refused, %d missed", report.taken, report.refused, report.missed)
    return 0 if asked.once and not report.refused else _NOT_ALL_TAKEN


def _give_up_once(is_once: bool, passed_s: float, report: Report) -> None:
    if is_once and (passed_s > _ONCE_WITHIN_S or report.failures):
        raise SystemExit(_NOT_ALL_TAKEN)


def _start_senders(
    asked: argparse.Namespace, fleet: Fleet, config: Config, now: Callable[[], float], report: Report
) -> list[FleetSender]:
    from cluster_dash_mole.simulate.schedule import Schedule
    from cluster_dash_mole.simulate.sender import FleetSender

    batch = asked.batch or (1 if len(fleet) <= _FEW_HOSTS else _BATCH)
    settings = dataclasses.replace(config.json_sender, gzip=asked.gzip)
    count = min(_MOST_SENDERS, -(-len(fleet) // _HOSTS_PER_SENDER))
    shares = [range(first, len(fleet), count) for first in range(count)]
    return [
        FleetSender(settings, fleet, Schedule(fleet, hosts, is_once=asked.once), len(hosts), batch, now, report)
        for hosts in shares
    ]


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: must be a number from {low:g} to {high:g}")
        return number

    return parse


def _start(text: str) -> float:
    """Seconds from Monday 0:00."""
    found = re.fullmatch(r"([a-z]{3})[a-z]* ([01]?\d|2[0-3]):([0-5]\d)", text.strip().lower())
    if not found or found[1] not in _DAYS:
        raise argparse.ArgumentTypeError(f'{text!r}: must be a day and a time, as "tue 10:00"')
    return (_DAYS.index(found[1]) * 24 + int(found[2])) * 3600.0 + int(found[3]) * 60
