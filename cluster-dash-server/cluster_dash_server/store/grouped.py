"""Takes rows of points or buckets in the order of their series and time, gives each series' columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

NO_DEVICE = 65535
KEY = ("metric", "host", "run_id", "rank", "device", "tags_json")
COLUMNS = ("time", "value", "min", "max", "mean", "count", "not_finite")


@dataclass(slots=True)
class Series:
    """Columns of one length, by time, as arrays of numpy. NaN is what no number was given for."""

    metric: str
    unit: str
    host: str
    run_id: str
    rank: int
    device: int | None
    tags_json: str
    time: Any
    """Unix seconds; of a bucket its start."""
    value: Any
    """Of a bucket the last."""
    min: Any = ()
    max: Any = ()
    mean: Any = ()
    """These three are of the finite numbers."""
    count: Any = ()
    """Of all points. These four are empty where points are raw."""
    not_finite: Any = ()
    """How many of them are NaN or infinite; empty where none is."""


def grouped(table: Any) -> list[Series]:
    """Of an Arrow table with the columns of KEY, `its_unit`, and of COLUMNS those that it has."""
    if not table.num_rows:
        return []
    keys = [table[name].combine_chunks() for name in KEY]
    is_new = np.zeros(table.num_rows, bool)
    is_new[0] = True
    for key in keys:
        code = key.dictionary_encode().indices.to_numpy()
        is_new[1:] |= code[1:] != code[:-1]
    starts = np.flatnonzero(is_new).tolist()
    firsts = [[each[at].as_py() for at in starts] for each in (*keys, table["its_unit"])]
    columns = {name: table[name].to_numpy() for name in COLUMNS if name in table.column_names}
    found: list[Series] = []
    for start, end, first in zip(starts, [*starts[1:], table.num_rows], zip(*firsts, strict=True), strict=True):
        metric, host, run_id, rank, device, tags_json, unit = first
        own = {name: column[start:end] for name, column in columns.items()}
        if "not_finite" in own and not own["not_finite"].any():
            del own["not_finite"]
        no_device = None if device == NO_DEVICE else device
        found.append(Series(metric, unit, host, run_id, rank, no_device, tags_json, **own))
    return found
