"""Takes posts, brings each backend the newest one: JSON over HTTP, or a table or JSON lines on stdout."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import requests

from cluster_dash_mole import __version__
from cluster_dash_mole.table import render_table

if TYPE_CHECKING:
    from cluster_dash_mole.config import JsonSenderLoggerSettings, StdOutLoggerSettings

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
LONGEST_BACK_OFF_S = 60.0
KEEP_CONNECTION_BELOW_S = 2.0  # a server has few connections: only who posts more often keeps one
_REFUSED_FOR_GOOD = (400, 413, 415, 422)  # the same post would be refused again
_MOST_ANSWER_BYTES = 65536
_MOST_REASON = 300


class DeliveryError(Exception):
    """Why a post was not taken, for a person. `retry` False: this very post will never be taken."""

    def __init__(self, reason: str, retry: bool = True) -> None:
        text = "".join(letter if letter.isprintable() else " " for letter in reason)
        super().__init__(text if len(text) <= _MOST_REASON else text[:_MOST_REASON] + "…")
        self.retry = retry


class Backend:
    """A way out, with a thread of its own that keeps only the newest post waiting, so nothing slow delays readings.

    A subclass delivers. Posts are numbered without a gap as they are handed in, so a gap at the receiver is a post
    that was lost on the way.
    """

    target = ""

    def __init__(self, min_interval_s: float, poll_interval_s: float) -> None:
        # A poll may come a little early; without the slack each second one would be left out then.
        self._least_s = min_interval_s - poll_interval_s / 10
        self.interval_s = poll_interval_s
        while self.interval_s < self._least_s:
            self.interval_s += poll_interval_s
        self._last_at: float | None = None
        self._seq = 0
        self._changed = threading.Condition()
        self._waiting: dict[str, Any] | None = None
        self._busy = False
        self._closed = False
        self._failures = 0
        self._lost = 0
        self._reasons: set[str] = set()
        threading.Thread(target=self._run, name=type(self).__name__, daemon=True).start()

    def due(self, now: float) -> bool:
        """Whether the least time between two posts has passed, by the clock of `now`."""
        return self._last_at is None or now - self._last_at >= self._least_s

    def send(self, post: dict[str, Any], now: float) -> None:
        """Hand a post in; one that still waits is given up for it."""
        self._last_at = now
        self._seq += 1
        numbered = {**post, "mole": {**post["mole"], "seq": self._seq, "interval_s": self.interval_s}}
        with self._changed:
            self._lost += self._waiting is not None
            self._waiting = numbered
            self._changed.notify_all()

    def deliver(self, post: dict[str, Any]) -> None:
        """Bring one post there; DeliveryError when it was not taken."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._closed:
            self._pause(self._step())

    def _step(self) -> float:
        """Deliver the newest post, waiting for one; the seconds to stay away after it."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._closed)
            post, self._waiting = self._waiting, None
            self._busy = post is not None
        if post is None:
            return 0.0
        try:
            self.deliver(post)
        except DeliveryError as error:
            return self._note_failure(post, error)
        except Exception as error:
            log.exception("%s: a post could not be sent", self.target)
            return self._note_failure(post, DeliveryError(str(error), retry=False))
        finally:
            self._busy = False
        self._note_success()
        return 0.0

    def _note_failure(self, post: dict[str, Any], error: DeliveryError) -> float:
        """Log a reason once until the next success; exponential back-off, jittered so that moles don't come at once."""
        reason = str(error)
        if reason not in self._reasons and len(self._reasons) < 10:
            self._reasons.add(reason)
            log.warning("%s: %s; trying on, this is logged once", self.target, reason)
        self._failures += 1
        with self._changed:
            if error.retry and self._waiting is None:
                self._waiting = post
            else:
                self._lost += 1
        if not error.retry:
            return 0.0
        return random.uniform(0, min(LONGEST_BACK_OFF_S, 2.0 ** min(self._failures, 10)))  # noqa: S311  no secret

    def _note_success(self) -> None:
        if self._failures:
            log.info("%s: works again after %d failures; posts lost: %d", self.target, self._failures, self._lost)
        self._failures = self._lost = 0
        self._reasons.clear()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def close(self, patience_s: float = 0.2) -> None:
        """Stop; a delivery that is under way gets a moment, then the process ends without it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        until = time.monotonic() + patience_s
        while self._busy and time.monotonic() < until:
            time.sleep(0.01)


class JsonSenderLogger(Backend):
    """Posts to the server. The auth_code is added here and nowhere else."""

    def __init__(self, settings: JsonSenderLoggerSettings, poll_interval_s: float) -> None:
        self._settings = settings
        self.target = settings.address_in
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy or .netrc of the environment is not meant for a host's own mole
        self._session.headers.update({"User-Agent": f"cluster-dash-mole/{__version__}"})
        super().__init__(settings.min_interval_in_secs, poll_interval_s)
        if self._closes:
            self._session.headers["Connection"] = "close"

    @property
    def _closes(self) -> bool:
        return self.interval_s >= KEEP_CONNECTION_BELOW_S

    def close(self, patience_s: float = 0.2) -> None:
        """Stop, and close a connection that was kept."""
        super().close(patience_s)
        self._session.close()

    def deliver(self, post: dict[str, Any]) -> None:
        """One POST; taken is what the server calls a success."""
        body = json.dumps({**post, "auth_code": self._settings.auth_code}, allow_nan=False).encode()
        headers = {"Content-Type": "application/json"}
        try:
            with self._session.post(
                self.target, body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True
            ) as response:
                check_answer(response, read_answer(response))
        except (requests.RequestException, OSError) as error:
            raise DeliveryError(explain_request_error(error)) from error
        finally:
            if self._closes:
                self._session.close()  # else the pool keeps the closed connection's descriptor until the next post


def read_answer(response: requests.Response) -> bytes:
    """The body, up to 64 KiB and for at most the timeout, however slowly it comes."""
    body = b""
    until = time.monotonic() + TIMEOUT_S
    while len(body) < _MOST_ANSWER_BYTES and time.monotonic() < until:
        part = response.raw.read1(_MOST_ANSWER_BYTES, decode_content=True)
        if not part:
            break
        body += part
    return body


def check_answer(response: requests.Response, body: bytes) -> None:
    """Raise DeliveryError unless the server says {"success": true}."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    said = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    status = response.status_code
    if status == 200 and said.get("success") is True:
        return
    if response.is_redirect:
        raise DeliveryError(f"redirects to {response.headers.get('Location')}: put the final address in address_in")
    if "msg" not in said:
        raise DeliveryError(f"answers {status}, but not as a cluster-dash server does", status not in _REFUSED_FOR_GOOD)
    raise DeliveryError(f"answers {status}: {said['msg']}", status not in _REFUSED_FOR_GOOD)


