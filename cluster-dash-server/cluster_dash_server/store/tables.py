"""Takes a client of ClickHouse, makes what tables are missing.

A table that is there is used as it is, whoever made it; nothing is ever altered.
"""

from __future__ import annotations

from .target import Client

POINTS = "metric_points"
POSTS = "host_posts"

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
        value Float64 CODEC(Gorilla, ZSTD(1)),
        unit LowCardinality(String) DEFAULT '',
        tags_json String DEFAULT '' CODEC(ZSTD(1))
    ) ENGINE = ReplacingMergeTree
    PARTITION BY toYYYYMM(event_time)
    ORDER BY (run_id, metric, host, rank, device, step, event_time, tags_json)
    TTL toDateTime(event_time) + INTERVAL {raw_days} DAY
    SETTINGS old_parts_lifetime = 5
    """,
    # The latest post of each host: what isn't a number, and what a start begins with.
    POSTS: """
        host String,
        received DateTime64(3),
        post String CODEC(ZSTD(3))
    ) ENGINE = ReplacingMergeTree(received)
    ORDER BY host
    TTL toDateTime(received) + INTERVAL {raw_days} DAY
    SETTINGS old_parts_lifetime = 5
    """,
}


# As ClickHouse comes, a power cut takes what the kernel hasn't written yet, which the journal has let go of; and a
# merge that isn't on the disk replaces parts that were.
_DURABLE = ", fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"


def make_tables(client: Client, database: str, raw_days: int) -> None:
    """Raises clickhouse_connect's errors."""
    client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    for name, columns in _TABLES.items():
        client.command(
            f"CREATE TABLE IF NOT EXISTS {database}.{name} (" + columns.format(raw_days=raw_days).rstrip() + _DURABLE
        )


def merges_repeated_rows(client: Client, database: str) -> bool:
    """Whether `metric_points` is of an engine that takes FINAL; a table made as the seed has it isn't."""
    found = client.query_arrow(
        "SELECT engine FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        parameters={"database": database, "name": POINTS},
    )
    return [str(engine).endswith("ReplacingMergeTree") for engine in found["engine"].to_pylist()] == [True]
