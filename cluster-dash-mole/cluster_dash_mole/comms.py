"""Takes posts, brings each backend the newest one; here the server's, JSON over HTTP."""

from __future__ import annotations

import json
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from cluster_dash_mole.backend import Backend, DeliveryError
from cluster_dash_mole.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster_dash_mole.config import JsonSenderLoggerSettings

log = logging.getLogger(__name__)

KEEP_CONNECTION_BELOW_S = 2.0  # a server has few connections: only who posts more often keeps one
_SHORTEST_ASKED_S = 1.0
_LONGEST_ASKED_S = 3600.0  # a wrong answer shall not silence a mole for good
_SAY_INSECURE_EVERY_S = 3600.0
_WAVERS_S = 1.0


class JsonSenderLogger(Backend):
    """Posts to the server. The auth_code is added here and nowhere else."""

    def __init__(
        self,
        settings: JsonSenderLoggerSettings,
        poll_interval_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.target = settings.address_in
        self._insecure_said_at: float | None = None
        self._skew_s: float | None = None
        self._exchange = Exchange(settings, self.target)
        super().__init__(settings.min_interval_in_secs, poll_interval_s)
        self.tell_if_insecure()

    @property
    def _closes(self) -> bool:
        return self.interval_s >= KEEP_CONNECTION_BELOW_S

    def tell_if_insecure(self) -> None:
        """A server that anybody could stand in for is worth a line of the log each hour."""
        now = self._clock()
        said_at = self._insecure_said_at
        if self._settings.insecure and (said_at is None or now - said_at >= _SAY_INSECURE_EVERY_S):
            self._insecure_said_at = now
            log.warning("%s: insecure = true: whoever answers there gets the auth_code; set ca_file", self.target)

    def close(self, patience_s: float = 0.2) -> None:
        """Stop, and close a connection that was kept."""
        super().close(patience_s)
        self._exchange.close()

    def word(self, error: DeliveryError) -> str:
        """A server may say again what it was sent."""
        return str(error).replace(self._settings.auth_code, "***")

    def deliver(self, post: Any) -> None:
        """One POST; taken is what the server calls a success."""
        self.deliver_body(add_auth_code(encode_post(post), self._settings.auth_code))

    def deliver_body(self, body: bytes) -> dict[str, Any]:
        """The same for what is JSON already, auth_code included; the server's answer."""
        self.tell_if_insecure()
        sent_at = time.time()
        said = self._exchange.post(body, self._closes)
        self._note_answer(said, sent_at, time.time())
        return said

    def read_skew(self) -> float | None:
        """By the `server_time` of the newest answer, right to half the time that the post took."""
        return self._skew_s

    def _note_answer(self, said: dict[str, Any], sent_at: float, answered_at: float) -> None:
        """`next_post_s` is how soon the server wants the next one, `server_time` its clock."""
        server_time = read_number(said.get("server_time"))
        # What took longer than it may was a clock that was set, or a host that slept.
        is_told = -_WAVERS_S <= answered_at - sent_at <= self._settings.timeout_in_secs + _WAVERS_S
        self._skew_s = (
            None
            if server_time is None or math.isinf(server_time) or not is_told
            else (sent_at + answered_at) / 2 - server_time
        )
        wanted_s = read_number(said.get("next_post_s"))
        self.slow_down(0.0 if wanted_s is None else min(max(_SHORTEST_ASKED_S, wanted_s), _LONGEST_ASKED_S))


def encode_post(post: dict[str, Any]) -> bytes:
    """The post as JSON, without the auth_code. Raises ValueError for a number that JSON doesn't have."""
    return json.dumps(post, allow_nan=False, separators=(",", ":")).encode()


def add_auth_code(body: bytes, auth_code: str) -> bytes:
    """The body of a POST, with the auth_code first: by it a server admits a batch before it reads the rest."""
    return b'{"auth_code":' + json.dumps(auth_code).encode() + b"," + body[1:]


def read_number(value: Any) -> float | None:
    """A number of JSON, within what a float holds; infinity is one, NaN, texts and truth values are none."""
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) else number
