"""Takes questions in SQL, gives what ClickHouse answers: many at a time, none for longer than its time, nor for
somebody who has left.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Generator
from typing import Any

from . import NobodyWaits, StoreAway, TooSlow
from .mender import Mender
from .readers import Readers
from .refusals import AWAY
from .tables import EVENTS, TIERS
from .target import Target
from .wording import worded

LONGEST_S = 10
LOOK_EVERY_S = 1.0
OUT_OF_TIME = "TIMEOUT_EXCEEDED"


class Questions:
    def __init__(self, target: Target, mender: Mender, longest_s: int) -> None:
        self._target, self._mender, self._longest_s = target, mender, longest_s
        self._readers = Readers(target.connect, longest_s)
        self._is_ending = False
        self._asker = threading.local()
        self._running: dict[str, Callable[[], bool]] = {}
        """By the name that ClickHouse knows it by, of what is asked now, whether who asked has left."""

    @contextlib.contextmanager
    def asked_by(self, has_left: Callable[[], bool]) -> Generator[None]:
        """All that this thread asks meanwhile."""
        self._asker.has_left = has_left
        try:
            yield
        finally:
            del self._asker.has_left

    def ask(self, sql: str, points: str, parameters: dict[str, Any]) -> Any:
        """An Arrow table. `points` takes the place of `{table}`. Raises StoreAway, TooSlow."""
        has_left: Callable[[], bool] = getattr(self._asker, "has_left", lambda: False)
        name = uuid.uuid4().hex
        self._running[name] = has_left
        try:
            return self._ask(sql, points, parameters, name)
        except StoreAway:
            if has_left():
                raise NobodyWaits("who asked has left") from None
            raise
        finally:
            del self._running[name]

    def _ask(self, sql: str, points: str, parameters: dict[str, Any], name: str) -> Any:
        sql = sql.replace("{table}", points)
        for table in (*(tier.table for tier in TIERS), EVENTS):
            sql = sql.replace(f"{{{table}}}", f"{self._target.database}.{table} FINAL")
        # A repeated row has the first one's time, and so its partition.
        settings = f"max_execution_time = {self._longest_s}, do_not_merge_across_partitions_select_final = 1"
        settings += f", log_comment = '{name}'"
        while True:
            if self._is_ending:
                raise StoreAway("the server ends")
            try:
                with self._readers.one() as reader:
                    try:
                        return reader.query_arrow(f"{sql} SETTINGS {settings}", parameters=parameters)
                    except AWAY as error:
                        if not self._mender.set_part_aside(reader, error):
                            raise
            except AWAY as error:
                if OUT_OF_TIME in str(error):
                    raise TooSlow(self._longest_s) from None
                raise StoreAway(worded(error)) from None

    def end_unwanted(self) -> float:
        """Breaks off what is asked for somebody who has left; the seconds until the next look."""
        left = [name for name, has_left in list(self._running.items()) if has_left()]
        if left:
            with contextlib.suppress(*AWAY), contextlib.closing(self._target.connect()) as client:
                for name in left:
                    client.command(f"KILL QUERY WHERE Settings['log_comment'] = '{name}' ASYNC")
        return LOOK_EVERY_S

    def end(self, *, is_open: bool) -> None:
        """Breaks off what is asked now; a server's ClickHouse ends it by itself."""
        self._is_ending = True
        if self._target.folder and is_open:
            with contextlib.suppress(*AWAY), contextlib.closing(self._target.connect()) as client:
                client.command("KILL QUERY WHERE query_kind = 'Select' AND query_id != queryID() ASYNC")

    def close(self) -> None:
        """Those that are asked end first."""
        self._readers.close()
