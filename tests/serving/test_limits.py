"""Slow, idle, many and stalled connections, against a real server: each ends in time, and posts go on meanwhile."""

from __future__ import annotations

import contextlib
import json
import resource
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import posts
import psutil
import pytest
from processes import LONG_S, SERVE, Server, until

pytestmark = pytest.mark.slow

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def serve(folder: Path, command: list[str] | None = None, **settings: object) -> Server:
    environ = {f"CLUSTER_DASH_SERVE_{name}".upper(): str(value) for name, value in settings.items()}
    return Server(folder, environ, command=command or SERVE)


@contextlib.contextmanager
def connections(server: Server, count: int, first: bytes = b"") -> Generator[list[socket.socket]]:
    """Open ones, that have sent `first` each."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", server.port), LONG_S)
            held.append(connection)
            if first:
                connection.sendall(first)
        yield held
    finally:
        for connection in held:
            connection.close()


def still_open(held: list[socket.socket]) -> int:
    """Those that the server hasn't closed."""
    with selectors.DefaultSelector() as selector:
        for connection in held:
            selector.register(connection, selectors.EVENT_READ)
        closed = 0
        for key, _ in selector.select(0):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                closed += connection.recv(1, socket.MSG_PEEK) == b""
            except ConnectionResetError:
                closed += 1
    return len(held) - closed


def post(server: Server) -> None:
    """Several; all are taken."""
    for _ in range(5):
        assert server.post(posts.host_post()).status_code == 200


def share_of_a_core(process: psutil.Process) -> float:
    """What a server takes that has nothing to do: next to none. One that turns in a circle takes all it gets."""
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(2)
    return (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def until_compressed(server: Server) -> None:
    """What a server does at its start, which takes processor time."""
    until(lambda: '"state":"done"' in server.get("/health?verbose").text)


def drip(held: list[socket.socket], stop: threading.Event, every_s: float) -> None:
    """A byte of a header now and then, from each that is still open."""
    while not stop.wait(every_s):
        for connection in held:
            with contextlib.suppress(OSError):
                connection.sendall(b"X")


@contextlib.contextmanager
def dripping(server: Server, count: int) -> Generator[list[socket.socket]]:
    with connections(server, count, b"GET / HTTP/1.1\r\nX-") as held:
        stop = threading.Event()
        thread = threading.Thread(target=drip, args=(held, stop, 0.5))
        thread.start()
        try:
            yield held
        finally:
            stop.set()
            thread.join()


def test_connections_that_drip_their_headers_are_closed(tmp_path: Path) -> None:
    with serve(tmp_path, header_timeout_s=2) as server, dripping(server, 1000) as held:
        until(lambda: still_open(held) == 0)


def test_connections_that_drip_their_headers_harm_nobody(tmp_path: Path) -> None:
    with serve(tmp_path, header_timeout_s=600) as server, dripping(server, 1000) as held:
        post(server)
        assert still_open(held) == 1000


def test_empty_lines_buy_no_time(tmp_path: Path) -> None:
    with serve(tmp_path, header_timeout_s=1) as server, connections(server, 5) as held:

        def are_closed() -> bool:
            for connection in held:
                with contextlib.suppress(OSError):
                    connection.sendall(b"\r\n\r\n")
            return still_open(held) == 0

        until(are_closed)


def test_a_slow_body_is_given_up(tmp_path: Path) -> None:
    first = HEAD + b"Content-Length: 1000000\r\n\r\n{"
    with serve(tmp_path, body_timeout_s=2) as server:
        began = time.monotonic()
        with connections(server, 20, first) as held:
            post(server)
            are_open = still_open(held)
            assert are_open == 20 or time.monotonic() - began > 2
            until(lambda: still_open(held) == 0)


def test_a_body_that_comes_in_time_is_taken_however_it_is_cut(tmp_path: Path) -> None:
    with serve(tmp_path, header_timeout_s=1, body_timeout_s=600) as server, connections(server, 1) as [connection]:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{")
        time.sleep(2.5)
        connection.sendall(b"}")
        assert connection.recv(1024).startswith(b"HTTP/1.1 401")


def test_a_reader_that_stops_frees_what_it_held(tmp_path: Path) -> None:
    """Answers of 4.8 MB that nobody reads; more of them than threads."""
    with serve(tmp_path, send_timeout_s=2, threads=2) as server:
        page = server.get("/gpu-data", "text/html").text
        path = page[page.index("/assets/") :].split('"')[0]
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        with connections(server, 12, request) as held:
            for connection in held:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            post(server)
            until(lambda: psutil.Process(server.pid).net_connections("tcp").__len__() < 5)
        assert server.post(posts.host_post()).status_code == 200


def test_a_connection_in_use_stays_open(tmp_path: Path) -> None:
    with serve(tmp_path, idle_timeout_s=5) as server, connections(server, 1) as held:
        [connection] = held
        body = json.dumps(posts.host_post()).encode()
        head = HEAD.replace(b"Host: x", b"Host: localhost")
        began = time.monotonic()
        while time.monotonic() - began < 8:
            connection.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            time.sleep(0.1)


def test_idle_connections_beyond_the_limit_keep_nobody_out(tmp_path: Path) -> None:
    with serve(tmp_path, max_connections=100) as server, connections(server, 300) as held:
        post(server)
        assert still_open(held) <= 100
        assert len(server.log.splitlines()) < 15


def test_a_connection_of_another_address_outlives_the_many_of_one(tmp_path: Path) -> None:
    with serve(tmp_path, max_connections=50) as server:
        other = socket.create_connection(("127.0.0.1", server.port), LONG_S, source_address=("127.0.0.2", 0))
        with other, connections(server, 150) as held:
            until(lambda: still_open(held) < 51)
            other.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert other.recv(1024).startswith(b"HTTP/1.1 200")


def test_with_few_descriptors_it_stays_calm_and_recovers(tmp_path: Path) -> None:
    limited = [
        sys.executable,
        "-c",
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128));"
        "sys.argv[0] = 'serve'; runpy.run_module('cluster_dash_server', run_name='__main__')",
        *SERVE[3:],
    ]
    with serve(tmp_path, limited) as server:
        assert "the limit of open files is too low" in server.log
        process = psutil.Process(server.pid)
        until_compressed(server)
        with connections(server, 300):
            log_before = len(server.log)
            post(server)
            assert share_of_a_core(process) < 0.5
            assert len(server.log) - log_before < 10_000
        assert server.post(posts.host_post()).status_code == 200
        assert "Traceback" not in server.log


