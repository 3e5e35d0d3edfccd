"""Posts that are kept until the server has them: what it answers, when it is away, and a disk that doesn't work."""

from __future__ import annotations

import json
import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole import backend, outbox
from cluster_dash_mole.config import JsonSenderLoggerSettings
from cluster_dash_mole.kept_sender import KeptSender
from cluster_dash_mole.outbox import Outbox
from cluster_dash_mole.outbox_answers import MOST_NEEDED, read_needs
from cluster_dash_mole.outbox_scan import count_waiting
from mole.peers import LONG_S, ManualClock, Peer, free_port, wait_until
from mole.store_peer import StorePeer

EPOCH = "boot.1"
FAST = 1000.0


class Mole:
    """A sender with its outbox; `send` is a reading."""

    def __init__(self, folder: Path, address: str, epoch: str = EPOCH, **how: Any) -> None:
        self.clock = how.pop("clock", time.monotonic)
        self.epoch = epoch
        self.folder = folder
        self.outbox = Outbox(folder, epoch, int(how.pop("max_mib", 1) * 2**20), self.clock)
        rate = how.pop("posts_per_s", FAST)
        how.setdefault("timeout_in_secs", LONG_S)
        settings = JsonSenderLoggerSettings(True, 0, address, "canary", **how)
        self.sender = KeptSender(settings, 0.01, self.outbox, rate)
        self.sent = 0

    def send(self, count: int = 1, **more: Any) -> None:
        """Posts of one after the other, each tried or left to the outbox."""
        for _ in range(count):
            self.sent += 1
            post = {"hostname": "h", "n": self.sent, "mole": {"id": "x", "epoch": self.epoch}, **more}
            self.sender.send(post, float(self.sent))

    def send_until(self, condition: Callable[[], object]) -> None:
        """At a pace, as readings come."""
        until = time.monotonic() + LONG_S
        while not condition():
            assert time.monotonic() < until, "it did not come about in time"
            self.send()
            time.sleep(0.02)

    def wait_until_kept(self) -> None:
        """All is on the disk."""
        wait_until(lambda: not self.outbox._unkept and not self.outbox._orders)  # pyright: ignore[reportPrivateUsage]

    def close(self) -> None:
        """End it."""
        self.sender.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:  # pyright: ignore[reportUnusedFunction]
    """Back-off that tests can wait for."""
    monkeypatch.setattr(backend, "LONGEST_BACK_OFF_S", 0.05)
    caplog.set_level(logging.INFO)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Mole]]:
    started: list[Mole] = []

    def start(address: str, **how: Any) -> Mole:
        started.append(Mole(tmp_path / "outbox", address, **how))
        return started[-1]

    yield start
    for mole in started:
        mole.close()


@pytest.fixture
def server() -> Iterator[StorePeer]:
    peer = StorePeer()
    yield peer
    peer.close()


Start = Callable[..., Mole]


def test_what_was_read_while_the_server_was_away_arrives_once_and_in_order(start: Start) -> None:
    port = free_port()
    mole = start(f"http://127.0.0.1:{port}/")
    mole.send(300)
    mole.wait_until_kept()
    assert mole.outbox.waiting == 300
    server = StorePeer(port)
    try:
        mole.send_until(lambda: len(server.stored) == mole.sent)
        assert server.seqs(EPOCH) == list(range(1, mole.sent + 1))
        assert server.duplicates == server.changed == []
        assert server.from_batches == sorted(server.from_batches)
        assert max(server.batch_sizes) > 1
        assert {post["n"] - post["mole"]["seq"] for post in server.stored.values()} == {0}
        wait_until(lambda: mole.outbox.waiting == 0)
        assert mole.outbox.dropped == 0
    finally:
        server.close()


def test_a_post_says_how_many_wait_and_how_many_were_lost(start: Start, server: StorePeer) -> None:
    server.judge = lambda _: 503
    mole = start(server.address)
    mole.send(3)
    mole.wait_until_kept()
    server.judge = lambda _: 200
    mole.send_until(lambda: len(server.stored) == mole.sent)
    assert [server.stored[EPOCH, seq]["mole"]["backlog"] for seq in (1, 2, 3)] == [0, 1, 2]
    assert {post["mole"]["dropped"] for post in server.stored.values()} == {0}
    assert "errors" not in server.stored[EPOCH, 3]["mole"]


