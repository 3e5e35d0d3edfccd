"""Takes a question to the store, gives its answer, or the refusal that says why there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import Refusal
from ..store import StoreAway, TooSlow
from ..store.series import TooMuch

if TYPE_CHECKING:
    from ..store.store import Store

T = TypeVar("T")

log = logging.getLogger(__name__)

PATHS = frozenset({"/api/series", "/api/metrics", "/api/events", "/api/history-data", "/history"})
"""Of the routes that ask it, which may take seconds."""
NO_STORE = "this server keeps no history: [store] url is none"
AWAY = "the store does not answer; the server's log says why"


def asked(store: Store | None, question: Callable[[Store], T]) -> T:
    """With all that was acknowledged until now. Raises Refusal."""
    if store is None:
        raise Refusal(404, NO_STORE)
    try:
        store.carry_what_waits()
        return question(store)
    except TooMuch as error:
        raise Refusal(400, str(error)) from None
    except TooSlow as error:
        raise Refusal(503, str(error)) from None
    except StoreAway as error:
        log.warning("a question to the store failed: %s", error)
        raise Refusal(503, AWAY, retry_after_s=10) from None
