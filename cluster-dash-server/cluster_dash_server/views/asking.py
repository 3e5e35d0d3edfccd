"""Takes a question to the store, gives its answer, or the refusal that says why there is none."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeVar

from flask import request
from werkzeug.datastructures import MultiDict

from ..asker import HAS_LEFT
from ..errors import Refusal
from ..store import NobodyWaits, StoreAway, StoreBusy, TooSlow
from ..store.series import TooMuch

if TYPE_CHECKING:
    from ..store.store import Store

T = TypeVar("T")

log = logging.getLogger(__name__)

PATHS = frozenset({"/api/series", "/api/metrics", "/api/events", "/api/history-data", "/history"})
"""Of the routes that ask it, which may take seconds."""
LATEST_S = 2**33
LONGEST_TEXT = 256
METRIC = "metric"
MOST_METRICS = 50
NO_STORE = "this server keeps no history: [store] url is none"
AWAY = "the store does not answer; the server's log says why"


def ask(store: Store | None, question: Callable[[Store], T]) -> T:
    """With all that was acknowledged until now. Raises Refusal."""
    if store is None:
        raise Refusal(404, NO_STORE)
    try:
        store.carry_what_waits()
        with store.asked_by(request.environ.get(HAS_LEFT, lambda: False)):
            return question(store)
    except TooMuch as error:
        raise Refusal(400, str(error)) from None
    except (TooSlow, NobodyWaits) as error:
        raise Refusal(503, str(error)) from None
    except StoreAway as error:
        log.warning("a question to the store failed: %s", error)
        text = str(error) if isinstance(error, StoreBusy) else AWAY
        raise Refusal(503, text, retry_after_s=10) from None


def check_names(asked: MultiDict[str, str], names: Collection[str]) -> None:
    """What isn't asked for as it was meant isn't answered. `metric` may stand there several times. Raises Refusal."""
    for name, values in asked.lists():
        if name not in names:
            raise Refusal(400, f"there is no {name[:LONGEST_TEXT]!r} here, only {', '.join(names)}")
        most = MOST_METRICS if name == METRIC else 1
        if len(values) > most:
            raise Refusal(400, f"{name} may be given {f'up to {most} times' if most > 1 else 'once'}")


def read_range(asked: MultiDict[str, str], now_s: float, usual_s: float) -> tuple[float, float]:
    """`from` and `to`, Unix seconds: without them the newest `usual_s`. Raises Refusal."""
    end_s = read_number(asked, "to", 0, LATEST_S, now_s)
    start_s = read_number(asked, "from", 0, LATEST_S, max(0.0, end_s - usual_s))
    if not start_s < end_s:
        raise Refusal(400, "from must be before to, both Unix seconds")
    return start_s, end_s


def read_whole(asked: MultiDict[str, str], name: str, least: int, most: int) -> int | None:
    """None where it isn't given. Raises Refusal."""
    if name not in asked:
        return None
    value = read_number(asked, name, least, most, least)
    if value != int(value):
        raise Refusal(400, f"{name}={asked[name][:LONGEST_TEXT]!r} must be a whole number")
    return int(value)


def read_number(asked: MultiDict[str, str], name: str, least: float, most: float, default: float) -> float:
    """Raises Refusal."""
    text = asked.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise Refusal(400, f"{name}={text[:LONGEST_TEXT]!r} must be a number from {least:.0f} to {most:.0f}")
    return value
