"""`python tests/fuzz.py --minutes 10 [--seed 1]`: mutated posts to a real server, until one does harm.

Harm is an answer of 5xx or none within a second, a traceback in the log, memory that grows, or a page that fails.
Which request did it stands in the error; the same seed sends the same requests in the same order.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import posts
import psutil
from processes import LONG_S, Server

CONTRACT = sorted((posts.ROOT / "tests" / "contract").glob("*.json"))
PATHS = ("/", "/host/hostile", "/gpu-data", "/api/dashboard-data", "/data-out/gpu-data-simple", "/api/gpu-summary")
LONGEST_ANSWER_S = 1.0
TRIES = 3
"""A machine that is busy with other things may be slow once; what is the request's fault comes again."""
LOOK_EVERY = 500
WARM_UP = 2_000
MOST_GROWTH_BYTES = 40 * 2**20
"""Beyond what the warm-up took: series that mutations invent, up to 2,000 a host."""
SETTINGS = {
    "CLUSTER_DASH_PASSCODE": hostile.PASSCODE,
    "CLUSTER_DASH_LIVE_MAX_HOSTS": "4",  # mutated names are new hosts, and each has a history
    "CLUSTER_DASH_LIVE_MEMORY_MIB": "4",
}

LITERALS = (
    *("null", "true", "0", "-0.0", "-1", "1e308", "5e-324", "1e999", "NaN", "18446744073709551616", "9" * 400, '"x"'),
    *(
        "[]",
        "{}",
        "[[]]",
        '{"a":1,"a":2}',
        '"\\ud800"',
        '"\\u0000"',
        '"\u202e"',
        '"' + "x" * 5_000 + '"',
        "1.7e12",
        '":"',
    ),
)
SIGNS = (
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"\\",
    b"\0",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b" ",
    b"1e",
    b"-",
)
MARK = "@mark@"

Place = tuple[Any, Any]


