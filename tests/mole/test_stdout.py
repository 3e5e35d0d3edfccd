"""Posts on stdout, with readers that are slow or away."""

from __future__ import annotations

import json
import os
import pty
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole.config import StdOutLoggerSettings
from cluster_dash_mole.stdout import StdOutLogger
from mole.peers import PROMPT_S, wait_until
from mole.test_table import post as table_post

POST: dict[str, Any] = {"hostname": "h", "mole": {"id": "x"}}


class Pipe:
    """A pipe, or a terminal, that a StdOutLogger writes to."""

    def __init__(self, ends: tuple[int, int]) -> None:
        self.read_end, self.write_end = ends
        self.logger = StdOutLogger(StdOutLoggerSettings(True, 0), 1, self.write_end)

    def close(self) -> None:
        self.logger.close()
        wait_until(lambda: not any(thread.name == "StdOutLogger" for thread in threading.enumerate()))
        os.close(self.read_end)
        os.close(self.write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe(os.pipe())
    yield pipe
    pipe.close()


def test_a_pipe_gets_one_json_object_a_line(pipe: Pipe) -> None:
    pipe.logger.send(POST, 0)
    line = os.read(pipe.read_end, 65536)
    assert line.endswith(b"}\n")
    assert json.loads(line) == {"hostname": "h", "mole": {"id": "x", "seq": 1, "interval_s": 1}}


def test_a_reader_that_does_not_read_blocks_nobody(pipe: Pipe) -> None:
    started = time.monotonic()
    for number in range(20):
        pipe.logger.send({**POST, "ballast": "x" * 100_000}, number)
    assert time.monotonic() - started < PROMPT_S
    os.set_blocking(pipe.read_end, False)
    # let the writer's thread go
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        try:
            os.read(pipe.read_end, 1_000_000)
        except BlockingIOError:
            time.sleep(0.01)


def test_a_reader_that_goes_away_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_end, write_end = os.pipe()
    pipe = Pipe((os.open(tmp_path, os.O_RDONLY), write_end))
    os.close(read_end)
    for number in range(3):
        pipe.logger.send(POST, number)
        wait_until(lambda: pipe.logger._waiting is None)  # pyright: ignore[reportPrivateUsage]
    wait_until(lambda: "stdout can't be written" in caplog.text)
    pipe.close()
    assert caplog.text.count("stdout can't be written") == 1


def test_a_terminal_gets_a_table() -> None:
    pipe = Pipe(pty.openpty())
    pipe.logger.send({**table_post(name="\x1b[31mred"), "mole": {}}, 0)
    text = os.read(pipe.read_end, 65536)
    assert b"molgpu02" in text
    assert b"\x1b" not in text
    pipe.close()
