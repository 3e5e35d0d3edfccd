"""Takes a link to a store, gives its tables, and what of them makes a file each: all of a day, or all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..store.tables import POINTS
from ..store.target import NAME
from .link import Link


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    full_name: str
    merges_repeated_rows: bool
    columns: tuple[str, ...]
    time: str | None
    """The column by which its rows are split into days."""

    @property
    def of_day(self) -> str:
        """What of a row of the day that the parameter `day` names is true; the day is one of UTC."""
        return f"toDate({self.time}, 'UTC') = {{day:Date}}"


class NoTable(Exception):
    """The store isn't as a store should be; the text says how."""


def read_tables(link: Link) -> list[Table]:
    """Of our database, all that keep rows themselves. Raises StoreAway, NoTable."""
    found = link.ask(
        "SELECT name, engine, concat(sorting_key, ' ', partition_key) AS keys FROM system.tables "
        "WHERE database = {database:String} AND endsWith(engine, 'MergeTree') ORDER BY name",
        {"database": link.database},
    )
    if POINTS not in {each["name"] for each in found}:
        raise NoTable(f"{link.shown} has no table {POINTS} that keeps rows itself")
    return [_table(link, each["name"], each["engine"], each["keys"]) for each in found if NAME.fullmatch(each["name"])]


def read_days(link: Link, table: Table) -> list[str]:
    """Those with rows, oldest first, as 2026-11-22. Raises StoreAway."""
    sql = f"SELECT DISTINCT toString(toDate({table.time}, 'UTC')) AS day FROM {table.full_name} ORDER BY day"  # noqa: S608
    return [each["day"] for each in link.ask(sql, {})]


def _table(link: Link, name: str, engine: str, keys: str) -> Table:
    columns = link.ask(
        "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String} "
        "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position",
        {"database": link.database, "table": name},
    )
    in_keys = set(re.findall(r"\w+", keys))
    times = [each["name"] for each in columns if each["type"].startswith("DateTime") and each["name"] in in_keys]
    return Table(
        name,
        f"{link.database}.{name}",
        "Replacing" in engine,
        tuple(each["name"] for each in columns),
        times[0] if times else None,
    )
