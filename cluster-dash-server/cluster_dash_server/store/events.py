"""Takes what started, gives the rows of `events`: why nothing came for a while can be told by what happened at its end.

A mole names in each post the boot of its host and its own start (`epoch`), and tells when its host was asleep; the
server notes its own starts. What is noted waits here until the store takes it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .dating import dated
from .tables import EVENTS
from .target import Client

if TYPE_CHECKING:
    from .store import Store

HOST_BOOT, HOST_SLEEP, MOLE_START, SERVER_START = "host boot", "host sleep", "mole start", "server start"
MOST_WAITING = 10_000
MOST_TOLD = 1_000


class Event(NamedTuple):
    time_s: float
    """Unix seconds."""
    kind: str
    host: str
    """Empty where it is of the server."""
    data: dict[str, Any]


class Events:
    """Safe for threads."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._waiting: deque[Event] = deque(maxlen=MOST_WAITING)
        self._lock = threading.Lock()

    def note(self, event: Event) -> None:
        with self._lock:
            self._waiting.append(event)

    def note_start(self, host: str, before: str, epoch: str, timestamp: float, since_boot_s: float | None) -> None:
        """Of a mole whose post came now; `before` and `epoch` as posts have them, the older and the newer. A boot is
        told as well where it is another one: as of when the host's own clock says, else as of this post.
        """
        at_s = dated(timestamp, self._wall())
        if before.partition(".")[0] != epoch.partition(".")[0]:
            self.note(Event(max(0.0, at_s - (since_boot_s or 0.0)), HOST_BOOT, host, {}))
        self.note(Event(at_s, MOLE_START, host, {"epoch": epoch}))

    def note_sleep(self, host: str, woke_s: float, slept_s: float) -> None:
        """As of when it was awake again, by its clock; `off_since` is when it fell asleep."""
        at_s = dated(woke_s, self._wall())
        self.note(Event(at_s, HOST_SLEEP, host, {"off_since": max(0.0, at_s - slept_s)}))

    def carry(self, client: Client, database: str) -> None:
        """Raises clickhouse_connect's errors, and keeps what wasn't taken."""
        with self._lock:
            waiting = list(self._waiting)
        if not waiting:
            return
        import pyarrow as pa  # where there is no store, it is never loaded

        rows = {
            "time": pa.array([int(each.time_s * 1000) for each in waiting], pa.timestamp("ms", tz="UTC")),
            "kind": pa.array([each.kind for each in waiting]),
            "host": pa.array([each.host for each in waiting]),
            "data": pa.array([orjson.dumps(each.data).decode() for each in waiting]),
        }
        client.insert_arrow(f"{database}.{EVENTS}", pa.table(rows))
        with self._lock:
            taken = set(map(id, waiting))
            self._waiting = deque((each for each in self._waiting if id(each) not in taken), maxlen=MOST_WAITING)


def read_events(store: Store, host: str, start_s: float, end_s: float) -> list[Event]:
    """Of a host and of the server, in order of time; of many the newest. `end_s` isn't included. Raises StoreAway."""
    found = store.ask(
        f"""SELECT toUnixTimestamp64Milli(time) / 1000 AS time_s, toString(kind) AS kind, host, data FROM {{events}}
        WHERE host IN ('', {{host:String}}) AND time >= fromUnixTimestamp64Milli({{start:Int64}})
        AND time < fromUnixTimestamp64Milli({{end:Int64}}) ORDER BY time_s DESC LIMIT {MOST_TOLD}""",  # noqa: S608
        {"host": host, "start": int(start_s * 1000), "end": int(end_s * 1000)},
    ).to_pylist()
    return [Event(each["time_s"], each["kind"], each["host"], orjson.loads(each["data"])) for each in reversed(found)]
