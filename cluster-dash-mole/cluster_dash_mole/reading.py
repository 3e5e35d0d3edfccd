"""Takes single numbers with their metric, gives the `metrics` columns of a post; what every collector hands back."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import TypeAlias

    Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_PART_BYTES = 65536


class Metric(NamedTuple):
    """A number that is sent beside the seed's fields. Declared once, beside the code that reads it."""

    name: str
    unit: str
    help: str


class Sample(NamedTuple):
    """One value of a metric. `value` None or not finite = not read: it is left out with its device and tags."""

    metric: Metric
    value: float | None
    device: int | None = None
    tags: Mapping[str, str] | None = None


@dataclass
class Reading:
    """What one collector read in one round.

    `sections` are parts of the post by their key there, `errors` what could not be read, in words, by its source,
    `events` what happened since the last round: each is a dict with time, kind, text and, where it has them, device and
    data. `columns` are metrics as a post has them, from where there are too many for a Sample each.
    """

    sections: dict[str, Json] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Json]] = field(default_factory=list)
    columns: dict[str, dict[str, Json]] = field(default_factory=dict)


def read_text(path: str) -> str:
    """The whole file; bytes that aren't UTF-8 become surrogates. Half the time of Path.read_text: there are many."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = [os.read(descriptor, _PART_BYTES)]
        while parts[-1]:
            parts.append(os.read(descriptor, _PART_BYTES))
    finally:
        os.close(descriptor)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def read_optional(path: str) -> str:
    """The whole file, "" where the kernel has none, or keeps it from us: that is no failure."""
    try:
        return read_text(path)
    except OSError:
        return ""


class KeptFile:
    """A file of /proc that is read each round. It stays open, as opening it takes as long as reading it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._descriptor: int | None = None

    def read_text(self) -> str:
        """The whole file as it is now; bytes that aren't UTF-8 become surrogates."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = part = os.pread(self._descriptor, _PART_BYTES, 0)
            while part:
                part = os.pread(self._descriptor, _PART_BYTES, len(content))
                content += part
        except OSError:
            self._close()
            raise
        return content.decode("utf-8", "surrogateescape")

    def read_optional(self) -> str:
        """The whole file, "" where the kernel has none, or keeps it from us: that is no failure."""
        try:
            return self.read_text()
        except OSError:
            return ""

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self._close()


def assemble_metrics(samples: Sequence[Sample]) -> dict[str, dict[str, Json]]:
    """The post's `metrics`: by name unit, help and the columns value, device, tags; an empty column is absent."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.value is not None and math.isfinite(sample.value):
            by_name.setdefault(sample.metric.name, []).append(sample)
    return {name: _columns(rows[0].metric, rows) for name, rows in by_name.items()}


def _columns(metric: Metric, rows: Sequence[Sample]) -> dict[str, Json]:
    columns: dict[str, Json] = {"unit": metric.unit, "help": metric.help, "value": [row.value for row in rows]}
    devices, tags = [row.device for row in rows], [row.tags for row in rows]
    if devices.count(None) < len(rows):
        columns["device"] = devices
    if tags.count(None) < len(rows):
        columns["tags"] = [tag or {} for tag in tags]
    return columns
