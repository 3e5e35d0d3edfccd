"""Takes the body of a POST, gives what the server answers to it, within a deadline over the whole exchange."""

from __future__ import annotations

import email.utils
import gzip
import json
import re
import ssl
import time
from typing import TYPE_CHECKING, Any, cast

import requests
import urllib3
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from cluster_dash_mole import __version__
from cluster_dash_mole.backend import DeliveryError
from cluster_dash_mole.deadline import Deadline, DeadlineAdapter

if TYPE_CHECKING:
    from cluster_dash_mole.config import JsonSenderLoggerSettings

_REFUSED_FOR_GOOD = (400, 409, 413, 415, 422)  # the same post would be refused again
_MOST_ANSWER_BYTES = 65536
_LEAST_GZIPPED_BYTES = 1024
_LONGEST_ASKED_S = 3600.0  # what a server may ask for as a wait; a wrong answer shall not silence a mole for good
# Words of http.client and urllib3 within an error of an answer, and what they mean.
_UNREADABLE = {
    "BadStatusLine": "it is no HTTP",
    "failed to decode": "its compression is damaged",
    "IncompleteRead": "it ends too early, or its chunks are wrong",
    "got more than": "its headers are too many or too long",
}
_NO_CONNECTION = re.compile(
    r"\[Errno -?\d+\] ([^'\")]+)"
    r"|(Remote end closed connection without response)"
    r"|ConnectionResetError\(\d+, '([^']+)'\)"
    r"|(Tunnel connection failed: [^')]+)"
)


class Exchange:
    """POSTs to one address, one at a time. `takes_gzip`: what the server has said of itself, as RFC 7694 lets it."""

    def __init__(self, settings: JsonSenderLoggerSettings, address: str) -> None:
        self._settings = settings
        self._address = address
        self.takes_gzip = False
        self._deadline = Deadline()
        self._proxies = {"http": settings.proxy, "https": settings.proxy} if settings.proxy else {}
        self._adapter = DeadlineAdapter(self._deadline, open_tls(settings))
        self._request: requests.PreparedRequest | None = None
        self._is_busy = self._is_closed = False

    def post(self, body: bytes, closes: bool = True) -> dict[str, Any]:
        """What the server answers to what it has taken; packed where it takes that. DeliveryError where it hasn't."""
        headers = {"Content-Type": "application/json", "Connection": "close" if closes else "keep-alive"}
        is_packed = self._settings.gzip and self.takes_gzip and len(body) > _LEAST_GZIPPED_BYTES
        if is_packed:
            body = gzip.compress(body, 6)
            headers["Content-Encoding"] = "gzip"
        try:
            return self._post(body, headers, closes)
        except DeliveryError as error:
            if not is_packed or error.retry:
                raise
            # Another server may stand there now, which can't unpack.
            self.takes_gzip = False
            raise DeliveryError(str(error), wait_s=error.wait_s, status=error.status) from error

    def _post(self, body: bytes, headers: dict[str, str], closes: bool) -> dict[str, Any]:
        timeout_s = self._settings.timeout_in_secs
        self._is_busy = True
        try:
            request = self._prepare(body, headers)
            with (
                self._deadline.running(timeout_s),
                self._adapter.send(request, stream=True, timeout=timeout_s, proxies=self._proxies) as response,
            ):
                self.takes_gzip = "gzip" in response.headers.get("Accept-Encoding", "").lower()
                return check_answer(response, read_answer(response))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, DeliveryError) as error:
            if self._deadline.has_passed:  # half an answer can look like a whole one that is wrong
                raise DeliveryError(f"no answer within {timeout_s:g} s") from error
            if isinstance(error, DeliveryError):
                raise
            raise DeliveryError(explain_request_error(error, timeout_s)) from error
        finally:
            self._is_busy = False
            if closes or self._is_closed:
                self._adapter.hang_up()

    def _prepare(self, body: bytes, headers: dict[str, str]) -> requests.PreparedRequest:
        """The same request each time, but for the body and its headers.

        A Session of requests would take a third of a post's CPU for what is not wanted here: cookies, redirects, and
        the environment's proxies and passwords.
        """
        if self._request is None:
            agent = {"User-Agent": f"cluster-dash-mole/{__version__}", "Accept": "*/*"}
            self._request = requests.Request("POST", self._address, headers=agent).prepare()
        self._request.headers.pop("Content-Encoding", None)
        self._request.headers.update({**headers, "Content-Length": str(len(body))})
        self._request.body = body
        return self._request

    def close(self) -> None:
        """Close a connection that was kept; one that is in use closes with its answer."""
        self._is_closed = True
        self._adapter.close()
        if not self._is_busy:
            self._adapter.hang_up()


def open_tls(settings: JsonSenderLoggerSettings) -> ssl.SSLContext | None:
    """TLS 1.2 or newer, with the authorities of the settings, else the public ones; None for plain HTTP.

    Python 3.13 and newer refuse certificates for want of formal fields, which those of one's own authority often lack:
    what is good under one Python must be under the next.
    """
    if not settings.address_in.lower().startswith("https:"):
        return None
    context = create_urllib3_context()
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the log says so, once an hour
    else:
        context.load_verify_locations(cafile=settings.ca_file or DEFAULT_CA_BUNDLE_PATH)
        if settings.ca_file:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def read_answer(response: requests.Response) -> bytes:
    """The body, up to 64 KiB; the deadline ends one that comes too slowly."""
    body = b""
    while len(body) < _MOST_ANSWER_BYTES:
        part = response.raw.read1(_MOST_ANSWER_BYTES - len(body), decode_content=True)
        if not part:
            break
        body += part
    return body


def check_answer(response: requests.Response, body: bytes) -> dict[str, Any]:
    """The answer; raises DeliveryError unless the server says {"success": true}."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    said = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    status = response.status_code
    if status == 200 and said.get("success") is True:
        return said
    retry, wait_s = status not in _REFUSED_FOR_GOOD, read_retry_after(response.headers.get("Retry-After"), time.time())
    if response.is_redirect:
        reason = f"redirects to {response.headers.get('Location')}: put the final address in address_in"
    elif "msg" in said:
        reason = f"answers {status}: {said['msg']}"
    else:
        reason = f"answers {status}, but not as a cluster-dash server does"
    raise DeliveryError(reason, retry, wait_s, status)


def read_retry_after(header: str | None, now: float) -> float:
    """Seconds to wait, at most an hour; 0 where the header, a number of seconds or a date, says nothing of use."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_ASKED_S)
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
    return min(max(0.0, at - now), _LONGEST_ASKED_S)


def explain_request_error(error: Exception, timeout_s: float) -> str:
    """Short and without object addresses, so that the same cause gives the same text."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {timeout_s:g} s"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        known = re.search(r"\[SSL: [^\]]*\] [^()]*", str(error))
        return f"TLS fails: {known.group(0).strip() if known else type(error).__name__}"
    text = str(error)
    for words, meaning in _UNREADABLE.items():
        if words in text:
            return f"its answer can't be read: {meaning}"
    known = _NO_CONNECTION.search(text)
    return f"no connection: {next(filter(None, known.groups())) if known else type(error).__name__}"
