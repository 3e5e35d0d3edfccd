"""Takes what a host tells of itself, says what of it can't be: drivers, sensors and scripts have been seen to tell it.

What can't be is no value: it is in no row and no sum, frees no GPU, and is told as a fault of its GPU or host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

MOST_MIB = 2**24
"""16 TiB: of a GPU, one that shares its host's memory included."""
SLACK_MIB = 1.0
"""In use may be more than there is by what rounding does."""


class Limits(NamedTuple):
    what: str
    least: float
    most: float
    unit: str


SENSORS: Mapping[str, Limits] = {
    "sys.gpu.power_w": Limits("power", 0, 10_000, "W"),
    "sys.gpu.power_limit_w": Limits("power limit", 0, 10_000, "W"),
    "sys.gpu.temperature_c": Limits("temperature", -60, 250, "°C"),
}
"""By metric, of a GPU: far beyond what any has and far below what a broken sensor tells."""


def is_share(percent: float) -> bool:
    return 0 <= percent <= 100


def is_size(mib: float) -> bool:
    return 0 <= mib <= MOST_MIB


def gpu_faults(total_mib: float | None, used_mib: float | None, util_percent: float | None) -> tuple[str, str]:
    """What of a GPU's memory and of its utilisation can't be; "" where it can."""
    is_sound = (
        (total_mib is not None and used_mib is not None and util_percent is not None)
        and 0 <= used_mib <= total_mib <= MOST_MIB
        and 0 <= util_percent <= 100
    )
    if is_sound:  # nearly always, and asked at each post
        return "", ""
    memory = util = ""
    if total_mib is not None and not is_size(total_mib):
        memory = f"{total_mib:g} MiB of memory"
    elif used_mib is not None and not 0 <= used_mib <= (total_mib or MOST_MIB) + SLACK_MIB:
        memory = f"{used_mib:g} MiB in use" + (f" of {total_mib:g}" if total_mib else "")
    if util_percent is not None and not is_share(util_percent):
        util = f"utilisation of {util_percent:g} %"
    return memory, util


def told(*faults: str) -> str:
    """The faults in words."""
    return "it tells what can't be: " + " and ".join(filter(None, faults))


def can_be(values: Collection[float], metric: str) -> bool:
    """Whether a metric's values all can."""
    limits = SENSORS.get(metric)
    return limits is None or not values or (limits.least <= min(values) and max(values) <= limits.most)


def without_impossible(values: dict[int, float], metric: str) -> dict[int, float]:
    """A metric's values by GPU, those that can be."""
    if can_be(values.values(), metric):
        return values
    limits = SENSORS[metric]
    return {gpu: value for gpu, value in values.items() if limits.least <= value <= limits.most}


def faults_of(values: Mapping[int, float], metric: str) -> Iterator[tuple[int, str]]:
    """The GPU and what can't be, for each such value."""
    limits = SENSORS[metric]
    for gpu, value in values.items():
        if not limits.least <= value <= limits.most:
            yield gpu, f"a {limits.what} of {value:g} {limits.unit}"
