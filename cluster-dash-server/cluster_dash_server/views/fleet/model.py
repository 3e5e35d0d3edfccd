"""Takes the live hosts, gives their rows, and which of them changed since a look before.

Nothing is done until somebody looks. Then the rows are made anew of hosts that changed since the last look of anybody,
and of those that time alone has changed; the others are kept.

The first look after a while finds every row to be made, a quarter of a millisecond each. Who asks for a `portion` is
answered with so many of them, and has the others by the next looks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from ...config import HostNames
from ...live.clock import OwnError
from ...live.hosts import HOST, Hosts
from ...patterns import Tags, expand
from ...points import mean
from ...query import glance, natural
from .aliases import Aliases
from .gpu import shown
from .row import Alias, Row, row_of, silent_row
from .spark import SparkOf, spark
from .totals import Totals

RESTS_AFTER_S = 600.0
"""So long after the last look the rows are forgotten."""


class Look(NamedTuple):
    version: int
    """What to ask for the next time."""
    is_full: bool
    now_s: float
    """Unix seconds by the server's clock."""
    rows: list[Row]
    mono_s: float
    """When it was, for `Row.text`."""
    gone: list[str]
    totals: dict[str, int | None]
    users: list[dict[str, Any]]
    pending: int
    """Hosts that aren't in the totals and weren't told yet: they come with the next looks."""


class Fleet:
    """Two of them, with and without the users' names, are all there are; safe for threads."""

    def __init__(
        self,
        hosts: Hosts,
        names: HostNames,
        alias: Alias | None = None,
    ) -> None:
        self._hosts = hosts
        self._alias: Alias = alias or shown
        self._nameless = alias is not None
        self.expected = dict.fromkeys(name for text in names.expected for name in expand(text))
        self.tags = Tags(names.tags)
        self._lock = threading.Lock()
        self._until_mono_s: dict[str, float] = {}
        """Of rows that are forgotten: until when time alone leaves them as somebody may still know them."""
        self._forget()

    def _forget(self) -> None:
        self._rows: dict[str, Row] = {}
        self._totals = Totals()
        self._version: int | None = None
        """Of the rows as they are; None: nobody looked yet."""
        self._pending: dict[str, None] = {}
        """Hosts whose rows nobody made yet, in the order in which they will be."""
        self._looked_mono_s = 0.0

    def look(self, since: int | None = None, portion: int | None = None) -> Look:
        """All rows, or those that changed after the version `since`, where that is known.

        Of rows that were never made it makes `portion`; None: all.
        """
        with self._lock:
            mono_s, version = self._refresh(since, portion)
            names = None if since is None else self._hosts.changes.since(since, HOST)
            if names is None:
                rows, gone = sorted(self._rows.values(), key=lambda row: row.order), []
            else:
                rows = [self._rows[name] for name in names if name in self._rows]
                gone = [name for name in names if name not in self._rows and name not in self._pending]
            return Look(
                version,
                names is None,
                self._hosts.clock.wall(),
                rows,
                mono_s,
                gone,
                self._totals.counts,
                self._totals.users(),
                len(self._pending),
            )

    def rest(self) -> None:
        """Forgets the rows that nobody has looked at for a while."""
        with self._lock:
            if self._version is not None and self._hosts.mono_s - self._looked_mono_s > RESTS_AFTER_S:
                self._until_mono_s = {row.name: row.until_mono_s for row in self._rows.values()}
                self._forget()

    def _refresh(self, since: int | None, portion: int | None) -> tuple[float, int]:
        """Makes what changed anew; gives when that was, and the version that the rows then have at least."""
        mono_s, changes = self._hosts.mono_s, self._hosts.changes
        self._looked_mono_s = mono_s
        late = list(islice(self._pending, portion))
        overdue = [name for name, until_mono_s in self._until_mono_s.items() if until_mono_s < mono_s]
        overdue += [row.name for row in self._rows.values() if row.until_mono_s < mono_s]
        self._until_mono_s = {}
        for name in (*late, *overdue):
            changes.note(HOST, name)  # so that those hear of it who looked before
        version = changes.version
        names = None if self._version is None else changes.since(self._version, HOST)
        if names is None:
            self._forget()
            names = self._begin({*self.expected, *(host.name for host in self._hosts.all())}, portion)
        elif since is None and portion is not None and len(names) > portion:  # nobody looked for some minutes
            names = self._begin({*names, *self._pending}, portion)
        own = self._hosts.own_error() if names else None
        for name in names:
            self._pending.pop(name, None)
            self._replace(name, self._make(name, mono_s, own))
        self._version = version  # what came meanwhile has a higher number, and is made again
        return mono_s, version

    def _begin(self, names: Iterable[str], portion: int | None) -> list[str]:
        """Those to make at once; the others have no row until then."""
        self._pending = dict.fromkeys(sorted(names, key=natural))
        for name in self._pending:
            self._replace(name, None)
        return list(islice(self._pending, portion))

    def _replace(self, name: str, row: Row | None) -> None:
        self._totals.change(self._rows.pop(name, None), row)
        if row is not None:
            self._rows[name] = row

    def _make(self, name: str, mono_s: float, own: OwnError | None) -> Row | None:
        host = self._hosts.get(name)
        if host is None:
            return silent_row(name, self.tags.of(name)) if name in self.expected else None
        now = glance(self._hosts, host, own)
        of: SparkOf = "gpu" if now.gpus else "cpu"
        newest = mean([gpu.util_percent for gpu in now.gpus]) if of == "gpu" else now.cpu_percent
        drawn = spark(self._hosts.minutes(host), of, mono_s, (now.latest.received_mono_s, newest))
        return row_of(now, self._hosts.clock.wall(), self.tags.of(name), drawn, of, self._alias, self._nameless)


class Fleets:
    """With the users' names, and with letters for them where the settings hide them on a wall screen."""

    def __init__(self, hosts: Hosts, names: HostNames) -> None:
        self.named = Fleet(hosts, names)
        self.of_kiosk = Fleet(hosts, names, Aliases().of) if names.hide_users_in_kiosk else self.named

    def shown(self, *, kiosk: bool) -> Fleet:
        return self.of_kiosk if kiosk else self.named

    def rest(self) -> None:
        self.named.rest()
        self.of_kiosk.rest()
