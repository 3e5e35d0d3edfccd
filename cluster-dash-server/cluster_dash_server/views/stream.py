"""`GET /stream`: what changes, as server-sent events. The one place that knows its two kinds.

The short kind, `?hold=0`, answers what is new and closes; the browser's EventSource comes back by itself after `retry`.
So a page that is looked at holds no thread. The held kind stays open for `curl -N` and other clients: a thread each, so
their number is limited, and one more gets the short kind, never an error: EventSource gives up for good on one.
"""

from __future__ import annotations

import random
import threading
import zlib
from collections.abc import Iterator

import orjson
from flask import Blueprint, Response, request

from ..config import Config
from ..gpus import FREE_BELOW_MIB, FREE_BELOW_PERCENT, WORKS_FROM_PERCENT
from ..live.changes import Changes
from .fleet.model import Fleet, Fleets, Look
from .kiosk import is_kiosk

MORE = b"event: more\ndata:\n\n"
"""Tells a page not to wait before it asks again."""
RETRY_MS = (1_700, 2_300)
"""Varied, so that a hundred pages that lost the server don't come back in one moment."""
EVERY_S = 1.0
"""A held stream tells at most so often."""
HEARTBEAT_S = 5.0
"""A client that left is noticed by what can't be sent to it: at the second heartbeat at the latest."""
PORTION = 200
"""Hosts whose rows are made for one answer where all are to be made: a tenth of a second of work. The client then asks
for the next at once, and has something to look at meanwhile."""
GZIP_LEVEL = 1
_GZIP = 31


class Held:
    """The streams that hold a thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def take(self) -> bool:
        """Whether there is room for one more; then it must be given back."""
        with self._lock:
            if self._open >= self._most or self._ended.is_set():
                return False
            self._open += 1
            return True

    def give_back(self) -> None:
        with self._lock:
            self._open -= 1

    @property
    def open(self) -> int:
        return self._open

    def end(self) -> None:
        """All of them, within a moment: the server ends."""
        self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Whether to go on."""
        return not self._ended.wait(seconds)


def routes(fleets: Fleets, changes: Changes, config: Config, held: Held) -> Blueprint:
    blueprint = Blueprint("stream", __name__)
    settings = _settings(config)

    @blueprint.get("/stream")
    def stream() -> Response:
        fleet = fleets.shown(kiosk=is_kiosk())
        since = _since(changes)
        events = _Events(fleet, changes, settings, since)
        is_held = request.args.get("hold") != "0" and request.method == "GET" and held.take()
        body: Iterator[bytes] = _held(events, held) if is_held else iter([events.next()])
        packed = request.accept_encodings["gzip"] > 0
        response = Response(_packed(body) if packed else body, mimetype="text/event-stream")
        if is_held:
            response.call_on_close(held.give_back)
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept-Encoding"})
        return response

    return blueprint


def _since(changes: Changes) -> int | None:
    """The version that the client has; None where it has none of this start of the server."""
    epoch, _, version = (request.headers.get("Last-Event-ID") or request.args.get("since", "")).partition("-")
    is_number = version.isascii() and version.isdigit() and len(version) <= 16
    return int(version) if epoch == changes.epoch and is_number else None


def _settings(config: Config) -> dict[str, object]:
    """What the page must know to word things."""
    return {
        "idle_after_s": config.live.idle_after_minutes * 60,
        "works_from_percent": WORKS_FROM_PERCENT,
        "free_below_mib": FREE_BELOW_MIB,
        "free_below_percent": FREE_BELOW_PERCENT,
        "hide_users_in_kiosk": config.hosts.hide_users_in_kiosk,
        "tags": sorted(config.hosts.tags),
    }


class _Events:
    """Of one client."""

    def __init__(self, fleet: Fleet, changes: Changes, settings: dict[str, object], since: int | None) -> None:
        self._fleet, self._changes, self._settings, self._since = fleet, changes, settings, since
        self.has_more = False
        """Whether the next one is ready at once."""

    def next(self) -> bytes:
        """What is new, with how soon to come back; a comment where nothing is."""
        return b"retry: %d\n" % random.randint(*RETRY_MS) + (self.new() or b": nothing new\n\n")  # noqa: S311

    def new(self) -> bytes:
        """An event, or nothing."""
        look = self._fleet.look(self._since, PORTION)
        self.has_more = look.pending > 0
        if not look.is_full and not look.rows and not look.gone:
            return b""
        self._since = look.version
        event = b"id: %s-%d\nevent: hosts\ndata: %b\n\n" % (
            self._changes.epoch.encode(),
            look.version,
            self._data(look),
        )
        return event + MORE if self.has_more else event

    def _data(self, look: Look) -> bytes:
        head = orjson.dumps(
            {
                "version": look.version,
                "full": look.is_full,
                "now": round(look.now_s, 3),
                "settings": self._settings,
                "totals": look.totals,
                "users": look.users,
                "gone": look.gone,
                "pending": look.pending,
            }
        )
        rows = b",".join([row.json.filled(look.mono_s) for row in look.rows])
        return b'%b,"hosts":[%b]}' % (head[:-1], rows)


def _held(events: _Events, held: Held) -> Iterator[bytes]:
    yield events.next()
    silent_s = 0.0
    while held.wait(0 if events.has_more else EVERY_S):
        silent_s += EVERY_S
        if new := events.new():
            yield new
        elif silent_s >= HEARTBEAT_S:
            yield b": still here\n\n"
        else:
            continue
        silent_s = 0.0


def _packed(body: Iterator[bytes]) -> Iterator[bytes]:
    """Each piece can be read at once."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP)
    for piece in body:
        yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