def test_a_new_start_sends_what_the_one_before_has_left(start: Start, server: StorePeer) -> None:
    first = start(f"http://127.0.0.1:{free_port()}/")
    first.send(50)
    first.close()
    second = start(server.address, epoch="boot.2")
    second.send()
    wait_until(lambda: len(server.stored) == 51)
    assert server.order[0] == ("boot.2", 1), "live posts don't wait behind the backlog"
    assert server.order[1:] == [(EPOCH, seq) for seq in range(1, 51)]
    wait_until(lambda: second.outbox.waiting == 0)
    second.close()
    third = start(server.address, epoch="boot.3")
    third.send()
    wait_until(lambda: len(server.stored) == 52)
    assert server.duplicates == []


def test_live_posts_arrive_while_the_backlog_hangs(start: Start, server: StorePeer) -> None:
    first = start(f"http://127.0.0.1:{free_port()}/")
    first.send(50)
    first.close()
    may_go_on = threading.Event()
    server.judge_batch = lambda _: 200 if may_go_on.wait(LONG_S) else 500
    reply = server.reply
    server.reply = lambda path, document: (  # type: ignore[method-assign]
        (may_go_on.wait(LONG_S), reply(path, document))[1] if path == "/batch" else reply(path, document)
    )
    mole = start(server.address, epoch="boot.2")
    mole.send_until(lambda: any(request["path"] == "/batch" for request in server.requests))
    for _ in range(20):
        mole.send()
        wait_until(lambda: ("boot.2", mole.sent) in server.stored)
    assert server.from_batches == []
    may_go_on.set()
    wait_until(lambda: len(server.stored) == mole.sent + 50)


def test_the_backlog_keeps_to_its_pace(start: Start, server: StorePeer) -> None:
    first = start(f"http://127.0.0.1:{free_port()}/")
    first.send(30)
    first.close()
    mole = start(server.address, epoch="boot.2", posts_per_s=2)
    began = time.monotonic()
    mole.send()
    wait_until(lambda: server.batch_sizes)
    time.sleep(0.3)
    sizes = list(server.batch_sizes)
    assert set(sizes) == {10}, "five seconds' posts"
    assert len(sizes) <= 1 + (time.monotonic() - began) // 5, "and the next in five seconds"


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_post_that_will_never_be_taken_is_set_aside_and_blocks_nothing(
    start: Start, server: StorePeer, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.judge = lambda post: status if post["n"] == 2 else 200
    mole = start(server.address)
    for _ in range(3):
        mole.send()
        wait_until(lambda: len(server.posts) >= mole.sent)
    wait_until(lambda: len(server.stored) == 2 and mole.outbox.waiting == 0)
    wait_until((tmp_path / "outbox/refused-1.json").is_file)
    mole.wait_until_kept()
    kept = json.loads((tmp_path / "outbox/refused-1.json").read_text())
    assert (kept["status"], kept["post"]["n"]) == (status, 2)
    assert "canary" not in (tmp_path / "outbox/refused-1.json").read_text()
    [loud] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert f"answers {status}: no: {status}; " in loud
    assert "set aside" in loud
    assert mole.outbox.dropped == 0
    before = len(server.posts)
    mole.close()
    start(server.address, epoch="boot.2").send()
    wait_until(lambda: len(server.stored) == 3)
    time.sleep(0.2)
    assert len(server.posts) == before + 1, "it is never sent again"


@pytest.mark.parametrize("status", [401, 403, 404, 408, 415, 429, 500, 503])
def test_any_other_answer_keeps_the_posts(start: Start, server: StorePeer, status: int) -> None:
    server.judge = lambda _: status
    mole = start(server.address)
    mole.send(20)
    wait_until(lambda: server.posts)
    mole.wait_until_kept()
    assert mole.outbox.waiting == 20
    server.judge = lambda _: 200
    mole.send_until(lambda: len(server.stored) == mole.sent)


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[]", b'{"success": true', b'{"success": "true"}', b"<html>", b'{"success": false, "msg": "full"}'],
)
def test_an_answer_that_is_broken_is_no_acknowledgement(start: Start, peer: Peer, answer: bytes) -> None:
    peer.answer = (200, answer)
    mole = start(peer.address)
    mole.send(5)
    wait_until(lambda: len(peer.posts) >= 2)
    mole.wait_until_kept()
    assert mole.outbox.waiting == 5