class Fuzzer:
    """Makes requests: (path, body, headers)."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.documents = [hostile.good(), posts.host_post("hostile", gpus=2), posts.example()]
        self.documents += [json.loads(path.read_text("utf-8")) for path in CONTRACT]

    def request(self) -> tuple[str, bytes, dict[str, str]]:
        post = self._post()
        path = "/"
        if self.random.random() < 0.25:
            path, post = "/batch", {"auth_code": hostile.PASSCODE, "posts": [post, *self._more_posts()]}
        body = self._changed_text(post)
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 2, 5))):
            body = self._changed_bytes(body)
        headers = {"Content-Type": self.random.choice(("application/json",) * 9 + ("text/plain",))}
        if self.random.random() < 0.2:
            body = gzip.compress(body, 1)
            if self.random.random() < 0.3:
                body = self._changed_bytes(body)
            headers["Content-Encoding"] = self.random.choice(("gzip",) * 9 + ("br",))
        return path, body, headers

    def _post(self) -> Any:
        post = json.loads(json.dumps(self.random.choice(self.documents)))
        post["hostname"] = self.random.choice(("hostile", "hostile", "other"))
        post["auth_code"] = hostile.PASSCODE
        return post

    def _more_posts(self) -> list[Any]:
        return [self._post() for _ in range(self.random.randrange(4))]

    def _changed_text(self, document: Any) -> bytes:
        """With up to four changes of its structure."""
        literals: list[str] = []
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 4))):
            places = list(_places(document))
            if places:
                self._change(*self.random.choice(places), literals)
        indent = self.random.choice((None, None, None, 1))
        text = json.dumps(document, indent=indent, ensure_ascii=self.random.random() < 0.5)
        for number, literal in enumerate(literals):
            text = text.replace(f'"{MARK}{number}"', literal)
        return text.encode("utf-8", "surrogatepass")

    def _change(self, container: Any, key: Any, literals: list[str]) -> None:
        kind = self.random.choice(("literal", "literal", "literal", "drop", "repeat", "nest", "rename", "scale"))
        if kind == "literal":
            container[key] = f"{MARK}{len(literals)}"
            literals.append(self.random.choice(LITERALS))
        elif kind == "drop":
            del container[key]
        elif kind == "repeat":
            _repeat(container, key, self.random.choice((2, 70, 300)))
        elif kind == "nest":
            for _ in range(self.random.choice((1, 10, 40))):
                container[key] = [container[key]] if self.random.random() < 0.5 else {"a": container[key]}
        elif kind == "rename":
            _rename(container, key, self.random.choice((*hostile.ODD_KEYS, "gpu_error", "7", "07")))
        elif type(container[key]) in (int, float):
            container[key] *= self.random.choice((-1, 0, 1e-9, 1e9, 2**33))

    def _changed_bytes(self, body: bytes) -> bytes:
        at = self.random.randrange(len(body) + 1)
        length = self.random.choice((1, 1, 4, 64, 1_000))
        piece = self.random.choice((*SIGNS, self.random.randbytes(length), body[at : at + length], b""))
        return body[:at] + piece + body[at + self.random.choice((0, 1, length)) :]


def _repeat(container: Any, key: Any, times: int) -> None:
    if type(container) is list:
        container.extend([container[key]] * times)  # pyright: ignore[reportUnknownMemberType]
    else:
        container.update({f"{key}{number}": container[key] for number in range(times)})


def _rename(container: Any, key: Any, name: str) -> None:
    if type(container) is dict:
        container[name] = container.pop(key)  # pyright: ignore[reportUnknownMemberType]


def _places(document: Any) -> list[Place]:
    """Every (container, key) in it but the auth_code."""
    found: list[Place] = []
    stack: list[Any] = [document]
    while stack:
        value: Any = stack.pop()
        keys: list[Any] = list(value if hasattr(value, "keys") else range(len(value)))
        for key in keys:
            if key != "auth_code":
                found.append((value, key))
            if type(value[key]) in (dict, list):
                stack.append(value[key])
    return found


class Harm(Exception):
    """What the server did."""


def run(seconds: float, seed: int, folder: Path, tell: Callable[[str], None] = print) -> Counter[int]:
    """How often each status was answered. Raises Harm."""
    with Server(folder, SETTINGS) as server:
        return _send(server, Fuzzer(seed), time.monotonic() + seconds, tell)


def _send(server: Server, fuzzer: Fuzzer, until: float, tell: Callable[[str], None]) -> Counter[int]:
    process, statuses = psutil.Process(server.pid), Counter[int]()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONG_S)
    slowest = took_s = 0.0
    resident = sent = status = 0
    try:
        while time.monotonic() < until:
            path, body, headers = fuzzer.request()
            for _ in range(TRIES):
                begun = time.monotonic()
                status = _ask(connection, "POST", path, body, headers)
                took_s = time.monotonic() - begun
                if status >= 500:
                    raise Harm(f"request {sent} to {path}: {status}: {headers} {body[:2000]!r}")
                if took_s <= LONGEST_ANSWER_S:
                    break
            else:
                raise Harm(f"request {sent} to {path} took {took_s:.2f} s, {TRIES} times: {headers} {body[:2000]!r}")
            slowest = max(slowest, took_s)
            statuses[status] += 1
            sent += 1
            if sent % LOOK_EVERY == 0:
                _look(server, connection, sent)
                now = process.memory_info().rss
                resident = now if sent <= WARM_UP else resident
                tell(f"{sent} requests, slowest {slowest * 1e3:.0f} ms, {now / 2**20:.0f} MiB, {dict(statuses)}")
                if now - resident > MOST_GROWTH_BYTES:
                    raise Harm(f"after {sent} requests it holds {(now - resident) / 2**20:.0f} MiB more")
        _look(server, connection, sent)
    finally:
        connection.close()
    return statuses


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if method == "POST":
        document = json.loads(text)
        if document["success"] is not (answer.status == 200) or hostile.PASSCODE.encode() in text:
            raise Harm(f"{answer.status} with {text[:500]!r} for {body[:2000]!r}")
    return answer.status


def _look(server: Server, connection: http.client.HTTPConnection, sent: int) -> None:
    for path in PATHS:
        for accept in ("text/html", "application/json"):
            status = _ask(connection, "GET", path, b"", {"Accept": accept})
            if status not in (200, 404):
                raise Harm(f"after {sent} requests {path} answers {status}")
    if "Traceback" in server.log or hostile.PASSCODE in server.log:
        raise Harm(f"after {sent} requests the log says: {server.log[-3000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            statuses = run(arguments.minutes * 60, arguments.seed, Path(folder))
        except Harm as harm:
            sys.exit(f"harm: {harm}")
    print(f"no harm in {sum(statuses.values())} requests: {dict(statuses)}")


if __name__ == "__main__":
    main()
