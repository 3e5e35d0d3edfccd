"""Background steps: run, fail without ending, stop within a second; create_app(start=False) starts none."""

from __future__ import annotations

import logging
import signal
import threading
import time

import pytest
from processes import until

from cluster_dash_server import create_app
from cluster_dash_server.background import Background, stop_all
from cluster_dash_server.config import Config
from cluster_dash_server.views.health import Health


def test_a_step_is_run_again_after_the_time_that_it_says() -> None:
    ran: list[float] = []

    def step() -> float:
        ran.append(time.monotonic())
        return 0.01

    background = Background("step", step)
    background.start()
    until(lambda: len(ran) >= 3)
    stop_all([background])


def test_a_step_with_nothing_more_to_do_ends_its_thread() -> None:
    background = Background("once", lambda: None)
    before = threading.active_count()
    background.start()
    until(lambda: threading.active_count() == before)


def test_a_failing_step_is_logged_once_and_makes_the_server_unhealthy(caplog: pytest.LogCaptureFixture) -> None:
    def step() -> float:
        raise ValueError("no disk")

    background = Background("writer", step)
    with caplog.at_level(logging.ERROR):
        background.start()
        until(lambda: background.last_error)
    stop_all([background])
    assert Health([background]).reasons() == ["writer: no disk"]
    assert sum("writer failed" in record.message for record in caplog.records) == 1
    assert background.failures == 1


def test_waiting_steps_stop_at_once_and_a_stuck_one_is_left_after_a_second() -> None:
    release = threading.Event()
    started = threading.Event()

    def stuck() -> None:
        started.set()
        release.wait(60)

    waiting, hanging = Background("waiting", lambda: 3600.0), Background("hanging", stuck)
    for background in (waiting, hanging):
        background.start()
    started.wait(60)
    asked = time.monotonic()
    stop_all([waiting, hanging])
    assert time.monotonic() - asked < 30
    release.set()
    hanging.join(60)


def test_an_application_that_is_not_started_has_no_thread_and_touches_no_signal() -> None:
    threads, handler = threading.enumerate(), signal.getsignal(signal.SIGTERM)
    create_app(Config(), start=False)
    assert threading.enumerate() == threads
    assert signal.getsignal(signal.SIGTERM) is handler