@pytest.mark.parametrize("results", [None, [], [{"success": True}], ["yes"] * 50, {"success": True}])
def test_an_answer_to_a_batch_that_is_broken_is_no_acknowledgement(
    start: Start, server: StorePeer, results: Any
) -> None:
    first = start(f"http://127.0.0.1:{free_port()}/")
    first.send(50)
    first.close()
    reply = server.reply
    broken = json.dumps({"success": True, "results": results}).encode()
    server.judge = lambda post: 500 if post["mole"]["epoch"] == EPOCH else 200
    server.reply = lambda path, document: (200, broken) if path == "/batch" else reply(path, document)  # type: ignore[method-assign]
    mole = start(server.address, epoch="boot.2")
    mole.send()
    wait_until(lambda: sum(request["path"] == "/batch" for request in server.requests) >= 2)
    assert mole.outbox.waiting >= 50


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_refused_is_halved_until_the_bad_post_is_found(
    start: Start, server: StorePeer, status: int
) -> None:
    first = start(f"http://127.0.0.1:{free_port()}/")
    first.send(64)
    first.close()
    server.judge_batch = lambda posts: status if any(post["n"] == 37 for post in posts) else 200
    server.judge = lambda post: status if post["n"] == 37 else 200
    mole = start(server.address, epoch="boot.2")
    mole.send()
    wait_until(lambda: len(server.stored) == 64)
    wait_until(lambda: mole.outbox.waiting == 0)
    assert 37 not in server.seqs(EPOCH)
    assert server.batch_sizes[:3] == [64, 32, 32]
    assert len(server.batch_sizes) < 30


def test_one_bad_post_in_a_batch_costs_no_other(start: Start, server: StorePeer) -> None:
    first = start(f"http://127.0.0.1:{free_port()}/")
    first.send(20)
    first.close()
    server.judge = lambda post: {3: 422, 9: 400}.get(post["n"], 200)
    mole = start(server.address, epoch="boot.2")
    mole.send()
    wait_until(lambda: mole.outbox.waiting == 0 and len(server.stored) == 19)
    assert server.batch_sizes == [20]
    assert server.duplicates == []


def test_a_batch_that_nobody_knows_is_kept(start: Start, server: StorePeer, caplog: pytest.LogCaptureFixture) -> None:
    first = start(f"http://127.0.0.1:{free_port()}/")
    first.send(20)
    first.close()
    server.judge_batch = lambda _: 404
    mole = start(server.address, epoch="boot.2")
    mole.send()
    wait_until(lambda: len(server.batch_sizes) >= 3)
    assert mole.outbox.waiting == 20
    assert caplog.text.count("/batch: answers 404: the batch is not taken; posts waiting: 2") == 1


def test_an_ack_covers_what_was_sent_before(start: Start, server: StorePeer) -> None:
    server.judge = lambda _: 503
    mole = start(server.address)
    mole.send(20)
    wait_until(lambda: server.posts)
    mole.wait_until_kept()
    server.more = {"ack": {"epoch": EPOCH, "seq": 20}}
    server.judge = lambda _: 200
    mole.send()
    wait_until(lambda: mole.outbox.waiting == 0)


def test_an_ack_above_what_was_sent_is_ignored_and_said_once(
    start: Start, server: StorePeer, caplog: pytest.LogCaptureFixture
) -> None:
    server.judge = lambda post: 200 if post["n"] in (1, 2, 3) else 503
    server.judge_batch = lambda _: 503
    server.more = {"ack": {"epoch": EPOCH, "seq": 1000}}
    mole = start(server.address)
    for _ in range(3):
        mole.send()
        wait_until(lambda: len(server.stored) == mole.sent)
    mole.send(20)
    time.sleep(0.2)
    mole.wait_until_kept()
    assert mole.outbox.waiting == 20
    assert caplog.text.count("the server acknowledges post 1000 of boot.1, and ") == 1


NO_ACKS: list[Any] = [
    *(
        7,
        "x",
        [],
        {},
        {"epoch": EPOCH},
        {"epoch": 7, "seq": 1},
        {"epoch": EPOCH, "seq": True},
        {"epoch": "?", "seq": 1},
    ),
    {"epoch": EPOCH},
    *({"epoch": EPOCH, "seq": seq} for seq in (-1, 1.5, "1", None, 10**40)),
]


