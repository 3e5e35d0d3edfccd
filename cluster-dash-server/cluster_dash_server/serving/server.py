"""Runs an application until a signal ends it: listeners, threads and the event loop put together."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any

from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from ..config import Serve
from .channel import Deadlines
from .connections import Connections
from .listener import Listener
from .loop import Loop, Watched
from .systemd import Notifier
from .turns import Turns

log = logging.getLogger(__name__)

TICK_S = 1.0
MAX_HEADER_BYTES = 16 * 1024
RECEIVED_AT_ONCE = 64 * 1024
DRAIN_S = 5.0
READ_S = 0.2
"""At the end, for what was sent and not yet read."""
SLOW_THREADS = 4
"""As many as the store takes questions at a time."""
MOST_OF_ONE = SLOW_THREADS // 2
"""Of these, for one client."""
END_THREADS_S = 1.0
BATCH_THREADS = 1
"""What hosts have kept through an outage comes beside their live posts, which go on. Python runs one thread at a time
and lets one that computes do so for 5 ms before another has its turn, and a live post needs several turns.
"""
LONGEST_BATCH_WAIT_S = 2.5
"""Half as long as a mole waits for its answer."""
STUCK_S = 60.0
"""Requests wait and none was answered for this long: systemd hears nothing more and starts the server again."""


class Server:
    def __init__(
        self,
        application: Any,
        sockets: list[socket.socket],
        settings: Serve,
        *,
        max_connections: int,
        max_body_bytes: int,
        notifier: Notifier | None = None,
        at_once: Collection[tuple[str, str]] = (),
        slow: Collection[str] = (),
        batches: Collection[str] = (),
        on_end: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`at_once`: method and path of what the loop's thread answers itself. It is short and waits for nothing.
        `slow`: paths of what may take seconds: it is answered by threads of its own, so nothing else waits for it.
        `batches`: paths of what isn't urgent, and of which much may come at once: it has few threads of its own.
        """
        self._notifier = notifier or Notifier({})
        self._on_end = on_end
        """Told before what was asked is answered: an answer that goes on for ever must end itself."""
        self._monotonic = monotonic
        self._watched = Watched()
        self._loop = Loop(self._watched)
        self._threads = ThreadedTaskDispatcher()
        self._slow_threads = ThreadedTaskDispatcher()
        self._batch_threads = ThreadedTaskDispatcher()
        deadlines = Deadlines(
            settings.header_timeout_s, settings.body_timeout_s, settings.idle_timeout_s, settings.send_timeout_s
        )
        self.connections = Connections(max_connections, deadlines)
        adjustments = _adjustments(settings, max_body_bytes)
        turns = dict.fromkeys(slow, Turns(self._slow_threads, MOST_OF_ONE)) | dict.fromkeys(
            batches,
            Turns(self._batch_threads, BATCH_THREADS, LONGEST_BATCH_WAIT_S, lambda: bool(self._threads.queue)),
        )
        self._listeners = [
            Listener(
                application, sock, self._watched, self._threads, adjustments, self.connections, at_once, turns,
            )
            for sock in sockets
        ]  # fmt: skip
        self._threads.set_thread_count(settings.threads)
        self._slow_threads.set_thread_count(SLOW_THREADS if slow else 0)
        self._batch_threads.set_thread_count(BATCH_THREADS if batches else 0)
        self._ending = False
        self._next_tick = 0.0
        self._progress = (self._monotonic(), 0)

    def run(self) -> None:
        """Until SIGTERM or SIGINT; then no new connection is taken, and what was asked is answered."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        handlers = {each: signal.signal(each, self._end) for each in ENDINGS} if in_main_thread else {}
        self._notifier.tell("READY=1")
        try:
            while not self._ending:
                self._step()
            self._notifier.tell("STOPPING=1")
            self._on_end()
            self._drain()
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)
            self._close()

    def end(self) -> None:
        """From any thread."""
        self._ending = True
        self._listeners[0].trigger.pull_trigger()

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        if self._ending:  # asked twice: at once
            raise SystemExit(1)
        self.end()

    def _step(self) -> None:
        self._turn(TICK_S)
        now = self._monotonic()
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            self._tick(now)

    def _turn(self, timeout_s: float) -> None:
        for listener in self._listeners:
            listener.woken()
        self._loop.run_once(0 if any(listener.waiting for listener in self._listeners) else timeout_s)
        for listener in self._listeners:
            listener.answer_at_once()

    def _tick(self, now: float) -> None:
        self.connections.close_late(now)
        for listener in self._listeners:
            listener.resume(now)
        if self._notifier.watchdog_s and not self._is_stuck(now):
            self._notifier.tell("WATCHDOG=1")

    def _is_stuck(self, now: float) -> bool:
        if not self._threads.queue or self.connections.answered != self._progress[1]:
            self._progress = (now, self.connections.answered)
        return now - self._progress[0] > STUCK_S

    def _drain(self) -> None:
        """What has come already is read and answered."""
        for listener in self._listeners:
            listener.handle_accept()
            listener.stop_accepting()
        began = self._monotonic()
        is_open = True
        while is_open and self._monotonic() - began < DRAIN_S:
            self._turn(0.05)
            if self._monotonic() - began > READ_S:
                is_open = self.connections.close_idle()

    def _close(self) -> None:
        self.connections.close_all()
        until = self._monotonic() + END_THREADS_S
        for pool in (self._threads, self._slow_threads, self._batch_threads):
            pool.shutdown(timeout=max(0.0, until - self._monotonic()))
        for listener in self._listeners:
            listener.trigger.close()
            if listener.socket is not None:
                listener.socket.close()
        self._loop.close()


ENDINGS = (signal.SIGTERM, signal.SIGINT)


def _adjustments(settings: Serve, max_body_bytes: int) -> Adjustments:
    trusted = {
        "trusted_proxy": settings.trusted_proxy,
        "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
        "trusted_proxy_count": 1,
    }
    return Adjustments(
        ident="",
        threads=settings.threads,
        recv_bytes=RECEIVED_AT_ONCE,
        max_request_header_size=MAX_HEADER_BYTES,
        max_request_body_size=max_body_bytes + 1,  # waitress refuses from this size on
        inbuf_overflow=max_body_bytes + 1,
        clear_untrusted_proxy_headers=False,  # they tell that a proxy is between; nobody believes what they say
        log_socket_errors=False,
        **(trusted if settings.trusted_proxy else {}),
    )
