"""Takes accepted posts, keeps them: `keep` returns when a post is on disk, `step` carries what came since into
ClickHouse.

What isn't in ClickHouse is in the journal; a start finds it there and carries on. A post that is carried twice, since
the process ended in between, is the same rows again, which count once.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from ..logs import quoted
from ..points import Points
from . import NotKept, StoreAway, TooSlow
from .columns import Columns, event_time_of
from .damage import NOT_OPENED, detach, move_all, move_detached, part_in
from .events import SERVER_START, Event, Events
from .journal import Journal, JournalError, Sealed
from .kept import Kept, NotOurs, Parts, pack, unpack
from .numbers import Number, Numbers, load_numbers
from .readers import Readers
from .records import Damage, read
from .refusals import NO_TABLE, Refused, is_refusal, sift
from .rollups import Rollups
from .tables import EVENTS, POINTS, POSTS, TIERS, Days, each_row_once, make_tables, merge_seldom
from .target import Client, Target
from .transfer import Transfer
from .wording import worded

log = logging.getLogger(__name__)
for noisy in ("urllib3.connectionpool", "clickhouse_connect"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL)  # they log each try, which is told here once

T = TypeVar("T")
AWAY = (ClickHouseError, OSError)
"""What is tried again: nothing is lost meanwhile."""
FAILED = (*AWAY, *NO_TABLE)

Restore = Callable[[dict[str, Any], float, Numbers], None]
"""Gets a host's latest post, when it came, Unix seconds, and which of its posts are kept."""
NUMBERS = "kept_numbers"
"""What the latest post of a host says beside what was sent: `Numbers.dump`. So it is as old or as new as the store."""

FLUSH_S = 1.0
RETRY_S = 5.0
REST = 20.0
"""So many times as long as an insert took does the next one wait: fewer and larger parts cost ClickHouse less."""
LONGEST_PAUSE_S = 5.0
UNMERGED = {"optimize_on_insert": 0}
"""What is repeated within one insert goes when parts are merged, as what is repeated in two; looking for it at each
insert takes as long as the insert.
"""
MOST_POSTS_AT_ONCE = 5_000
POST_EVERY_S = 60.0
"""A host's latest post is carried this often; what is newer is in the journal, or comes again within seconds."""
BEHIND_AFTER_S = 15.0
TRIES = 3
"""Before what ClickHouse doesn't open counts as damaged, and what it refuses as refused for good."""
MOST_NOTES = 5
LONGEST_QUESTION_S = 10
OUT_OF_TIME = "TIMEOUT_EXCEEDED"
CLOCK_STEP_S = 86_400.0
"""So far a clock that is set may bring nothing to its end of life."""
NO_SPACE = "NOT_ENOUGH_SPACE"


