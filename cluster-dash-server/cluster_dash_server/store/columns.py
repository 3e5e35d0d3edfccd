"""Takes many posts' points, gives them as one Arrow table of `metric_points`, its rows in the order of the table's key.

Hosts send the same series again and again, so what a layout says of them is worked out once and not for each post.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from ..points import Layout, Points

MOST_NAMES = 50_000
"""Of each kind, that are remembered; beyond them all are forgotten, and learnt again."""
MOST_BYTES = 2**24
"""Of all names, the same: who sends ever new ones may send long ones."""
MOST_RANKS = 2**16


class Names:
    """Texts as codes, in the order in which they came."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._array: Any = pa.array([], pa.string())
        self._ranks = np.zeros(0, np.int32)
        self._bytes, self._measured = 0, 0

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def bytes(self) -> int:
        """Of memory, that the texts take."""
        if self._measured < len(self._codes):
            self._bytes += sum(map(sys.getsizeof, islice(self._codes, self._measured, None)))
            self._measured = len(self._codes)
        return self._bytes

    def codes(self, texts: Iterable[str]) -> Any:
        known = self._codes
        return np.array([known.setdefault(text, len(known)) for text in texts], np.int32)

    def array(self, codes: Any) -> Any:
        if len(self._array) != len(self._codes):
            self._array = pa.array(list(self._codes), pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(codes), self._array)

    def ranks(self, codes: Any) -> Any:
        """Numbers in the order of the texts, which is that of their UTF-8."""
        if len(self._ranks) != len(self._codes):
            texts = list(self._codes)
            self._ranks = np.empty(len(texts), np.int32)
            self._ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
        return self._ranks[codes]


class _Fixed(NamedTuple):
    """What is the same in each row of a layout: columns of one length, by tags."""

    order: Any
    """Where the values stand in a row."""
    metric: Any
    device: Any
    unit: Any
    tags: Any


class Columns:
    """Not safe for threads by itself."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._hosts, self._metrics, self._units, self._tags = Names(), Names(), Names(), Names()
        self._fixed: WeakKeyDictionary[Layout, _Fixed] = WeakKeyDictionary()

    def table_of(self, posts: Sequence[Points]) -> Any:
        """Without what is missing."""
        names = (self._hosts, self._metrics, self._units, self._tags)
        if max(map(len, names)) > MOST_NAMES or sum(each.bytes for each in names) > MOST_BYTES:
            self._forget()
        by_time = sorted(((math.floor(each.event_time * 1000), each) for each in posts), key=lambda each: each[0])
        points = [each for _, each in by_time]
        fixed = [self._fixed_of(each.layout) for each in points]
        rows = [len(each.order) for each in fixed]
        at_ms = np.repeat(np.array([at for at, _ in by_time], np.int64), rows)
        value = np.concatenate([np.asarray(a.row, np.float64)[b.order] for a, b in zip(points, fixed, strict=True)])
        host = np.repeat(self._hosts.codes(each.host for each in points), rows)
        metric, device, unit, tags = (np.concatenate(column) for column in list(zip(*fixed, strict=True))[1:])
        order = self._order(np.flatnonzero(~np.isnan(value)), metric, host, device)
        return pa.table(
            {
                "event_time": pa.array(at_ms[order], pa.timestamp("ms", tz="UTC")),
                "run_id": pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(order), np.int32)), pa.array([""])),
                "host": self._hosts.array(host[order]),
                "device": pa.array(device[order]),
                "metric": self._metrics.array(metric[order]),
                "value": pa.array(value[order]),
                "unit": self._units.array(unit[order]),
                "tags_json": self._tags.array(tags[order]).dictionary_decode(),
            }
        )

    def _fixed_of(self, layout: Layout) -> _Fixed:
        known = self._fixed.get(layout)
        if known is None:
            order = sorted(range(len(layout.series)), key=lambda at: layout.series[at].tags_json)
            series = [layout.series[at] for at in order]
            known = self._fixed[layout] = _Fixed(
                np.array(order, np.int32),
                self._metrics.codes(key.metric for key in series),
                np.array([key.device for key in series], np.uint16),
                self._units.codes(layout.units[at] for at in order),
                self._tags.codes(key.tags_json for key in series),
            )
        return known

    def _order(self, present: Any, metric: Any, host: Any, device: Any) -> Any:
        """The rows that are present, by metric, host and device; those that are alike stay by time and tags.

        ClickHouse needs no order, but to find one takes it longer than all else of an insert.
        """
        if max(len(self._metrics), len(self._hosts)) > MOST_RANKS:
            return present
        keys = (device, self._hosts.ranks(host).astype(np.uint16), self._metrics.ranks(metric).astype(np.uint16))
        return present[np.lexsort([key[present] for key in keys])]
