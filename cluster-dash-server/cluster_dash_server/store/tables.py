"""Takes a client of ClickHouse, makes what tables are missing.

A table that is there is used as it is, whoever made it. Of those that are ours only the days are ever altered.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .target import Client

POINTS = "metric_points"
LATE = "metric_points_late"
POSTS = "host_posts"
EVENTS = "events"
DUE = "rollups_due"
UNTIL = "rollups_until"
DONE, CLAIMED, AGAIN = 0, 1, 2
"""Of UNTIL's rows: all minutes before are rolled up; are rolled up or being so; from there on they are to be made anew,
where it isn't 0."""


class Tier(NamedTuple):
    """Points by buckets of one length."""

    table: str
    bucket_s: int
    partition: str
    """By what its rows are kept apart: a question reads only those of its time. In a part they are by series."""


TIERS = (
    Tier("metric_points_1m", 60, "toDate(bucket)"),
    Tier("metric_points_10m", 600, "toMonday(bucket)"),
    Tier("metric_points_1h", 3600, "toYYYYMM(bucket)"),
)
"""Each is made of the one before, the first of `metric_points`."""


class Days(NamedTuple):
    """How long each is kept."""

    raw: int
    minute: int
    ten_minute: int
    hour: int

    @property
    def tiers(self) -> tuple[int, ...]:
        """In the order of TIERS."""
        return self.minute, self.ten_minute, self.hour


LATEST_DUE_DAYS = 40
"""Longer than a point may be late."""

MERGE_BASE = 20
"""Roughly how many times the largest part's size a merge must have in all; ClickHouse's is 5, which merges each row
three times as often."""

# A repeated row is one row: the key holds all that makes a point, the tags too, else `/` and `/data` of a host were
# one. Of parts that were merged the old ones go soon: a new part a second fills a disk in their 8 minutes.
_TABLES = {
    POINTS: """
        event_time DateTime64(3) DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1)),
        run_id LowCardinality(String),
        host LowCardinality(String) DEFAULT '',
        rank UInt32 DEFAULT 0 CODEC(ZSTD(1)),
        device UInt16 DEFAULT 65535 CODEC(ZSTD(1)),
        step UInt64 DEFAULT 0 CODEC(DoubleDelta, ZSTD(1)),
        metric LowCardinality(String),
        value Float64 CODEC(Delta, ZSTD(1)),
        unit LowCardinality(String) DEFAULT '',
        tags_json String DEFAULT '' CODEC(ZSTD(1))
    ) ENGINE = ReplacingMergeTree
    PARTITION BY toYYYYMM(event_time)
    ORDER BY (run_id, metric, host, rank, device, step, event_time, tags_json)
    TTL toDateTime(event_time) + INTERVAL {days} DAY
    SETTINGS old_parts_lifetime = 5
    """,
    # The latest post of each host: what isn't a number, and what a start begins with.
    POSTS: """
        host String,
        received DateTime64(3),
        post String CODEC(ZSTD(3))
    ) ENGINE = ReplacingMergeTree(received)
    ORDER BY host
    TTL toDateTime(received) + INTERVAL {days} DAY
    SETTINGS old_parts_lifetime = 5
    """,
    # The minutes of a host that got points after they were rolled up. A row that is inserted later replaces the former.
    DUE: """
        minute DateTime('UTC'),
        host String,
        is_due UInt8
    ) ENGINE = ReplacingMergeTree
    ORDER BY (minute, host)
    TTL minute + INTERVAL {days} DAY
    SETTINGS old_parts_lifetime = 5
    """,
    # A row for each of DONE, CLAIMED and AGAIN.
    UNTIL: """
        id UInt8,
        minute DateTime('UTC')
    ) ENGINE = ReplacingMergeTree
    ORDER BY id
    SETTINGS old_parts_lifetime = 5
    """,
    # What started, which tells why nothing came before.
    EVENTS: """
        time DateTime64(3),
        kind LowCardinality(String),
        host String,
        data String
    ) ENGINE = ReplacingMergeTree
    ORDER BY (host, time, kind)
    TTL toDateTime(time) + INTERVAL {days} DAY
    SETTINGS old_parts_lifetime = 5
    """,
}
# Of points that came when POINTS keeps them no more: from here they are rolled up.
_TABLES[LATE] = _TABLES[POINTS]
# Of two rows of a bucket the one of more points counts, then the later: what a bucket was made of may be gone.
_TIER = """
        bucket DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
        run_id LowCardinality(String),
        host LowCardinality(String),
        rank UInt32 CODEC(ZSTD(1)),
        device UInt16 CODEC(ZSTD(1)),
        metric LowCardinality(String),
        tags_json String CODEC(ZSTD(1)),
        unit LowCardinality(String),
        points UInt64 CODEC(T64, ZSTD(1)),
        numbers UInt64 CODEC(T64, ZSTD(1)),
        least Float64 CODEC(Gorilla, ZSTD(1)),
        most Float64 CODEC(Gorilla, ZSTD(1)),
        total Float64 CODEC(Gorilla, ZSTD(1)),
        last Float64 CODEC(Gorilla, ZSTD(1)),
        last_time DateTime64(3) CODEC(DoubleDelta, ZSTD(1))
    ) ENGINE = ReplacingMergeTree(points)
    PARTITION BY {partition}
    ORDER BY (run_id, metric, host, rank, device, tags_json, bucket)
    TTL bucket + INTERVAL {days} DAY
    SETTINGS old_parts_lifetime = 5
    """
