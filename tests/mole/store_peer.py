"""A server that keeps what it is sent, as the real one does: numbers once, batches with an answer for each post."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from mole.peers import Peer

Number = tuple[str, int]


class StorePeer(Peer):
    """`judge` gives the status for a post, `batch_status` that of a batch as a whole, `more` what answers also say."""

    def __init__(self, port: int = 0) -> None:
        self.stored: dict[Number, dict[str, Any]] = {}
        self.order: list[Number] = []
        self.from_batches: list[Number] = []
        self.duplicates: list[Number] = []
        self.changed: list[Number] = []
        self.batch_sizes: list[int] = []
        self.judge: Callable[[dict[str, Any]], int] = lambda _: 200
        self.judge_batch: Callable[[list[dict[str, Any]]], int] = lambda _: 200
        self.more: dict[str, Any] = {}
        self._lock = threading.Lock()
        super().__init__(port)

    def reply(self, path: str, document: dict[str, Any]) -> tuple[int, bytes]:
        """As the server answers."""
        assert document.pop("auth_code") == "canary"
        with self._lock:
            if not path.endswith("/batch"):
                status, said = self._take(document)
                return status, json.dumps({**said, **self.more}).encode()
            posts = document["posts"]
            self.batch_sizes.append(len(posts))
            status = self.judge_batch(posts)
            if status != 200:
                return status, b'{"success": false, "msg": "the batch is not taken"}'
            results = [self._take(post)[1] for post in posts]
            self.from_batches += [number_of(post) for post in posts]
            return 200, json.dumps({"success": True, "results": results, **self.more}).encode()

    def _take(self, post: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status = self.judge(post)
        if status != 200:
            return status, {"success": False, "msg": f"no: {status}"}
        said: dict[str, Any] = {"success": True, "msg": "stored result"}
        number = number_of(post)
        if number in self.stored:
            (self.duplicates if self.stored[number] == post else self.changed).append(number)
            return 200, {**said, "duplicate": True}
        self.stored[number] = post
        self.order.append(number)
        return 200, said

    def seqs(self, epoch: str) -> list[int]:
        """Of the posts of one start, sorted."""
        return sorted(seq for name, seq in self.stored if name == epoch)


def number_of(post: dict[str, Any]) -> Number:
    """A post's place among all."""
    return post["mole"]["epoch"], post["mole"]["seq"]
