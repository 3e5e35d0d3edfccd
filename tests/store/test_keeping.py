"""Posts that come together, from the hosts in memory to the journal on disk."""

from __future__ import annotations

import os
from pathlib import Path

import posts

from cluster_dash_server.config import Live
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.live.portions import Post
from cluster_dash_server.live.sequences import Seen
from cluster_dash_server.points import points_of_post
from cluster_dash_server.store import NotKept
from cluster_dash_server.store.journal import Journal
from cluster_dash_server.store.kept import Kept, unpack
from cluster_dash_server.store.records import read
from cluster_dash_server.store.store import Store
from cluster_dash_server.store.tables import Days
from cluster_dash_server.store.target import target_of


class Site:
    """Hosts that keep what they are given; the store is never opened, so all stays in the journal."""

    def __init__(self, folder: Path, journal_bytes: int = 2**20) -> None:
        self.syncs = 0
        self.folder = folder / "journal"
        target = target_of("", folder)
        assert target
        store = Store(target, Journal(self.folder, journal_bytes, self._sync), Days(14, 31, 90, 730))
        self.hosts = Hosts(Live(), keep=store.keep)

    def _sync(self, file: int) -> None:
        self.syncs += 1
        os.fdatasync(file)

    def kept(self) -> list[Kept]:
        return [
            unpack(part) for path in self.folder.glob("*.journal") for part in read(path) if isinstance(part, bytes)
        ]


def post(host: str, seq: int) -> Post:
    document = posts.host_post(host, gpus=1, seq=seq)
    return Post(document, points_of_post(document))


def test_posts_that_come_together_are_on_disk_with_one_sync(tmp_path: Path) -> None:
    site = Site(tmp_path)
    together = [post(f"gpu{at % 4}", at) for at in range(1, 31)]
    assert site.hosts.record_all(together) == [Seen.NEW] * 30
    assert site.syncs == 1
    assert [each.number and each.number.seq for each in site.kept()] == list(range(1, 31))
    assert site.hosts.record_all(together) == [Seen.DUPLICATE] * 30
    assert len(site.kept()) == 30


def test_in_whatever_order_they_come_it_is_known_which_was_the_newest(tmp_path: Path) -> None:
    site = Site(tmp_path)
    fifth, fourth, sixth, third = (post("gpu01", seq) for seq in (5, 4, 6, 3))
    seen = site.hosts.record_all([fifth, fourth, sixth, sixth, third])
    assert seen == [Seen.NEW, Seen.LATE, Seen.NEW, Seen.DUPLICATE, Seen.LATE]
    assert [each.is_newest for each in site.kept()] == [True, False, True, False]


def test_those_that_are_not_kept_count_as_never_seen(tmp_path: Path) -> None:
    site = Site(tmp_path, journal_bytes=2**13)
    together = [post("gpu01", seq) for seq in range(1, 31)]
    refused = site.hosts.record_all(together)
    assert {type(each) for each in refused} == {NotKept}
    assert site.kept() == []
    assert site.hosts.record_all(together[:1]) == [Seen.NEW]