def test_without_any_descriptor_left_it_stays_calm_and_recovers(tmp_path: Path) -> None:
    """Something else than connections took them; the system refuses to accept more."""
    with serve(tmp_path) as server:
        until_compressed(server)
        process = psutil.Process(server.pid)
        before_limit = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (process.num_fds() + 3, before_limit[1]))
        with connections(server, 20):
            log_before = len(server.log)
            assert share_of_a_core(process) < 0.5
            assert "can't take another connection: Too many open files" in server.log
            assert len(server.log) - log_before < 5_000
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before_limit)
            assert server.post(posts.host_post()).status_code == 200


def test_more_connections_than_select_can_watch(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"this machine allows {hard} open files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    try:
        with serve(tmp_path) as server, connections(server, 1100) as held:
            post(server)
            assert still_open(held) == 1100
            assert len(server.log.splitlines()) < 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_bodies_that_never_end_fill_no_memory_and_keep_no_post_out(tmp_path: Path) -> None:
    most = HEAD + b"Content-Length: 1048576\r\n\r\n" + b" " * 900_000
    with serve(tmp_path) as server, connections(server, 300, most) as held:
        until(lambda: still_open(held) < 160)
        post(server)
        assert still_open(held) > 100
        assert psutil.Process(server.pid).memory_info().rss < 300 * 2**20
        assert len(server.log.splitlines()) < 15


def test_a_port_that_is_taken_stops_the_start_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [word.format(port=port) for word in SERVE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONG_S, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cluster-dash-server: can't listen on 127.0.0.1:{port}: address already in use")
    assert len(done.stderr.splitlines()) == 1