@pytest.mark.parametrize("ack", NO_ACKS)
def test_an_ack_that_is_none_changes_nothing(start: Start, server: StorePeer, ack: Any) -> None:
    server.judge = lambda post: 200 if post["n"] > 5 else 503
    server.judge_batch = lambda _: 503
    server.more = {"ack": ack}
    mole = start(server.address)
    mole.send(5)
    wait_until(lambda: server.posts)
    mole.send_until(lambda: server.stored)
    mole.wait_until_kept()
    assert mole.outbox.waiting >= 5


def test_what_the_server_needs_is_sent_again(start: Start, server: StorePeer) -> None:
    mole = start(server.address)
    for _ in range(20):
        mole.send()
        wait_until(lambda: len(server.stored) == mole.sent)
    kept = {number: server.stored.pop(number) for number in [(EPOCH, 4), (EPOCH, 5), (EPOCH, 17)]}
    server.more = {"need": [[EPOCH, 4, 5], [EPOCH, 17, 17], ["?", 1, 5], [EPOCH, 900, 2]]}
    mole.send()
    wait_until(lambda: len(server.stored) == mole.sent - 3)
    server.more = {}
    wait_until(lambda: len(server.stored) == mole.sent)
    assert server.from_batches == [(EPOCH, 4), (EPOCH, 5), (EPOCH, 17)]
    assert {number: server.stored[number] for number in kept} == kept
    assert server.duplicates == []


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        (None, 0),
        ("x", 0),
        ({"a": 1}, 0),
        ([1, [], [EPOCH], [EPOCH, 1], [1, 2, 3], [EPOCH, "1", 2], [EPOCH, True, 2], [EPOCH, 5, 2], [EPOCH, -5, 2]], 0),
        ([[EPOCH, 1, 1.5]], 0),
        ([[EPOCH, 1, 2], None, [EPOCH, 7, 7]], 3),
        ([[EPOCH, 0, 10**50]], MOST_NEEDED),
        ([[EPOCH, 10 * place, 10 * place + 5] for place in range(10**5)], MOST_NEEDED),
    ],
)
def test_needs_are_bounded_and_what_is_none_is_left_out(need: Any, expected: int) -> None:
    assert sum(each.last - each.first + 1 for each in read_needs(need)) == expected


def test_a_full_outbox_drops_the_oldest_and_says_how_many(start: Start, tmp_path: Path) -> None:
    port = free_port()
    mole = start(f"http://127.0.0.1:{port}/", max_mib=0.125)
    for _ in range(400):
        mole.send(noise=os.urandom(500).hex())
    mole.wait_until_kept()
    waiting = mole.outbox.waiting
    assert 0 < waiting < 400
    assert sum(path.stat().st_size for path in (tmp_path / "outbox").glob("*.posts")) <= 2**17
    server = StorePeer(port)
    try:
        mole.send_until(lambda: len(server.stored) == mole.sent - mole.outbox.dropped)
        assert server.seqs(EPOCH) == list(range(mole.outbox.dropped + 1, mole.sent + 1))
        newest = server.stored[EPOCH, mole.sent]["mole"]
        assert newest["dropped"] == mole.outbox.dropped
        assert newest["errors"]["outbox"] == f"posts were lost in the last hour, {mole.outbox.dropped} in all"
    finally:
        server.close()


def test_what_was_lost_is_said_for_an_hour_and_counted_for_ever(start: Start) -> None:
    clock = ManualClock()
    mole = start(f"http://127.0.0.1:{free_port()}/", max_mib=0.125, clock=clock)
    for _ in range(400):
        mole.send(noise=os.urandom(500).hex())
    mole.wait_until_kept()
    assert "posts were lost" in mole.outbox.describe()
    clock.now += 3601
    assert mole.outbox.describe() == ""
    dropped = mole.outbox.dropped
    mole.close()
    again = start(f"http://127.0.0.1:{free_port()}/", epoch="boot.2")
    again.send()
    again.wait_until_kept()
    assert again.outbox.dropped == dropped > 0
    assert again.outbox.describe() == "", "that was before this start"


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Files of this process can't grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_nothing_of_ten_minutes_and_heals_by_itself(
    start: Start, small_files: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    clock = ManualClock()
    mole = start(f"http://127.0.0.1:{port}/", clock=clock)
    mole.send(10)
    mole.wait_until_kept()
    small_files(0)
    mole.send(10)
    wait_until(lambda: mole.outbox.describe())
    assert mole.outbox.waiting == 20
    assert "outbox can't be used (File too large): the newest 10 minutes are in memory" in mole.outbox.describe()
    small_files(resource.RLIM_INFINITY)
    mole.send()
    wait_until(lambda: not mole.outbox.describe())
    mole.wait_until_kept()
    assert count_waiting(mole.folder) == 21
    assert caplog.text.count("can't be used") == 1
    assert "works again" in caplog.text


