"""Takes accepted posts, keeps them: `keep` returns when a post is on disk, `step` carries what came since into
ClickHouse.

What isn't in ClickHouse is in the journal; a start finds it there and carries on. A post that is carried twice, since
the process ended in between, is the same rows again, which count once.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from ..points import Points
from . import NotKept, StoreAway, TooSlow
from .columns import event_time_of, table_of
from .journal import Journal, JournalError, Sealed
from .kept import Kept, Parts, pack, unpack
from .readers import Readers
from .records import Damage, read
from .rollups import Rollups
from .tables import POINTS, POSTS, TIERS, Days, each_row_once, make_tables
from .target import Client, Target

log = logging.getLogger(__name__)
for noisy in ("urllib3.connectionpool", "clickhouse_connect"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL)  # they log each try, which is told here once

AWAY = (ClickHouseError, OSError)
"""What is tried again: nothing is lost meanwhile."""

Restore = Callable[[dict[str, Any], float], None]
"""Gets a host's latest post and when it came, Unix seconds."""

FLUSH_S = 1.0
RETRY_S = 5.0
REST = 4.0
"""So many times as long as an insert took does the next one wait: fewer and larger parts cost ClickHouse less."""
LONGEST_PAUSE_S = 5.0
MOST_POSTS_AT_ONCE = 5_000
POST_EVERY_S = 60.0
"""A host's latest post is carried this often; what is newer is in the journal, or comes again within seconds."""
BEHIND_AFTER_S = 15.0
LONGEST_TEXT = 200
LONGEST_QUESTION_S = 10
OUT_OF_TIME = "TIMEOUT_EXCEEDED"
SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([^\"')\n]+)")


class Store:
    """Opening it takes the journal's folder. Raises JournalInUse, OSError."""

    def __init__(
        self,
        target: Target,
        journal: Journal,
        days: Days,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        longest_question_s: int = LONGEST_QUESTION_S,
    ) -> None:
        self._target, self._journal, self._days = target, journal, days
        self._monotonic, self._wall = monotonic, wall
        self._flushing = threading.Lock()
        """Of `_writer` and all that carries."""
        self._writer: Client | None = None
        self._longest_question_s = longest_question_s
        self._readers = Readers(target.connect, longest_question_s)
        self.rollups = Rollups(target, self._flushing, wall, monotonic)
        self._is_closed = False
        self._is_open = False
        """Whether what was there before the start is carried and restored."""
        self._unposted: dict[str, Kept] = {}
        """Each host's latest post that isn't in the store yet."""
        self._posted_at: dict[str, float] = {}
        self._forgotten: set[str] = set()
        """Hosts whose latest post is to be taken out of the store."""
        self._carried_at_s = monotonic()
        self._trouble: str | None = None
        self._points = ""
        """`metric_points` in a question, so that a repeated row counts once."""

    def keep(self, near: bytes, far: bytes, points: Points) -> None:
        """Returns when the post, JSON in two objects, is on disk. Raises NotKept."""
        kept = Kept(Parts(near, far), points, self._wall())
        try:
            self._journal.append(pack(kept.document, kept.received_s), kept)
        except JournalError as error:
            raise NotKept(str(error)) from None

    def forget(self, host: str) -> None:
        """It isn't restored at the next start, once the next step is done; its history stays."""
        self._forgotten.add(host)

    def step(self, restore: Restore) -> float:
        """Carries what the journal has; the seconds until the next time. The first time `restore` gets what was known
        before the start.
        """
        began = self._monotonic()
        try:
            if self._is_open:
                self.flush()
            else:
                self._begin(restore)
        except AWAY as error:
            self._note_trouble(error)
            return RETRY_S
        if self._trouble:
            log.info("the store takes what waited: all is in %s", self._target.shown)
        self._trouble = None
        return min(LONGEST_PAUSE_S, max(FLUSH_S, REST * (self._monotonic() - began)))

    def _begin(self, restore: Restore) -> None:
        """The journal's posts are newer than the store's."""
        newest: dict[str, Kept] = {}
        self.flush(lambda kept: newest.update((each.points.host, each) for each in kept))
        for kept in newest.values():
            restore(kept.document.read(), kept.received_s)
        for post, received_s in self._latest_posts():
            restore(orjson.loads(post), received_s)
        self._is_open = True

    def flush(self, see: Callable[[list[Kept]], None] | None = None) -> None:
        """`see` gets what is carried. Raises what ClickHouse raises."""
        with self._flushing:
            if self._is_closed:
                return
            sealed_at_s = self._monotonic()
            for files in _portions(self._journal.seal()):
                kept = [each for file in files for each in self._read(file)]
                if see:
                    see(kept)
                if kept:
                    self._insert(self._client(), kept)
                for file in files:
                    self._journal.remove(file.number)
            self._take_out_forgotten()
            if self._writer is not None:  # else nothing waited, and nobody knows whether the store is there
                self._carried_at_s = sealed_at_s

    def carry_what_waits(self) -> None:
        """So that an answer has what was acknowledged up to now; at most once in FLUSH_S, and not while it fails.
        Raises StoreAway.
        """
        if not self._is_open:
            raise StoreAway("the store is not open yet")
        if not self._trouble and self._monotonic() - self._carried_at_s > FLUSH_S:
            try:
                self.flush()
            except AWAY as error:
                raise StoreAway(_worded(error)) from None

    def ask(self, sql: str, parameters: dict[str, Any]) -> Any:
        """An Arrow table. `{table}` in the SQL stands for `metric_points`, a repeated row once, and
        `{metric_points_1m}` and its like for the tiers. Raises StoreAway, TooSlow.
        """
        sql = sql.replace("{table}", self._points)
        for tier in TIERS:
            sql = sql.replace(f"{{{tier.table}}}", f"{self._target.database}.{tier.table} FINAL")
        # A repeated row has the first one's time, and so its partition.
        settings = f"max_execution_time = {self._longest_question_s}, do_not_merge_across_partitions_select_final = 1"
        if self._is_closed or not self._is_open:
            raise StoreAway("the store is not open")
        try:
            with self._readers.one() as reader:
                return reader.query_arrow(f"{sql} SETTINGS {settings}", parameters=parameters)
        except AWAY as error:
            if OUT_OF_TIME in str(error):
                raise TooSlow(self._longest_question_s) from None
            raise StoreAway(_worded(error)) from None

    def _latest_posts(self) -> list[tuple[bytes, float]]:
        """Of each host: its post as JSON, and when it came, Unix seconds. Raises clickhouse_connect's errors."""
        sql = f"SELECT post, toUnixTimestamp64Milli(received) AS ms FROM {self._target.database}.{POSTS} FINAL"  # noqa: S608  # no outsider's text
        with self._flushing:
            rows = self._client().query_arrow(sql, {}).to_pylist()
        return [(row["post"].encode(), row["ms"] / 1000) for row in rows if row["post"]]

    def troubles(self) -> list[str]:
        """What a person should know, and /health answers 503 for."""
        found = [self._journal.trouble] if self._journal.trouble else []
        behind_s = self._monotonic() - self._carried_at_s
        if self._trouble and behind_s > BEHIND_AFTER_S:
            found.append(
                f"The store is {behind_s:.0f} s behind ({self._trouble}). {self._journal.bytes >> 20} MiB wait on "
                "disk, and nothing is lost until [store] journal_mib is full."
            )
        return found

    def close(self) -> None:
        """What wasn't carried stays in the journal for the next start."""
        with contextlib.suppress(*AWAY):
            # Not where nothing was inserted yet: what that needs can't be loaded any more while Python ends.
            if self._target.folder and self._posted_at and not self._trouble:
                self.flush()
                self._insert_posts(self._client(), self._unposted)
        with self._flushing:
            self._is_closed = True
            self.rollups.end()
            if self._target.folder and self._writer is not None:
                with contextlib.suppress(*AWAY):  # all that the engine within this process does is ours
                    self._writer.command("KILL QUERY WHERE query_id != queryID() ASYNC")
        self.rollups.close()
        self._readers.close()
        with self._flushing:
            if self._writer is not None:
                self._writer.close()
            self._writer = None
            self._journal.close()

    def _client(self) -> Client:
        """The one that writes; `_flushing` is held."""
        if self._writer is None:
            client = self._target.connect()
            raw_days = make_tables(client, self._target.database, self._days)
            self._points = each_row_once(client, self._target.database)
            self.rollups.open(client, self._points, (raw_days, *self._days.tiers))
            self._writer = client
        return self._writer

    def _note_trouble(self, error: Exception) -> None:
        text = _worded(error)
        if not self._trouble:
            log.warning("the store %s takes nothing, the journal keeps it: %s", self._target.shown, text)
        self._trouble = text
        if self._target.folder is None:
            self._writer = None

    def _read(self, file: Sealed) -> list[Kept]:
        if file.items is not None:
            return file.items
        return list(self._read_again(file.number))

    def _read_again(self, number: int) -> Iterator[Kept]:
        """From disk; a file with damage is set aside, and what of it can be read is given."""
        path = self._journal.path(number)
        damaged = 0
        for part in read(path):
            if isinstance(part, Damage):
                damaged += 0 if part.is_tail else part.length
                continue
            try:
                yield unpack(part)
            except (ValueError, KeyError, TypeError):
                damaged += len(part)
        if damaged:
            aside = self._journal.copy_aside(number, f"damaged-{int(self._wall())}")
            log.error("%d bytes of %s are damaged: it is kept as %s, all else of it was used", damaged, path, aside)

    def _insert(self, client: Client, kept: Sequence[Kept]) -> None:
        client.insert_arrow(
            f"{self._target.database}.{POINTS}", table_of([(each.points, each.received_s) for each in kept])
        )
        self.rollups.note(client, ((each.points.host, event_time_of(each.points, each.received_s)) for each in kept))
        self._unposted |= {each.points.host: each for each in kept}
        self._insert_posts(
            client,
            {
                host: each
                for host, each in self._unposted.items()
                if each.received_s - self._posted_at.get(host, 0) >= POST_EVERY_S
            },
        )

    def _insert_posts(self, client: Client, due: dict[str, Kept]) -> None:
        if not due:
            return
        received = [int(each.received_s * 1000) for each in due.values()]
        rows = {
            "host": pa.array(list(due)),
            "received": pa.array(received, pa.timestamp("ms", tz="UTC")),
            "post": pa.array([orjson.dumps(each.document.read()).decode() for each in due.values()]),
        }
        client.insert_arrow(f"{self._target.database}.{POSTS}", pa.table(rows))
        self._posted_at |= {host: each.received_s for host, each in due.items()}
        for host in list(due):
            self._unposted.pop(host, None)

    def _take_out_forgotten(self) -> None:
        """By an empty post, which is newer than the one that is there."""
        forgotten = list(self._forgotten)
        if not forgotten:
            return
        now_ms = [int(self._wall() * 1000)] * len(forgotten)
        rows = {
            "host": pa.array(forgotten),
            "received": pa.array(now_ms, pa.timestamp("ms", tz="UTC")),
            "post": pa.array([""] * len(forgotten)),
        }
        self._client().insert_arrow(f"{self._target.database}.{POSTS}", pa.table(rows))
        for host in forgotten:
            self._forgotten.discard(host)
            self._posted_at.pop(host, None)
            self._unposted.pop(host, None)


def _worded(error: Exception) -> str:
    """ClickHouse tells much: the first line says what it is, and of a lost connection the system's error."""
    text = str(error).split("\n")[0]
    found = SYSTEM_ERROR.search(text)
    return found[1] if found else text[:LONGEST_TEXT]


def _portions(files: list[Sealed]) -> Iterator[list[Sealed]]:
    """What is inserted together: what this process has in memory, and each older file alone."""
    together: list[Sealed] = []
    posts = 0
    for file in files:
        if file.items is None:
            yield [file]
            continue
        together.append(file)
        posts += len(file.items)
        if posts >= MOST_POSTS_AT_ONCE:
            yield together
            together, posts = [], 0
    if together:
        yield together
