"""The server of cluster-dash: takes the posts of the moles, keeps them and shows them.

`create_app` is the table of contents, in the data's order.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from flask import Flask

from . import errors, logs
from .background import Background, stop_all
from .backup.control import Control
from .config import Config, ConfigError, Live, read_config
from .counts import Counts
from .headers import add_headers
from .hostcheck import check_host
from .live.clock import Clock, since_boot
from .live.hosts import Hosts
from .receive import batch
from .receive.access import Gate
from .receive.posts import Posts
from .receive.schema import Schema
from .receive.tokens import Tokens, token_path
from .state import state_folder
from .store.opening import open_store
from .viewing import Viewing, read_secret
from .views import api, asking, assets, charts, events, frame, legacy, login, removal, series, status, stream
from .views.clock import clock_facts, clock_warnings
from .views.fleet.model import Fleets
from .views.health import Health
from .views.prometheus.fleet import FleetText
from .views.prometheus.page import Page
from .views.prometheus.server import ServerCollector

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .store.store import Store

log = logging.getLogger(__name__)

BARE_THREADS = 4
"""Of a bare waitress-serve."""


def create_app(
    config: Config | None = None,
    *,
    start: bool = True,
    guarded: bool = False,
    monotonic: Callable[[], float] = since_boot,
    wall: Callable[[], float] = time.time,
) -> Flask:
    """The WSGI application. `start=False` starts no thread and touches neither signals nor the log's set-up.

    `guarded` says that whoever serves it keeps slow, many and hostile connections away, as `serving` does.
    """
    config = config or _config_or_exit()
    if start:
        logs.set_up(config.log.format, config.log.level)
    tokens = Tokens(token_path(config.access, os.environ), monotonic)
    gate = Gate(config.access, tokens)
    schema = Schema(config.limits)
    store = _open_store_or_exit(config, monotonic, wall) if start else None
    hosts = _hosts_of(config.live, Clock(monotonic, wall), store)

    def warnings() -> list[str]:
        return [*(store.troubles() + store.notes() if store else ()), *gate.warnings(), *notes_of_hosts()]

    def notes_of_hosts() -> list[str]:
        return [*hosts.warnings(), *clock_warnings(hosts)]

    plotly = assets.Plotly()
    fleets = Fleets(hosts, config.hosts)
    held = stream.Held(min(config.serve.held_streams, (config.serve.threads if guarded else BARE_THREADS) // 2))
    background = [
        Background("forget old history", lambda: _forget_old_history(hosts, fleets)),
        Background("compress plotly.js", plotly.compress),
        Background("look at the clock", lambda: _look_at_clock(hosts)),
        Background("look at the tokens", tokens.watch),
        Background("count repeated log lines", logs.tell_counts),
    ]

    control = None
    if store:
        background.append(Background("carry posts into the store", lambda: store.step(hosts.restore)))
        background.append(Background("end questions that nobody waits for", store.end_unwanted_questions))
        control = Control(store.folder, store.transfer, store.look_for_hosts)
        background.append(Background("answer backups", control.step))
        background.append(Background("roll the history up", store.rollups.step))

    counts = Counts()
    receive = Posts(gate, hosts, schema, config.limits, counts)
    app = Flask(__name__)
    app.extensions["held_streams"] = held
    app.extensions["end_long_answers"] = lambda: _end_long_answers(held, store)
    app.extensions["keeps_on_disk"] = store is not None
    app.extensions["slow_paths"] = asking.PATHS if store else ()
    app.wsgi_app = add_headers(check_host(receive.directly(app.wsgi_app), config.access.allowed_hosts))  # pyright: ignore[reportAttributeAccessIssue]  as Flask documents it
    app.url_map.merge_slashes = False
    frame.register(app, warnings, plotly, guarded)
    errors.register(app)
    if password := config.access.viewing_password:
        login.register(app, Viewing(password, read_secret(tokens.path.with_name("viewing.key")), wall, monotonic))
    app.register_blueprint(receive.routes())
    app.register_blueprint(batch.routes(gate, hosts, schema, config.limits, counts))
    has_uplot = assets.has_uplot(Path(app.static_folder or ""))
    app.register_blueprint(status.routes(hosts, fleets, warnings, has_store=store is not None, has_uplot=has_uplot))
    app.register_blueprint(removal.routes(hosts, gate.admit_removal))
    app.register_blueprint(stream.routes(fleets, hosts.changes, config, held))
    app.register_blueprint(api.routes(fleets))
    app.register_blueprint(series.routes(store, wall))
    app.register_blueprint(events.routes(store, wall))
    measured = ServerCollector(__version__, counts, background, held, store)
    app.register_blueprint(Page(measured, FleetText(hosts, fleets.named.expected).text, monotonic).routes())
    app.register_blueprint(charts.routes(hosts, store))
    app.register_blueprint(legacy.routes(hosts, store))
    app.register_blueprint(assets.routes(plotly))
    health = Health(
        background,
        lambda: [*(store.notes() if store else ()), *gate.troubles(), *notes_of_hosts()],
        lambda: clock_facts(hosts),
        store.troubles if store else list,
    )
    app.register_blueprint(health.routes())

    if start:
        _start(background, store, control)
        for warning in gate.warnings():
            log.warning("%s", warning)
        if not guarded:
            log.warning("%s Start it as: cluster-dash-server serve", frame.UNGUARDED)
    return app


def _end_long_answers(held: stream.Held, store: Store | None) -> None:
    """So that the process can end."""
    held.end()
    if store:
        store.end_questions()


def _hosts_of(settings: Live, clock: Clock, store: Store | None) -> Hosts:
    if store is None:
        return Hosts(settings, clock)
    told = store.events
    return Hosts(settings, clock, store.keep, store.forget, lambda: store.is_open, told.note_start, told.note_sleep)


def _config_or_exit() -> Config:
    try:
        return read_config()
    except ConfigError as error:
        sys.exit(f"cluster-dash-server: {error}")


def _open_store_or_exit(config: Config, monotonic: Callable[[], float], wall: Callable[[], float]) -> Store | None:
    try:
        return open_store(config.store, state_folder(os.environ), monotonic, wall)
    except ConfigError as error:
        sys.exit(f"cluster-dash-server: {error}")


def _forget_old_history(hosts: Hosts, fleets: Fleets) -> float:
    hosts.forget_silent_hosts()
    hosts.keep_within_memory()
    fleets.rest()
    return 10.0


def _look_at_clock(hosts: Hosts) -> float:
    hosts.clock.look()
    return 5.0


def _start(background: list[Background], store: Store | None, control: Control | None) -> None:
    for step in background:
        step.start()
    if store:
        atexit.register(store.close)  # after the steps: the last registered goes first
    atexit.register(stop_all, background)
    if control:
        atexit.register(control.end)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # Without it SIGTERM ends a bare waitress-serve at once, and no atexit hook runs.
        signal.signal(signal.SIGTERM, _exit_on_signal)


def _exit_on_signal(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
