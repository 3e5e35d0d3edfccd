"""Takes note of the points that go into `metric_points`, keeps the tiers of 1 minute, 10 minutes and 1 hour right.

A minute is rolled up once when it has ended, for all series together, and again for the hosts of which a point came
later. It is always made anew from the points, each counted once, so neither order nor repetition matters: nothing is
added up as it comes. Each longer tier is made of the one before. A bucket is never replaced by one of fewer points
(`tables.py`): what it was made of may have been kept for a shorter time.

Several servers may have one ClickHouse server for their store: whoever comes first makes a minute, for all of them.
What is still to do stands in two small tables before the journal lets go of the points. Points that come so late that
`metric_points` may lose them before they are rolled up stand in a table of their own as well.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from .tables import AGAIN, CLAIMED, DONE, DUE, LATE, TIERS, UNTIL
from .target import Client, Target

log = logging.getLogger(__name__)

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
LAG_S = 20
"""After its end a minute's last points are still on their way."""
PAUSE_S = 1.0
REST = 4.0
"""So many times as long as a step took does the next one wait: the machine is for posts and questions first, and many
late points of a minute become one piece of work."""
RETRY_S = 15.0
CLOSE_WITHIN_S = 5.0
MOST_ROWS = 300_000
"""Points at once, or a minute with whatever it has."""
MOST_PAIRS = 2_000
"""Late minutes of hosts at once."""
MOST_HOSTS = 100
"""That a question names; for more of them it is asked of all."""
FRESH_S = 2 * HOUR_S
OLD_S = HOUR_S
"""So long before its life ends a point that comes counts as too old for `metric_points`."""
NARROW_GAP_S = 600
MOST_BETWEEN = 200
"""Late minutes that are further apart aren't taken together, as all between is made anew with them: except where that
is no more than so many minutes of hosts, which cost less than another piece of work.
"""

KEY = "run_id, host, rank, device, metric, tags_json"
_POINT = f"event_time, step, {KEY}, unit, value"
_OF_POINTS = """toDateTime(intDiv(toUnixTimestamp64Milli(event_time), {bucket_ms}) * {bucket_s}, 'UTC') AS at, {key},
    any(unit) AS made_unit, count() AS n, countIf(isFinite(value)) AS made_numbers,
    minIf(value, isFinite(value)) AS made_least, maxIf(value, isFinite(value)) AS made_most,
    sumIf(value, isFinite(value)) AS made_total, argMax(value, (event_time, step)) AS made_last,
    max(event_time) AS made_last_time"""
_OF_TIER = """toDateTime(intDiv(toUnixTimestamp(bucket), {bucket_s}) * {bucket_s}, 'UTC') AS at, {key},
    any(unit) AS made_unit, sum(points) AS n, sum(numbers) AS made_numbers,
    minIf(least, numbers > 0) AS made_least, maxIf(most, numbers > 0) AS made_most,
    sum(total) AS made_total, argMax(last, last_time) AS made_last,
    max(last_time) AS made_last_time"""
_MAKE = """INSERT INTO {table} (bucket, {key}, unit, points, numbers, least, most, total, last, last_time)
    SELECT at, {key}, made_unit, n, made_numbers, made_least, made_most, made_total, made_last, made_last_time
    FROM (SELECT {columns} FROM {source} WHERE {where} GROUP BY at, {key})
    SETTINGS max_threads = 1, do_not_merge_across_partitions_select_final = 1"""


class Work(NamedTuple):
    """Minutes to be made anew."""

    start_s: int
    end_s: int
    hosts: list[str]
    """Empty: of all hosts."""


