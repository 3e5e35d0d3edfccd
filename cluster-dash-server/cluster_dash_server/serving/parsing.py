"""Takes the head of a request, refuses what leaves open where the request ends or whom it is for (RFC 9112)."""

from __future__ import annotations

import re

import orjson
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask

from ..headers import SECURITY_HEADERS

MOST_HEADERS = 100
RETRY_AFTER_S = 5
LONGEST_LENGTH = 18
"""Digits of a Content-Length; Python refuses to read numbers of thousands of digits with an error of its own."""
_BODY_HEADERS = (b"\r\nhost:", b"\r\ncontent-length:", b"\r\ntransfer-encoding:")
_REQUEST_LINE = re.compile(rb"[A-Z]{1,32} /[^ ]* HTTP/1\.[01]")
_FOLDED = re.compile(rb"\r\n[ \t]")

WORDS = {
    400: "this is no valid HTTP request",
    413: "the body is larger than this server takes",
    431: "the headers are larger than this server takes",
    500: "the server failed to answer this; its log says why",
    501: "only chunked is known as Transfer-Encoding",
    503: "more comes at once than this server can take: come again later",
}


class StrictParser(HTTPRequestParser):
    def parse_header(self, header_plus: bytes) -> None:
        check_head(header_plus)
        try:
            super().parse_header(header_plus)
        except ParsingError:  # its text repeats the header, which may hold a secret
            raise ParsingError("a header, the method or the length of the body can't be read") from None


def check_head(head: bytes) -> None:
    """Raises ParsingError. waitress lets two Transfer-Encodings pass, and one beside a Content-Length."""
    if head == b"GET / HTTP/1.0\r\n":  # waitress's own, for a request whose headers were too large to read
        return
    line = head[: head.find(b"\r\n")]
    if not _REQUEST_LINE.fullmatch(line):
        raise ParsingError("the request line must be METHOD /path HTTP/1.1")
    if head.count(b"\r\n") > MOST_HEADERS + 1:
        raise ParsingError(f"more than {MOST_HEADERS} headers")
    if _FOLDED.search(head):
        raise ParsingError("a header is folded over two lines")
    lower = head.lower()  # a space before the colon is refused by waitress
    hosts, lengths, codings = (lower.count(name) for name in _BODY_HEADERS)
    if max(hosts, lengths, codings) > 1:
        raise ParsingError("Host, Content-Length or Transfer-Encoding stands there twice")
    if line.endswith(b"1.1") and not (hosts and _value(lower, b"\r\nhost:")):
        raise ParsingError("the Host header is missing")
    if codings and (lengths or line.endswith(b"1.0")):
        raise ParsingError("Transfer-Encoding stands beside Content-Length or in HTTP/1.0")
    if lengths and len(_value(lower, b"\r\ncontent-length:")) > LONGEST_LENGTH:
        raise ParsingError("Content-Length is no length")


def _value(head: bytes, name: bytes) -> bytes:
    start = head.index(name) + len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


class JsonErrorTask(ErrorTask):
    """The answer to a request that never reaches the application."""

    def execute(self) -> None:
        error = self.request.error
        if error is None:  # waitress makes this task for an error only
            raise RuntimeError("no error to answer")
        detail = f": {error.body}" if error.code == 400 else ""
        message = WORDS.get(error.code, error.reason) + detail
        body = orjson.dumps({"msg": message, "success": False}, option=orjson.OPT_APPEND_NEWLINE)
        self.status = f"{error.code} {error.reason}"
        self.response_headers.extend([("Content-Type", "application/json"), *SECURITY_HEADERS])
        if error.code == 503:
            self.response_headers.append(("Retry-After", str(RETRY_AFTER_S)))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
