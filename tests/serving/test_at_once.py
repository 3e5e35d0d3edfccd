"""What the loop's thread answers itself, beside what the pool answers: the real server, a small application."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from processes import LONG_S, until

from cluster_dash_server.asker import HAS_LEFT
from cluster_dash_server.config import Serve
from cluster_dash_server.serving import turns
from cluster_dash_server.serving.server import BATCH_THREADS, LONGEST_BATCH_WAIT_S, SLOW_THREADS, Server
from cluster_dash_server.serving.sockets import listen

LARGE = 20 * 2**20
GET, POST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
BROKEN = POST.replace(b" / ", b" /broken ")
SLOW, QUICK = GET.replace(b" / ", b" /slow "), GET.replace(b" / ", b" /quick ")
BATCH = POST.replace(b" / ", b" /batch ")
LARGEST = GET.replace(b" / ", b" /large ")


class Site:
    """A server with one thread in its pool. GET waits until it may go on; POST is answered at once."""

    def __init__(self) -> None:
        self.asked, self.may_go_on = threading.Event(), threading.Event()
        self.askers: list[str] = []
        self.has_left = lambda: False
        listening = listen("127.0.0.1:0")
        self._port = listening.getsockname()[1]
        self.server = Server(
            self._application,
            [listening],
            Serve(threads=1),
            max_connections=20,
            max_body_bytes=2**20,
            at_once={("POST", "/"), ("POST", "/broken")},
            slow={"/slow"},
            batches={"/batch"},
        )
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()

    def _application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.has_left = environ[HAS_LEFT]
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/broken":
            raise RuntimeError("broken")
        if (method == "GET" and path in ("/", "/slow")) or path == "/batch":
            self.askers.append(environ["REMOTE_ADDR"])
            self.asked.set()
            assert self.may_go_on.wait(LONG_S)
        body = b"x" * LARGE if path == "/large" else method.encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def connect(self, address: str = "127.0.0.1") -> socket.socket:
        """From there."""
        return socket.create_connection(("127.0.0.1", self._port), LONG_S, source_address=(address, 0))

    def end(self) -> None:
        self.may_go_on.set()
        if self._thread.is_alive():
            self.server.end()
            self._thread.join(LONG_S)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.end()


def read_until(connection: socket.socket, words: bytes) -> bytes:
    got = bytearray()
    while not got.endswith(words):
        piece = connection.recv(2**20)
        assert piece, bytes(got[-300:])
        got += piece
    return bytes(got)


def test_posts_are_answered_while_every_thread_of_the_pool_is_taken(site: Site) -> None:
    with site.connect() as page, site.connect() as mole:
        page.sendall(GET)
        assert site.asked.wait(LONG_S)
        for _ in range(3):
            mole.sendall(POST)
            read_until(mole, b"POST")
        site.may_go_on.set()
        read_until(page, b"GET")


def test_pages_are_answered_while_more_slow_ones_are_asked_for_than_threads_there_are(site: Site) -> None:
    with contextlib.ExitStack() as opened:
        askers = [opened.enter_context(site.connect()) for _ in range(2 * SLOW_THREADS)]
        for asker in askers:
            asker.sendall(SLOW)
        assert site.asked.wait(LONG_S)
        page = opened.enter_context(site.connect())
        for _ in range(3):
            page.sendall(QUICK)
            read_until(page, b"GET")
        site.may_go_on.set()
        for asker in askers:
            read_until(asker, b"GET")


def test_who_asks_much_waits_for_his_own_and_keeps_nobody_else_waiting(site: Site) -> None:
    with contextlib.ExitStack() as opened:
        many = [opened.enter_context(site.connect()) for _ in range(8)]
        for asker in many:
            asker.sendall(SLOW)
        until(lambda: len(site.askers) == 2)
        other = opened.enter_context(site.connect("127.0.0.2"))
        other.sendall(SLOW)
        until(lambda: "127.0.0.2" in site.askers)
        assert site.askers == ["127.0.0.1", "127.0.0.1", "127.0.0.2"]
        for gone in many[4:]:
            gone.close()
        site.may_go_on.set()
        for asker in (*many[:4], other):
            read_until(asker, b"GET")
        until(lambda: site.server.connections.open == 5)
    assert site.askers.count("127.0.0.1") == 4, "what nobody waits for is not answered"


def test_the_application_is_told_when_nobody_waits_any_more(site: Site) -> None:
    with site.connect() as asker:
        asker.sendall(SLOW)
        assert site.asked.wait(LONG_S)
        assert not site.has_left()
    until(site.has_left)


def test_batches_keep_neither_pages_nor_posts_waiting(site: Site) -> None:
    with contextlib.ExitStack() as opened:
        moles = [opened.enter_context(site.connect()) for _ in range(2 * BATCH_THREADS)]
        for mole in moles:
            mole.sendall(BATCH)
        until(lambda: len(site.askers) == BATCH_THREADS)
        other = opened.enter_context(site.connect())
        for request, answer in ((QUICK, b"GET"), (POST, b"POST"), (QUICK, b"GET")):
            other.sendall(request)
            read_until(other, answer)
        assert len(site.askers) == BATCH_THREADS
        site.may_go_on.set()
        for mole in moles:
            read_until(mole, b"POST")


def test_a_batch_gives_way_to_what_is_urgent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "GIVES_WAY_S", 10 * LONG_S)
    with site.connect() as page, site.connect() as other, site.connect() as mole:
        page.sendall(GET)
        until(lambda: len(site.askers) == 1)
        other.sendall(QUICK)
        until(lambda: site.server._threads.queue)  # pyright: ignore[reportPrivateUsage]
        mole.sendall(BATCH)
        time.sleep(1)
        assert len(site.askers) == 1
        site.may_go_on.set()
        for connection, answer in ((page, b"GET"), (other, b"GET"), (mole, b"POST")):
            read_until(connection, answer)


def test_what_is_urgent_keeps_a_batch_waiting_only_for_a_while(site: Site) -> None:
    with site.connect() as page, site.connect() as other, site.connect() as mole:
        page.sendall(GET)
        until(lambda: len(site.askers) == 1)
        other.sendall(QUICK)
        until(lambda: site.server._threads.queue)  # pyright: ignore[reportPrivateUsage]
        mole.sendall(BATCH)
        until(lambda: len(site.askers) == 2)
        site.may_go_on.set()
        for connection, answer in ((page, b"GET"), (other, b"GET"), (mole, b"POST")):
            read_until(connection, answer)


def test_a_batch_that_would_be_late_is_told_to_come_again(site: Site) -> None:
    with contextlib.ExitStack() as opened:
        taken = [opened.enter_context(site.connect()) for _ in range(BATCH_THREADS)]
        for mole in taken:
            mole.sendall(BATCH)
        until(lambda: len(site.askers) == BATCH_THREADS)
        late = opened.enter_context(site.connect("127.0.0.2"))
        late.sendall(BATCH)
        until(lambda: site.server._batch_threads.queue)  # pyright: ignore[reportPrivateUsage]
        time.sleep(LONGEST_BATCH_WAIT_S + 0.5)
        site.may_go_on.set()
        answer = read_until(late, b"}\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in answer
        assert b"come again later" in answer
        for mole in taken:
            assert read_until(mole, b"POST").startswith(b"HTTP/1.1 200 ")


def test_answers_over_one_connection_keep_the_order_of_their_requests(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(POST + GET + POST + POST)
        assert site.asked.wait(LONG_S)
        site.may_go_on.set()
        got = b""
        while got.count(b"HTTP/1.1 200") < 4 or not got.endswith(b"POST"):
            got += connection.recv(65536)
    assert [part.split(b"\r\n\r\n")[1] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"POST", b"GET", b"POST", b"POST"]


def test_a_post_behind_an_answer_that_nobody_reads_holds_up_no_other(site: Site) -> None:
    with site.connect() as slow, site.connect() as mole:
        slow.sendall(LARGEST + POST)
        mole.sendall(POST)
        read_until(mole, b"POST")
        assert len(read_until(slow, b"POST")) > LARGE


def test_an_application_that_fails_ends_that_connection_alone(site: Site) -> None:
    with site.connect() as broken, site.connect() as mole:
        broken.sendall(BROKEN)
        assert read_until(broken, b"\n").startswith(b"HTTP/1.1 500")
        mole.sendall(POST)
        read_until(mole, b"POST")


def test_a_client_that_left_before_its_answer_harms_nobody(site: Site) -> None:
    for _ in range(20):
        with site.connect() as gone:
            gone.sendall(POST)
    with site.connect() as mole:
        mole.sendall(POST + POST)
        read_until(mole, b"POST")


def test_what_came_before_the_end_is_answered(site: Site) -> None:
    with site.connect() as mole:
        mole.sendall(POST)
        site.end()
        assert read_until(mole, b"POST").startswith(b"HTTP/1.1 200")