_TTL = re.compile(r" TTL ((?:toDateTime\()?(?:event_time|received|time|minute|bucket)\)?) \+ toIntervalDay\((\d+)\)")
_OURS = re.compile(r"ReplacingMergeTree.* ORDER BY .*TTL .* SETTINGS (.*, )?old_parts_lifetime = 5\b.*")
"""Nobody else has all of this."""


# As ClickHouse comes, a power cut takes what the kernel hasn't written yet, which the journal has let go of; and a
# merge that isn't on the disk replaces parts that were.
_DURABLE = ", fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"


def make_tables(client: Client, database: str, days: Days) -> int | None:
    """Those that are there are kept so many days from now on. Returns the days of `metric_points`, None where it keeps
    all. Raises clickhouse_connect's errors.
    """
    client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    there = _there(client, database)
    wanted = {
        POSTS: days.raw,
        EVENTS: days.hour,
        DUE: LATEST_DUE_DAYS,
        UNTIL: 0,
        LATE: LATEST_DUE_DAYS,
        POINTS: days.raw,
    }
    wanted |= {tier.table: tier_days for tier, tier_days in zip(TIERS, days.tiers, strict=True)}
    columns = _TABLES | {tier.table: _TIER.replace("{partition}", tier.partition) for tier in TIERS}
    kept: dict[str, int | None] = {}
    for name, table_days in wanted.items():
        if name in there:
            kept[name] = _keep_for(client, f"{database}.{name}", there[name], table_days)
        else:
            made = columns[name].format(days=table_days).rstrip() + _DURABLE
            client.command(f"CREATE TABLE IF NOT EXISTS {database}.{name} ({made}")
            kept[name] = table_days
    return kept[POINTS]


def _there(client: Client, database: str) -> dict[str, str]:
    """How each table was made: its engine and what follows."""
    found = client.query_arrow(
        "SELECT name, engine_full AS made FROM system.tables WHERE database = {database:String}", {"database": database}
    )
    return {row["name"]: row["made"] for row in found.to_pylist()}


def _keep_for(client: Client, table: str, made: str, days: int) -> int | None:
    """Alters only a table that is as this file makes it, but for its days. Returns its days."""
    ttl = _TTL.search(made)
    if ttl is None:
        return None
    if not _OURS.fullmatch(made) or int(ttl[2]) == days:
        return int(ttl[2])
    client.command(f"ALTER TABLE {table} MODIFY TTL {ttl[1]} + INTERVAL {days} DAY")
    return days


def merge_seldom(client: Client, database: str) -> None:
    """For the engine within this process: a part is merged with many others at once and so fewer times, which halves
    what merging costs. A server's own ClickHouse has its own settings, and an older one hasn't this.
    """
    client.command(f"ALTER TABLE {database}.{POINTS} MODIFY SETTING merge_selector_base = {MERGE_BASE}")


def each_row_once(client: Client, database: str) -> str:
    """What to ask instead of `metric_points`, so that a row that was carried twice counts once: a table that was made
    as the seed has it keeps both.
    """
    found = client.query_arrow(
        "SELECT engine FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        parameters={"database": database, "name": POINTS},
    )
    merges_them = [str(engine).endswith("ReplacingMergeTree") for engine in found["engine"].to_pylist()] == [True]
    return f"{database}.{POINTS} FINAL" if merges_them else f"(SELECT DISTINCT * FROM {database}.{POINTS})"  # noqa: S608  # no outsider's text
