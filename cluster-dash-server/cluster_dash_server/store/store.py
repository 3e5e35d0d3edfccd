"""Takes accepted posts, keeps them: `keep` returns when a post is on disk, `step` carries what came since into
ClickHouse.

What isn't in ClickHouse is in the journal; a start finds it there and carries on. A post that is carried twice, since
the process ended in between, is the same rows again, which count once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..logs import quoted
from . import NotKept, StoreAway
from .damage import too_many_parts
from .events import SERVER_START, Event, Events
from .journal import Journal, JournalError, Sealed
from .kept import Coming, Kept, NotOurs, pack, unpack
from .mender import TRIES, Mender
from .numbers import Numbers
from .questions import LONGEST_S, LOOK_EVERY_S, Questions
from .records import Damage, read
from .refusals import AWAY, FAILED, Refused, is_refusal, sift
from .rollups import Rollups
from .tables import Days
from .target import Target
from .transfer import Transfer
from .wording import worded
from .writer import Latest, Writer

log = logging.getLogger(__name__)
for noisy in ("urllib3.connectionpool", "clickhouse_connect"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL)  # they log each try, which is told here once

Restore = Callable[[dict[str, Any], float, Numbers], None]
"""Gets a host's latest post, when it came, Unix seconds, and which of its posts are kept."""