class Facts(NamedTuple):
    """How the store is."""

    is_taking: bool
    """Whether what was carried last was taken."""
    behind_s: float
    """Since all that was acknowledged was there."""
    journal_bytes: int
    journal_most_bytes: int


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
        """Of `_writer`, `_columns` and all that carries."""
        self._writer: Client | None = None
        self._columns = Columns()
        self._longest_question_s = longest_question_s
        self._readers = Readers(target.connect, longest_question_s)
        self.rollups = Rollups(target, self._flushing, wall, monotonic)
        self._is_closed = False
        self._answers_no_more = False
        self._is_open = False
        """Whether what was there before the start is carried and restored."""
        self._has_others_hosts = False
        """Whether somebody else has put latest posts of hosts into the store."""
        self._unposted: dict[str, Kept] = {}
        """Each host's latest post that isn't in the store yet."""
        self._numbers: dict[str, Numbers] = {}
        """Of each host's posts that are in the store."""
        self._posted_at: dict[str, float] = {}
        self._forgotten: set[str] = set()
        """Hosts whose latest post is to be taken out of the store."""
        self.events = Events()
        self._started_at = wall()
        self._carried_at_s = monotonic()
        self._trouble: str | None = None
        self._points = ""
        """`metric_points` in a question, so that a repeated row counts once."""
        self._offset_s = wall() - monotonic()
        self._is_removing = True
        self._failures = 0
        """Of the steps since the last that went well."""
        self._notes: list[str] = []

    def keep(self, near: bytes, far: bytes, points: Points, number: Number | None, is_newest: bool) -> None:
        """Returns when the post, JSON in two objects, is on disk. `is_newest`: it is the latest of its host. Raises
        NotKept.
        """
        kept = Kept(Parts(near, far), points.packed(), self._wall(), number, is_newest)
        try:
            self._journal.append(pack(kept), kept)
        except JournalError as error:
            raise NotKept(str(error)) from None

    @property
    def is_open(self) -> bool:
        """Whether what was there before the start is carried and restored."""
        return self._is_open

    def forget(self, host: str) -> None:
        """It isn't restored at the next start, once the next step is done; its history stays."""
        self._forgotten.add(host)

    def step(self, restore: Restore) -> float:
        """Carries what the journal has; the seconds until the next time. The first time `restore` gets what was known
        before the start.
        """
        began = self._monotonic()
        if self._journal.trouble and self._journal.has_room():
            log.info("posts are taken again")
        try:
            if not self._is_open:
                self._begin(restore)
            else:
                self._mind_clock()
                self.flush()
                if self._has_others_hosts:
                    self._restore(restore, self._latest_known())
        except FAILED as error:
            self._failures += 1
            self._note_trouble(error)
            self._set_damage_aside(error)
            return RETRY_S
        self._failures = 0
        if self._trouble:
            log.info("the store takes what waited: all is in %s", self._target.shown)
        self._trouble = None
        return min(LONGEST_PAUSE_S, max(FLUSH_S, REST * (self._monotonic() - began)))

    def _mind_clock(self) -> None:
        """ClickHouse removes what is too old by the wall clock. Where somebody set that by more than a day, nothing is
        removed until it is back or the server is started again. Raises clickhouse_connect's errors.
        """
        is_right = abs(self._wall() - self._monotonic() - self._offset_s) < CLOCK_STEP_S
        if self._target.folder is None or is_right == self._is_removing:
            return
        with self._flushing:
            self._client().command(f"SYSTEM {'START' if is_right else 'STOP'} TTL MERGES")
        self._is_removing = is_right
        if not is_right:
            self._note("The clock was set by more than a day: no history is removed until it is back or a restart.")

    def _begin(self, restore: Restore) -> None:
        """The journal's posts are newer than the store's."""
        latest = self._latest_known()
        newest: dict[str, Kept] = {}
        self.flush(lambda kept: newest.update((each.points.host, each) for each in kept if each.is_newest))
        latest |= {host: (kept.document.read(), kept.received_s) for host, kept in newest.items()}
        self._restore(restore, latest)
        self._note_own_start([received_s for _, received_s in latest.values()])
        self._is_open = True

    def _latest_known(self) -> dict[str, tuple[dict[str, Any], float]]:
        """Of each host the store's latest post, and when it came."""
        is_whole = not self._note_left_out()
        latest = {host: (orjson.loads(post), received_s) for host, post, received_s in self._latest_posts()}
        for host, (post, _) in latest.items():
            numbers = post.pop(NUMBERS, ())
            if is_whole:  # else the moles are asked for all that they have
                self._note_kept_before(host, numbers)
        return latest

    def _restore(self, restore: Restore, latest: dict[str, tuple[dict[str, Any], float]]) -> None:
        for host, (post, received_s) in latest.items():
            try:
                restore(post, received_s, self._numbers.get(host) or Numbers())
            except (LookupError, ValueError, TypeError, AttributeError):
                log.exception("the latest post of %s can't be used: the host is back with its next one", quoted(host))
        self._has_others_hosts = False

    def _note_kept_before(self, host: str, dumped: Any) -> None:
        try:
            self._numbers.setdefault(host, Numbers()).merge(load_numbers(dumped))
        except (ValueError, TypeError):
            log.error("what the store says of the posts of %s that it has can't be read", quoted(host))

    def _note_own_start(self, received_s: list[float]) -> None:
        """With since when this server may have been off: whatever came before this start came before that too."""
        before = max((each for each in received_s if each < self._started_at), default=None)
        data = {} if before is None else {"off_since": before}
        self.events.note(Event(self._started_at, SERVER_START, "", data))

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
                    self._insert(kept)
                for file in files:
                    self._journal.remove(file.number)
            self._take_out_forgotten()
            self.events.carry(self._client(), self._target.database)
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
            except FAILED as error:
                raise StoreAway(worded(error)) from None

    def carry_all(self) -> None:
        """What was acknowledged up to now, each host's latest post too. Raises StoreAway."""
        if not self._is_open:
            raise StoreAway(self._trouble or "the store is not open yet")
        try:
            self.flush()
            with self._flushing:
                self._insert_posts(self._unposted)
        except FAILED as error:
            raise StoreAway(worded(error)) from None

    def transfer(self) -> Transfer:
        """For a backup, beside all else that goes on. To be closed."""
        return Transfer(self._target, self.folder, self.carry_all)

    @property
    def folder(self) -> Path:
        """Where it keeps its files, the journal's at least."""
        return self._journal.folder.parent

    def facts(self) -> Facts:
        behind_s = self._monotonic() - self._carried_at_s
        return Facts(not self._trouble, behind_s, self._journal.bytes, self._journal.most_bytes)

    def look_for_hosts(self) -> None:
        """The next step gives those that nobody knows to `restore`, as a start does."""
        self._has_others_hosts = True

    def ask(self, sql: str, parameters: dict[str, Any]) -> Any:
        """An Arrow table. `{table}` in the SQL stands for `metric_points`, a repeated row once; `{metric_points_1m}`
        and its like for the tiers, `{events}` for that. Raises StoreAway, TooSlow.
        """
        sql = sql.replace("{table}", self._points)
        for table in (*(tier.table for tier in TIERS), EVENTS):
            sql = sql.replace(f"{{{table}}}", f"{self._target.database}.{table} FINAL")
        # A repeated row has the first one's time, and so its partition.
        settings = f"max_execution_time = {self._longest_question_s}, do_not_merge_across_partitions_select_final = 1"
        if self._is_closed or not self._is_open:
            raise StoreAway("the store is not open")
        while True:
            if self._answers_no_more:
                raise StoreAway("the server ends")
            try:
                with self._readers.one() as reader:
                    try:
                        return reader.query_arrow(f"{sql} SETTINGS {settings}", parameters=parameters)
                    except AWAY as error:
                        if not self._set_part_aside(reader, error):
                            raise
            except AWAY as error:
                if OUT_OF_TIME in str(error):
                    raise TooSlow(self._longest_question_s) from None
                raise StoreAway(worded(error)) from None

    def _latest_posts(self) -> list[tuple[str, bytes, float]]:
        """Of each host: name, post as JSON, when it came, Unix seconds. Raises clickhouse_connect's errors."""
        sql = f"SELECT host, post, toUnixTimestamp64Milli(received) AS ms FROM {self._target.database}.{POSTS} FINAL"  # noqa: S608  # no outsider's text
        with self._flushing:
            rows = self._client().query_arrow(sql, {}).to_pylist()
        return [(row["host"], row["post"].encode(), row["ms"] / 1000) for row in rows if row["post"]]

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

    def notes(self) -> list[str]:
        """What a person should know of since the start, and the server does its work all the same."""
        return self._notes.copy()

    def _note(self, text: str) -> None:
        log.error("%s", text)
        self._notes = [*self._notes, text][-MOST_NOTES:]

    def _set_damage_aside(self, error: Exception) -> None:
        """What a step failed for."""
        folder = self._target.folder
        if folder is None or self._set_part_aside(self._writer, error):
            return
        if NOT_OPENED in str(error) and self._failures >= TRIES and self._journal.has_room():
            try:
                aside = move_all(folder / "clickhouse", self._wall())
            except OSError as why:
                log.error("the store is damaged and can't be set aside: %s", worded(why))
                return
            if aside:
                self._failures = 0
                self._note(f"The store could not be opened and was set aside as {aside}: history begins anew.")

    def _set_part_aside(self, client: Client | None, error: Exception) -> bool:
        """Whether a question that failed may be asked again."""
        part = part_in(error)
        if client is None or self._target.folder is None or part is None:
            return False
        try:
            detach(client, part)
            moved = move_detached(client, self._target.folder, self._wall(), part)
        except AWAY as why:
            log.error("%s of the store is damaged and can't be set aside: %s", part.name, worded(why))
            return False
        self._numbers = {}  # so that the next start asks the moles for all that they have
        self._note(f"A part of the store was damaged and is set aside: {', '.join(map(str, moved))}.")
        return True

    def _note_left_out(self) -> list[Path]:
        """Where the parts are that ClickHouse didn't find whole at its start. Raises clickhouse_connect's errors."""
        if self._target.folder is None:
            return []
        with self._flushing:
            moved = move_detached(self._client(), self._target.folder, self._wall())
        for path in moved:
            self._note(f"A part of the store was damaged and is set aside: {path}.")
        return moved

    def end_questions(self) -> None:
        """Breaks off what is asked now, so that the process can end."""
        self._answers_no_more = True
        if self._target.folder and self._is_open:
            with contextlib.suppress(*AWAY), contextlib.closing(self._target.connect()) as client:
                client.command("KILL QUERY WHERE query_kind = 'Select' AND query_id != queryID() ASYNC")

    def close(self) -> None:
        """What wasn't carried stays in the journal for the next start."""
        with contextlib.suppress(*FAILED):
            # Not where nothing was inserted yet: what that needs can't be loaded any more while Python ends.
            if self._target.folder and self._posted_at and not self._trouble:
                self.flush()
                self._insert_posts(self._unposted)
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
            if self._target.folder:
                merge_seldom(client, self._target.database)
            self._points = each_row_once(client, self._target.database)
            self.rollups.open(client, self._points, (raw_days, *self._days.tiers))
            self._writer = client
        return self._writer

    def _note_trouble(self, error: Exception) -> None:
        text = worded(error)
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
            except NotOurs:
                damaged += len(part)
        if damaged:
            aside = self._journal.copy_aside(number, f"damaged-{int(self._wall())}")
            self._note(f"{damaged} bytes of {path} are damaged: it is kept as {aside.name}, all else of it was used.")

    def _insert_points(self, kept: Sequence[Kept]) -> None:
        self._insert_rows(
            POINTS, kept, lambda some: self._columns.table_of([(each.points, each.received_s) for each in some])
        )

    def _insert_rows(self, table: str, rows: Sequence[T], table_of_rows: Callable[[Sequence[T]], pa.Table]) -> None:
        """ClickHouse wants room for what isn't packed yet: where the disk is nearly full, less at once still fits."""
        try:
            self._client().insert_arrow(f"{self._target.database}.{table}", table_of_rows(rows), settings=UNMERGED)
        except AWAY as error:
            if NO_SPACE not in str(error) or len(rows) == 1:
                raise
            for some in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                self._insert_rows(table, some, table_of_rows)

    def _insert(self, kept: Sequence[Kept]) -> None:
        try:
            self._insert_points(kept)
        except FAILED as error:
            if self._failures < TRIES - 1 or not is_refusal(error):
                raise
            self._keep_aside(sift(kept, self._insert_points))
        came = ((each.points.host, event_time_of(each.points, each.received_s)) for each in kept)
        self.rollups.note(self._client(), came)
        self._note_kept(kept)
        self._insert_posts(
            {
                host: each
                for host, each in self._unposted.items()
                if each.received_s - self._posted_at.get(host, 0) >= POST_EVERY_S
            }
        )

    def _keep_aside(self, refused: Sequence[Refused]) -> None:
        """What ClickHouse takes in no case, so that all else is taken. Raises OSError."""
        if refused:
            path = self._journal.keep_aside([pack(each.kept) for each in refused], f"refused-{int(self._wall())}")
            why = worded(refused[0].why)
            self._note(f"{len(refused)} posts are in no chart, as the store refuses them ({why}): they are in {path}.")

    def _note_kept(self, kept: Sequence[Kept]) -> None:
        for each in kept:
            if each.is_newest:
                self._unposted[each.points.host] = each
            if each.number:
                self._numbers.setdefault(each.points.host, Numbers()).add(each.number)

    def _insert_posts(self, due: dict[str, Kept]) -> None:
        if not due:
            return
        self._insert_rows(POSTS, list(due.items()), self._table_of_posts)
        self._posted_at |= {host: each.received_s for host, each in due.items()}
        for host in list(due):
            self._unposted.pop(host, None)

    def _table_of_posts(self, due: Sequence[tuple[str, Kept]]) -> pa.Table:
        received = [int(each.received_s * 1000) for _, each in due]
        return pa.table(
            {
                "host": pa.array([host for host, _ in due]),
                "received": pa.array(received, pa.timestamp("ms", tz="UTC")),
                "post": pa.array([self._with_numbers(host, each) for host, each in due]),
            }
        )

    def _with_numbers(self, host: str, kept: Kept) -> str:
        numbers = self._numbers.get(host)
        return orjson.dumps(kept.document.read() | ({NUMBERS: numbers.dump()} if numbers else {})).decode()

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
            self._numbers.pop(host, None)


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