def test_with_a_full_disk_posts_are_sent_and_older_than_ten_minutes_are_lost(
    start: Start, small_files: Callable[[int], None]
) -> None:
    port = free_port()
    clock = ManualClock()
    small_files(0)
    mole = start(f"http://127.0.0.1:{port}/", clock=clock)
    for _ in range(30):
        mole.send()
        clock.now += 30
    mole.send()
    wait_until(lambda: "can't be used" in mole.outbox.describe())
    assert (mole.outbox.waiting, mole.outbox.dropped) == (21, 10)
    server = StorePeer(port)
    try:
        mole.send_until(lambda: len(server.stored) == mole.sent - 10)
        assert server.seqs(EPOCH) == list(range(11, mole.sent + 1))
        assert server.duplicates == []
        assert "newest 10 minutes" in server.stored[EPOCH, mole.sent]["mole"]["errors"]["outbox"]
    finally:
        server.close()
        small_files(resource.RLIM_INFINITY)


def test_a_folder_that_cannot_be_written_is_no_reason_to_be_silent(
    start: Start, server: StorePeer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    mole = Mole(tmp_path / "file" / "outbox", server.address)
    try:
        for _ in range(5):
            mole.send()
            wait_until(lambda: len(server.stored) == mole.sent)
        wait_until(lambda: mole.outbox.waiting == 0)
        assert "can't be used" in server.stored[EPOCH, 5]["mole"]["errors"]["outbox"]
    finally:
        mole.close()


def test_a_disk_that_hangs_delays_neither_reading_nor_live_posts(
    start: Start, server: StorePeer, tmp_path: Path
) -> None:
    (tmp_path / "outbox").mkdir()
    os.mkfifo(tmp_path / "outbox" / "counts.json")  # reading it waits until somebody writes
    mole = start(server.address)
    for _ in range(5):
        mole.send()
        wait_until(lambda: len(server.stored) == mole.sent)
    mole.close()
    with (tmp_path / "outbox" / "counts.json").open("w"):
        pass
    mole.outbox._thread.join(LONG_S)  # pyright: ignore[reportPrivateUsage]


def test_a_number_that_is_not_json_is_neither_kept_nor_sent(
    start: Start, server: StorePeer, caplog: pytest.LogCaptureFixture
) -> None:
    mole = start(server.address)
    mole.send(x=float("nan"))
    mole.send()
    wait_until(lambda: server.stored)
    assert "could not be sent" in caplog.text
    assert server.seqs(EPOCH) == [2]
    wait_until(lambda: mole.outbox.waiting == 0)


def test_the_passcode_is_in_no_file_and_nobody_else_may_read_them(
    start: Start, server: StorePeer, tmp_path: Path
) -> None:
    server.judge = lambda post: {1: 400, 2: 503}.get(post["n"], 200)
    mole = start(server.address)
    mole.send()
    wait_until((tmp_path / "outbox/refused-1.json").is_file)
    mole.send(5)
    mole.wait_until_kept()
    mole.close()
    assert (tmp_path / "outbox").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "outbox").iterdir():
        assert b"canary" not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600, path
    posts = mole.outbox._files.read_waiting(9, 9**9, lambda _epoch, _seq: False)  # pyright: ignore[reportPrivateUsage]
    assert all(b"canary" not in outbox.zlib.decompress(record.packed) for _, record in posts)


def test_posts_that_the_server_has_go_to_the_disk_all_the_same(start: Start, server: StorePeer) -> None:
    mole = start(server.address)
    for _ in range(5):
        mole.send()
        wait_until(lambda: len(server.stored) == mole.sent)
    mole.wait_until_kept()
    wait_until(lambda: mole.outbox.waiting == 0)
    assert count_waiting(mole.folder) == 0
    assert mole.outbox._files.wait_again(EPOCH, 1, 5, 9) == 5  # pyright: ignore[reportPrivateUsage]