FLUSH_S = 1.0
RETRY_S = 5.0
REST = 20.0
"""So many times as long as an insert took does the next one wait: fewer and larger parts cost ClickHouse less."""
LONGEST_PAUSE_S = 5.0
MOST_POSTS_AT_ONCE = 5_000
BEHIND_AFTER_S = 15.0
NO_FAULT_OF_THE_FILE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Why it can't be read now."""
LOOK_AFTER_S = 60.0
CLOCK_STEP_S = 86_400.0
"""So far a clock that is set may bring nothing to its end of life."""


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
        longest_question_s: int = LONGEST_S,
    ) -> None:
        self._target, self._journal = target, journal
        self._monotonic, self._wall = monotonic, wall
        self._flushing = threading.Lock()
        """Of `_writer` and all that carries."""
        self.rollups = Rollups(target, self._flushing, wall, monotonic)
        self._writer = Writer(target, days, self.rollups)
        # What is lost is what the next start asks the moles for.
        self._mender = Mender(target.folder, wall, self._writer.carried.numbers.clear)
        self._questions = Questions(target, self._mender, longest_question_s)
        self.events = Events(wall)
        self._is_closed = False
        self._is_open = False
        """Whether what was there before the start is carried and restored."""
        self._has_others_hosts = False
        """Whether somebody else has put latest posts of hosts into the store."""
        self._started_at = wall()
        self._carried_at_s = monotonic()
        self._trouble: str | None = None
        self._failures = 0
        """Of the steps since the last that went well."""
        self._offset_s = wall() - monotonic()
        self._is_removing = True
        self._looked_at_s = monotonic()
        self._unmerged: str | None = None

    def keep(self, coming: Sequence[Coming]) -> None:
        """Returns when all of these posts are on disk. Raises NotKept: then each is there or not."""
        kept = [Kept(a.document, a.points.packed(), self._wall(), a.number, a.is_newest, a.up_s) for a in coming]
        try:
            self._journal.append([(pack(each), each) for each in kept])
        except JournalError as error:
            raise NotKept(str(error)) from None

    @property
    def is_open(self) -> bool:
        """Whether what was there before the start is carried and restored."""
        return self._is_open

    def forget(self, host: str) -> None:
        """It isn't restored at the next start, once the next step is done; its history stays."""
        self._writer.forget(host)

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
                self._look_after_parts()
                if self._has_others_hosts:
                    self._restore(restore, self._latest_known())
        except FAILED as error:
            self._failures += 1
            self._note_trouble(error)
            self._mend(error)
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
            self._writer.client.command(f"SYSTEM {'START' if is_right else 'STOP'} TTL MERGES")
        self._is_removing = is_right
        if not is_right:
            self._mender.note(
                "The clock was set by more than a day: no history is removed until it is back or a restart."
            )

    def _look_after_parts(self) -> None:
        """Of merges in the background nobody is told that they fail. Raises clickhouse_connect's errors."""
        now_s = self._monotonic()
        if self._target.folder is None or now_s - self._looked_at_s < LOOK_AFTER_S:
            return
        self._looked_at_s = now_s
        with self._flushing:
            self._mender.set_unmerged_aside(self._writer.client)
            self._unmerged = too_many_parts(self._writer.client, self._target.database)

    def _begin(self, restore: Restore) -> None:
        """The journal's posts are newer than the store's."""
        latest = self._latest_known()
        came = [each.received_s for each in latest.values()]
        newest: dict[str, Kept] = {}

        def see(kept: list[Kept]) -> None:
            came.extend(each.received_s for each in kept)
            newest.update((each.points.host, each) for each in kept if each.is_newest)

        self.flush(see)
        latest |= {host: Latest(kept.document.read(), kept.received_s) for host, kept in newest.items()}
        self._restore(restore, latest)
        self._note_own_start(came)
        self._is_open = True

    def _latest_known(self) -> dict[str, Latest]:
        """Of each host in the store. Raises clickhouse_connect's errors."""
        with self._flushing:
            return self._writer.latest(is_whole=not self._mender.set_left_out_aside(self._writer.client))

    def _restore(self, restore: Restore, latest: dict[str, Latest]) -> None:
        for host, each in latest.items():
            try:
                restore(each.post, each.received_s, self._writer.carried.numbers.get(host) or Numbers())
            except (LookupError, ValueError, TypeError, AttributeError):
                log.exception("the latest post of %s can't be used: the host is back with its next one", quoted(host))
        self._has_others_hosts = False

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
            self._writer.take_out_forgotten(self._wall())
            self.events.carry(self._writer.client, self._target.database)
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
                self._writer.insert_all_posts()
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
        """A backup was restored: the next step gives those that nobody knows to `restore`, as a start does."""
        self._has_others_hosts = True
        self.rollups.look_again()

    def ask(self, sql: str, parameters: dict[str, Any]) -> Any:
        """An Arrow table. `{table}` in the SQL stands for `metric_points`, a repeated row once; `{metric_points_1m}`
        and its like for the tiers, `{events}` for that. Raises StoreAway, TooSlow.
        """
        if self._is_closed or not self._is_open:
            raise StoreAway("the store is not open")
        return self._questions.ask(sql, self._writer.points, parameters)

    def asked_by(self, has_left: Callable[[], bool]) -> contextlib.AbstractContextManager[None]:
        """What this thread asks meanwhile is broken off once that is true."""
        return self._questions.asked_by(has_left)

    def end_unwanted_questions(self) -> float:
        """The seconds until the next time."""
        return LOOK_EVERY_S if self._is_closed else self._questions.end_unwanted()

    def troubles(self) -> list[str]:
        """What a person should know, and /health answers 503 for."""
        found = [self._journal.trouble] if self._journal.trouble else []
        behind_s = self._monotonic() - self._carried_at_s
        if self._trouble and behind_s > BEHIND_AFTER_S:
            found.append(
                f"The store is {behind_s:.0f} s behind ({self._trouble}). {-(-self._journal.bytes >> 20)} MiB wait on "
                "disk, and nothing is lost until [store] journal_mib is full."
            )
        return found

    def notes(self) -> list[str]:
        """What a person should know of since the start, and the server does its work all the same."""
        return [*self._mender.notes, *([self._unmerged] if self._unmerged else [])]

    def _mend(self, error: Exception) -> None:
        """What a step failed for, where that is damage."""
        if self._mender.set_part_aside(self._writer.opened, error):
            return
        if self._failures >= TRIES and self._journal.has_room() and self._mender.set_all_aside(error):
            self._failures = 0

    def end_questions(self) -> None:
        """Breaks off what is asked now, so that the process can end."""
        self._questions.end(is_open=self._is_open)

    def close(self) -> None:
        """What wasn't carried stays in the journal for the next start."""
        with contextlib.suppress(*FAILED):
            # Not where nothing was inserted yet: what that needs can't be loaded any more while Python ends.
            if self._target.folder and self._writer.has_written and not self._trouble:
                self.flush()
                self._writer.insert_all_posts()
        with self._flushing:
            self._is_closed = True
            self.rollups.end()
            if self._target.folder and self._writer.opened:
                with contextlib.suppress(*AWAY):  # all that the engine within this process does is ours
                    self._writer.opened.command("KILL QUERY WHERE query_id != queryID() ASYNC")
        self.rollups.close()
        self._questions.close()
        with self._flushing:
            self._writer.close()
            self._journal.close()

    def _note_trouble(self, error: Exception) -> None:
        text = worded(error)
        if not self._trouble:
            log.warning("the store %s takes nothing, the journal keeps it: %s", self._target.shown, text)
        self._trouble = text
        if self._target.folder is None:
            self._writer.drop()

    def _read(self, file: Sealed) -> list[Kept]:
        if file.items is not None:
            return file.items
        try:
            return list(self._read_again(file.number))
        except OSError as error:
            if self._failures < TRIES - 1 or error.errno in NO_FAULT_OF_THE_FILE:
                raise
            aside = self._journal.move_aside(file.number, f"unreadable-{int(self._wall())}")
            self._mender.note(f"A file of the journal can't be read ({worded(error)}): it is kept as {aside}.")
            return []

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
            self._mender.note(
                f"{damaged} bytes of {path} are damaged: it is kept as {aside.name}, all else of it was used."
            )

    def _insert(self, kept: Sequence[Kept]) -> None:
        portion = self._writer.carried.dated(kept)
        try:
            self._writer.insert_points(portion.kept)
        except FAILED as error:
            if self._failures < TRIES - 1 or not is_refusal(error):
                raise
            self._keep_aside(sift(portion.kept, self._writer.insert_points))
        self._writer.note_inserted(portion)
        self._writer.insert_due_posts()

    def _keep_aside(self, refused: Sequence[Refused]) -> None:
        """What ClickHouse takes in no case, so that all else is taken. Raises OSError."""
        if refused:
            path = self._journal.keep_aside([pack(each.kept) for each in refused], f"refused-{int(self._wall())}")
            why = worded(refused[0].why)
            self._mender.note(
                f"{len(refused)} posts are in no chart, as the store refuses them ({why}): they are in {path}."
            )


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