class Rollups:
    """`inserting` is held by whoever inserts points."""

    def __init__(
        self,
        target: Target,
        inserting: threading.Lock,
        wall: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target, self._inserting, self._wall, self._monotonic = target, inserting, wall, monotonic
        self._database = target.database
        self._points = ""
        self._days: tuple[int | None, ...] = ()
        self._due: dict[int, set[str]] = {}
        """By minute, Unix seconds, the hosts of which points came late."""
        self._doing: tuple[int, ...] = ()
        """Minutes that were due and are being made anew."""
        self._until_s: int | None = None
        """Minutes before are rolled up; None: not open yet."""
        self._claimed_s = 0
        """Minutes before are rolled up, or are being: a point of theirs is late."""
        self._working = threading.Lock()
        """Of `_client`."""
        self._client: Client | None = None
        self._is_closed = False
        self._trouble: str | None = None
        self._has_others = target.folder is None
        """Another server may roll up the same."""
        self._looks_again = True
        """At its table."""

    def open(self, client: Client, points: str, days: tuple[int | None, ...]) -> None:
        """Reads what is to do; `inserting` is held. `points` is what to ask instead of `metric_points`. `days`: how
        long that and each tier are kept, None for ever. Raises clickhouse_connect's errors.
        """
        self._points, self._days = points, days
        if self._until_s is not None:
            return  # it is known, and a connection was lost in between
        self._add_due(self._read_due(client))
        until_s = self._read_marks(client).get(DONE)
        if until_s is None:
            self._set_until(client, self._first_s(client))
        else:
            self._until_s = self._claimed_s = until_s

    def note(self, client: Client, points: Iterable[tuple[str, float]]) -> None:
        """Host and Unix seconds of points that were inserted since `inserting` is held. Raises clickhouse_connect's
        errors: then they are to be inserted again.
        """
        claimed_s = self._claimed_s
        if self._has_others:
            claimed_s = max(claimed_s, self._read_marks(client).get(CLAIMED, 0))
        late = {(host, int(time_s) // MINUTE_S * MINUTE_S) for host, time_s in points if time_s < claimed_s}
        new = [(host, minute) for host, minute in late if host not in self._due.get(minute, ())]
        self._write_due(client, new, is_due=True)
        self._add_due(new)

    def is_too_old(self, time_s: float) -> bool:
        """Whether a point of then may be gone from `metric_points` before it is rolled up."""
        raw_days = self._days[0] if self._days else None
        return raw_days is not None and time_s < self._wall() - raw_days * DAY_S + OLD_S

    @property
    def ends(self) -> list[int]:
        """Up to where each tier is to be read, Unix seconds. What is later is in the one before, or only in the points.

        Minutes of the last hours that wait to be made anew are better read from their points.
        """
        until_s = self._until_s or 0
        due = [minute for minute in (*self._doing, *list(self._due)) if minute >= until_s - FRESH_S]
        until_s = min([until_s, *due])
        return [until_s // tier.bucket_s * tier.bucket_s for tier in TIERS]

    @property
    def days(self) -> tuple[int | None, ...]:
        """How long the points and each tier are kept; None: for ever."""
        return self._days

    def step(self) -> float:
        """Does a piece of what is to do; the seconds until the next."""
        began = self._monotonic()
        with self._working:
            if self._is_closed or self._until_s is None:
                return PAUSE_S
            try:
                if self._client is None:
                    self._client = self._target.connect()
                self._roll_up(self._client)
            except (ClickHouseError, OSError) as error:
                self._note_trouble(str(error).split("\n")[0][:300])
                return RETRY_S
            self._trouble = None
        return max(PAUSE_S, REST * (self._monotonic() - began))

    def look_again(self) -> None:
        """Somebody has put a backup's rows into the tables."""
        self._looks_again = True

    def end(self) -> None:
        """No further step begins; one that is interrupted now says nothing of it."""
        self._is_closed = True

    def close(self) -> None:
        """What isn't done is done after the next start."""
        self.end()
        if self._working.acquire(timeout=CLOSE_WITHIN_S):
            try:
                if self._client is not None:
                    self._client.close()
                    self._client = None
            finally:
                self._working.release()

    def _roll_up(self, client: Client) -> None:
        closed_s = int(self._wall() - LAG_S) // MINUTE_S * MINUTE_S
        with self._inserting:
            start_s = self._until_s or 0
            if closed_s < start_s:  # the clock was ahead: minutes were taken for ended that hadn't begun
                start_s = closed_s
                self._set_until(client, start_s)
                self._mark(client, CLAIMED, start_s)
            self._claimed_s = start_s
        start_s = self._look_at_table(client, start_s, closed_s)
        self._make_late(client, start_s)
        end_s = self._end_of_portion(client, start_s, closed_s)
        if end_s > start_s:
            with self._inserting:
                self._claimed_s = end_s
            if self._has_others and self._read_marks(client).get(CLAIMED, 0) < end_s:
                self._mark(client, CLAIMED, end_s)
            self._make(client, Work(start_s, end_s, []), end_s)
            self._set_until(client, end_s)

    def _make_late(self, client: Client, until_s: int) -> None:
        """Piece by piece for as long as costs no longer rest: minutes far from each other are a piece each, and who
        sends thousands of them must not keep those of all others waiting.
        """
        ends_at = self._monotonic() + PAUSE_S / REST
        while True:
            with self._inserting:
                late, pairs = self._take_late(until_s)
            if late is None:
                return
            try:
                self._make(client, late, until_s)
                self._finish_late(client, pairs)
            except BaseException:
                with self._inserting:
                    self._add_due(pairs)
                raise
            finally:
                self._doing = ()
            if self._is_closed or self._monotonic() >= ends_at:
                return

    def _look_at_table(self, client: Client, start_s: int, closed_s: int) -> int:
        """Where to go on. A backup that was restored has points since, and minutes that were due; another server may be
        further.
        """
        if start_s >= closed_s and not self._looks_again:
            return start_s
        marks = self._read_marks(client)
        done_s, again_s = marks.get(DONE, start_s), marks.get(AGAIN, start_s)
        until_s = min(done_s, again_s, start_s)
        is_back = until_s < start_s or AGAIN in marks
        if not is_back and self._has_others:
            until_s = max(start_s, min(done_s, closed_s))
        due = self._read_due(client) if is_back else []
        with self._inserting:
            self._add_due(due)
            self._until_s = self._claimed_s = until_s
        if AGAIN in marks:
            self._set_until(client, until_s)
            self._mark(client, AGAIN, 0)
        self._looks_again = False
        return until_s

    def _read_marks(self, client: Client) -> dict[int, int]:
        """Unix seconds by the row's number, without those that are 0."""
        marks = f"SELECT id, toUnixTimestamp(minute) AS at FROM {self._database}.{UNTIL} FINAL"  # noqa: S608
        return {row["id"]: row["at"] for row in _rows(client, marks) if row["at"]}

    def _read_due(self, client: Client) -> list[tuple[str, int]]:
        due = f"SELECT toUnixTimestamp(minute) AS at, host FROM {self._database}.{DUE} FINAL WHERE is_due = 1"  # noqa: S608
        return [(row["host"], row["at"]) for row in _rows(client, due)]

    def _mark(self, client: Client, mark: int, at_s: int) -> None:
        client.command(f"INSERT INTO {self._database}.{UNTIL} SELECT {mark}, toDateTime({at_s}, 'UTC')")

    def _set_until(self, client: Client, until_s: int) -> None:
        self._mark(client, DONE, until_s)
        self._until_s = self._claimed_s = until_s

    def _make(self, client: Client, work: Work, until_s: int) -> None:
        """In every tier, up to where it is there."""
        source, source_time = self._points_of(work), "event_time"
        for number, tier in enumerate(TIERS):
            start_s = work.start_s // tier.bucket_s * tier.bucket_s
            end_s = min(-(-work.end_s // tier.bucket_s), until_s // tier.bucket_s) * tier.bucket_s
            if start_s >= end_s:
                return  # nor has a longer one
            table = f"{self._database}.{tier.table}"
            columns = (_OF_TIER if number else _OF_POINTS).format(
                bucket_s=tier.bucket_s, bucket_ms=tier.bucket_s * 1000, key=KEY
            )
            sql = _MAKE.format(
                table=table,
                source=source,
                columns=columns,
                key=KEY,
                where=_where(source_time, start_s, end_s, work.hosts),
            )
            client.command(sql, parameters={"hosts": work.hosts} if work.hosts else None)
            source, source_time = f"{table} FINAL", "bucket"

    def _points_of(self, work: Work) -> str:
        """What to ask instead of `metric_points`."""
        if not self.is_too_old(work.start_s - OLD_S):
            return self._points
        where = _where("event_time", work.start_s, work.end_s, work.hosts)
        pieces = [
            f"SELECT {_POINT} FROM {table} WHERE {where}"  # noqa: S608  # no outsider's text
            for table in (self._points, f"{self._database}.{LATE} FINAL")
        ]
        return f"(SELECT DISTINCT * FROM ({' UNION ALL '.join(pieces)}))"  # noqa: S608

    def _take_late(self, until_s: int) -> tuple[Work | None, list[tuple[str, int]]]:
        """The oldest minutes that are due, with their hosts; they are due no more. One that another server makes now
        stays due. `inserting` is held.
        """
        pairs: list[tuple[str, int]] = []
        hosts: set[str] = set()
        minutes = sorted(minute for minute in self._due if minute < until_s)
        last = minutes[0] if minutes else 0
        self._doing = tuple(minutes)
        for minute in minutes:
            of_minute = self._due[minute]
            gap_s = minute - last
            is_far = gap_s > NARROW_GAP_S and gap_s // MINUTE_S * len(hosts | of_minute) > MOST_BETWEEN
            is_full = minute - minutes[0] >= DAY_S or len(pairs) + len(of_minute) > MOST_PAIRS
            if pairs and (is_far or is_full):
                break
            pairs += [(host, minute) for host in self._due.pop(minute)]
            hosts |= of_minute
            last = minute
        if not pairs:
            return None, []
        return Work(minutes[0], last + MINUTE_S, sorted(hosts) if len(hosts) <= MOST_HOSTS else []), pairs

    def _finish_late(self, client: Client, pairs: list[tuple[str, int]]) -> None:
        """Those of which another point came meanwhile stay due."""
        with self._inserting:
            done = [(host, minute) for host, minute in pairs if host not in self._due.get(minute, ())]
            self._write_due(client, done, is_due=False)

    def _add_due(self, pairs: list[tuple[str, int]]) -> None:
        for host, minute in pairs:
            self._due.setdefault(minute, set()).add(host)

    def _write_due(self, client: Client, pairs: list[tuple[str, int]], is_due: bool) -> None:
        if pairs:
            hosts, minutes = zip(*pairs, strict=True)
            columns = {
                "minute": pa.array(minutes, pa.timestamp("s", tz="UTC")),
                "host": pa.array(hosts),
                "is_due": pa.array([int(is_due)] * len(pairs)),
            }
            client.insert_arrow(f"{self._database}.{DUE}", pa.table(columns))

    def _first_s(self, client: Client) -> int:
        """Where to begin: at the oldest point that a tier would keep."""
        now_s = int(self._wall())
        oldest_s = max(0, now_s - max(days or 0 for days in self._days[1:]) * DAY_S)
        [found] = _rows(
            client,
            f"SELECT toUnixTimestamp(min(event_time)) AS at, count() AS n FROM {self._points} "  # noqa: S608
            f"WHERE event_time >= toDateTime({oldest_s}, 'UTC')",
        )
        return min(found["at"] if found["n"] else now_s, now_s) // HOUR_S * HOUR_S

    def _end_of_portion(self, client: Client, start_s: int, closed_s: int) -> int:
        end_s = min(closed_s, start_s + DAY_S)
        while end_s - start_s > MINUTE_S:
            where = _where("event_time", start_s, end_s, [])
            if _rows(client, f"SELECT count() AS n FROM {self._points} WHERE {where}")[0]["n"] <= MOST_ROWS:  # noqa: S608
                break
            end_s = start_s + (end_s - start_s) // 2 // MINUTE_S * MINUTE_S
        return end_s

    def _note_trouble(self, text: str) -> None:
        if self._is_closed:
            return
        if text != self._trouble:
            log.warning("the history isn't rolled up, and is again once this is over: %s", text)
        self._trouble = text
        if self._target.folder is None and self._client is not None:
            with contextlib.suppress(ClickHouseError, OSError):
                self._client.close()
            self._client = None


def _where(time: str, start_s: int, end_s: int, hosts: list[str]) -> str:
    within = f"{time} >= toDateTime({start_s}, 'UTC') AND {time} < toDateTime({end_s}, 'UTC')"
    return within + (" AND host IN {hosts:Array(String)}" if hosts else "")


def _rows(client: Client, sql: str) -> list[dict[str, Any]]:
    return client.query_arrow(sql, {}).to_pylist()