def explain_request_error(error: Exception) -> str:
    """Short and without object addresses, so that the same cause gives the same text."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {TIMEOUT_S:g} s"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS fails: {error}"
    known = re.search(r"\[Errno -?\d+\] ([^'\")]+)|Remote end closed connection without response", str(error))
    return f"no connection: {known.group(1) or known.group(0)}" if known else f"no connection: {type(error).__name__}"


class StdOutLogger(Backend):
    """On a terminal a table, else one JSON object a line. Never the auth_code: a post doesn't have it."""

    target = "stdout"

    def __init__(self, settings: StdOutLoggerSettings, poll_interval_s: float, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._is_terminal = os.isatty(descriptor)
        self._is_gone = False
        super().__init__(settings.min_interval_in_secs, poll_interval_s)

    def deliver(self, post: dict[str, Any]) -> None:
        """Written straight to the descriptor: a buffer of Python's would block the exit when nobody reads."""
        if self._is_gone:
            return
        if self._is_terminal:
            text = render_table(post, shutil.get_terminal_size().columns) + "\n\n"
        else:
            text = json.dumps(post, allow_nan=False) + "\n"
        rest = text.encode("utf-8", "replace")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._is_gone = True
            log.warning("stdout can't be written (%s): nothing more goes there", error.strerror)
