"""Takes posts, puts them into ClickHouse's tables: their points, and of each host the latest post.

Nothing here is safe for threads, nor tries anything again: see `store.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import orjson
import pyarrow as pa

from .carried import Carried, Portion
from .columns import Columns
from .kept import Kept
from .ownership import note_engine
from .refusals import AWAY
from .rollups import Rollups
from .tables import LATE, POINTS, POSTS, Days, each_row_once, make_tables, merge_seldom
from .target import Client, Target

T = TypeVar("T")
UNMERGED = {"optimize_on_insert": 0}
"""What is repeated within one insert goes when parts are merged, as what is repeated in two; looking for it at each
insert takes as long as the insert.
"""
POST_EVERY_S = 60.0
"""A host's latest post is carried this often; what is newer is in the journal, or comes again within seconds."""
NO_SPACE = "NOT_ENOUGH_SPACE"


class Latest(NamedTuple):
    """Of a host."""

    post: dict[str, Any]
    received_s: float


class Writer:
    """All calls raise clickhouse_connect's errors, but those that say otherwise."""

    def __init__(self, target: Target, days: Days, rollups: Rollups) -> None:
        self._target, self._days, self._rollups = target, days, rollups
        self._columns = Columns()
        self._client: Client | None = None
        self._unposted: dict[str, Kept] = {}
        """Each host's latest post that isn't in its table yet."""
        self._posted_at: dict[str, float] = {}
        self._versions: dict[str, int] = {}
        """Of each host's latest post in its table, milliseconds: when it came, as long as that grows."""
        self._unfixed: set[str] = set()
        """Hosts of which only their latest post tells that others are there, and it isn't inserted yet."""
        self._forgotten: set[str] = set()
        self.carried = Carried()
        self.points = ""
        """What stands for `metric_points` in a question, so that a repeated row counts once."""

    @property
    def has_written(self) -> bool:
        return bool(self._posted_at)

    @property
    def opened(self) -> Client | None:
        """Where nothing was asked of the tables yet, nobody knows whether they are there."""
        return self._client

    @property
    def client(self) -> Client:
        """With the tables made where they are missing."""
        if self._client is None:
            client = self._target.connect()
            if self._target.folder:
                note_engine(self._target.folder)
            raw_days = make_tables(client, self._target.database, self._days)
            if self._target.folder:
                merge_seldom(client, self._target.database)
            self.points = each_row_once(client, self._target.database)
            self._rollups.open(client, self.points, (raw_days, *self._days.tiers))
            self._client = client
        return self._client

    def drop(self) -> None:
        """The next call connects again. Raises nothing."""
        self._client = None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None

    def insert_points(self, kept: Sequence[Kept]) -> None:
        """Raises also what can't be made a table of, see `refusals.py`."""
        late = [each for each in kept if self._rollups.is_too_old(each.points.event_time)]
        for table, some in ((LATE, late), (POINTS, kept)):
            if some:
                self._insert_rows(table, some, self._table_of_points)

    def note_inserted(self, portion: Portion) -> None:
        """Their points are there, or set aside for good."""
        self._rollups.note(self.client, ((each.points.host, each.points.event_time) for each in portion.kept))
        self.carried.note(portion)
        self._unfixed |= portion.unfixed
        self._unposted |= {each.points.host: each for each in portion.kept if each.is_newest}

    def insert_due_posts(self) -> None:
        """Each minute; at once where posts that come again could be there by another time."""
        self._insert_posts({host: each for host, each in self._unposted.items() if self._is_due(host, each)})

    def _is_due(self, host: str, kept: Kept) -> bool:
        since_s = kept.received_s - self._posted_at.get(host, 0)
        return host in self._unfixed or not 0 <= since_s < POST_EVERY_S

    def insert_all_posts(self) -> None:
        self._insert_posts(self._unposted)

    def latest(self, *, is_whole: bool) -> dict[str, Latest]:
        """By host. Where the tables aren't whole, moles are asked for all that they have."""
        sql = f"SELECT host, post, toUnixTimestamp64Milli(received) AS ms FROM {self._target.database}.{POSTS} FINAL"  # noqa: S608  # no outsider's text
        found: dict[str, Latest] = {}
        for row in self.client.query_arrow(sql, {}).to_pylist():
            self._versions[row["host"]] = max(row["ms"], self._versions.get(row["host"], 0))
            if row["post"]:
                post: dict[str, Any] = orjson.loads(row["post"])
                self.carried.load(row["host"], post, row["ms"] / 1000, is_whole=is_whole)
                if not is_whole:
                    post.get("mole", {}).pop("seq", None)  # its points may be lost, too: it is taken if it comes again
                found[row["host"]] = Latest(post, row["ms"] / 1000)
        return found

    def forget(self, host: str) -> None:
        """From any thread; done by the next `take_out_forgotten`. Raises nothing."""
        self._forgotten.add(host)

    def take_out_forgotten(self, now_s: float) -> None:
        """By an empty post, which is newer than the one that is there."""
        forgotten = list(self._forgotten)
        if not forgotten:
            return
        rows = {
            "host": pa.array(forgotten),
            "received": self._next_versions(dict.fromkeys(forgotten, now_s)),
            "post": pa.array([""] * len(forgotten)),
        }
        self.client.insert_arrow(f"{self._target.database}.{POSTS}", pa.table(rows))
        for host in forgotten:
            self._forgotten.discard(host)
            self._posted_at.pop(host, None)
            self._unposted.pop(host, None)
            self.carried.forget(host)

    def _next_versions(self, received_s: Mapping[str, float]) -> pa.Array:
        """When posts of these hosts came, but for a clock that was set back: the row that is newer counts."""
        for host, at_s in received_s.items():
            self._versions[host] = max(int(at_s * 1000), self._versions.get(host, 0) + 1)
        return pa.array([self._versions[host] for host in received_s], pa.timestamp("ms", tz="UTC"))

    def _insert_rows(self, table: str, rows: Sequence[T], table_of_rows: Callable[[Sequence[T]], pa.Table]) -> None:
        """ClickHouse wants room for what isn't packed yet: where the disk is nearly full, less at once still fits."""
        try:
            self.client.insert_arrow(f"{self._target.database}.{table}", table_of_rows(rows), settings=UNMERGED)
        except AWAY as error:
            if NO_SPACE not in str(error) or len(rows) == 1:
                raise
            for some in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                self._insert_rows(table, some, table_of_rows)

    def _insert_posts(self, due: dict[str, Kept]) -> None:
        if not due:
            return
        self._insert_rows(POSTS, list(due.items()), self._table_of_posts)
        self._posted_at |= {host: each.received_s for host, each in due.items()}
        for host in list(due):
            self._unposted.pop(host, None)
            self._unfixed.discard(host)

    def _table_of_points(self, kept: Sequence[Kept]) -> pa.Table:
        return self._columns.table_of([each.points for each in kept])

    def _table_of_posts(self, due: Sequence[tuple[str, Kept]]) -> pa.Table:
        told = [orjson.dumps(each.document.read() | self.carried.dump(host)) for host, each in due]
        return pa.table(
            {
                "host": pa.array([host for host, _ in due]),
                "received": self._next_versions({host: each.received_s for host, each in due}),
                "post": pa.array(told, pa.string()),
            }
        )
