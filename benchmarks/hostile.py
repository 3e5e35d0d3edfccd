"""`python benchmarks/hostile.py`: what each body of tests/hostile.py costs the server, in CPU time of this process.

The most that one may cost is 50 ms on a machine that does nothing else.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import hostile
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config

ROUNDS = 5
SHOWN = 25
MOST_MS = 50


def cpu_ms(client: FlaskClient, entry: hostile.Hostile) -> tuple[float, int]:
    """The least of ROUNDS, since what the machine does besides only adds; and the status."""
    measured: list[float] = []
    status = 0
    for _ in range(ROUNDS):
        started = time.process_time()
        answer: Any = client.post(entry.path, data=entry.body, headers={"Content-Type": hostile.JSON} | entry.headers)
        measured.append((time.process_time() - started) * 1e3)
        status = answer.status_code
    return min(measured), status


def main() -> None:
    logging.disable()  # a line for each refusal
    client = create_app(Config(access=Access(passcode=hostile.PASSCODE)), start=False).test_client()
    costs = [(*cpu_ms(client, entry), entry) for entry in [*hostile.corpus(), *hostile.answered_batches()]]
    costs.sort(key=lambda cost: -cost[0])
    print(f"{len(costs)} hostile bodies, the {SHOWN} that cost most:")
    for ms, status, entry in costs[:SHOWN]:
        print(f"{ms:8.1f} ms  {status}  {len(entry.body):>9,} bytes  {entry.name}")
    print(f"{sum(ms > MOST_MS for ms, _, _ in costs)} of them above {MOST_MS} ms")


if __name__ == "__main__":
    main()
