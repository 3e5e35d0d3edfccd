"""The corpus of what nobody should send, over sockets to a real server: it refuses each, stays, and keeps none."""

from __future__ import annotations

from pathlib import Path

import hostile
import posts
import psutil
import pytest
import requests
from processes import LONG_S, SERVE, Server

pytestmark = pytest.mark.slow


def test_a_server_refuses_the_whole_corpus_and_takes_the_next_good_post(tmp_path: Path) -> None:
    wrong: list[str] = []
    with Server(tmp_path, {"CLUSTER_DASH_PASSCODE": hostile.PASSCODE}, command=SERVE) as server:
        good = posts.host_post("good", auth_code=hostile.PASSCODE)
        for entry in hostile.corpus():
            headers = {"Content-Type": hostile.JSON} | entry.headers
            try:
                answer = requests.post(server.url + entry.path, data=entry.body, headers=headers, timeout=LONG_S)
                refused = (answer.status_code, answer.json()["success"]) == (entry.status, False)
            except requests.ConnectionError:  # a body too large is refused before it is all sent
                refused = entry.status == requests.codes.request_entity_too_large
            if not refused:
                wrong.append(entry.name)
        assert wrong == []
        assert server.get("/data-out/gpu-data-simple").json() == {}
        assert server.post(good).status_code == requests.codes.ok
        assert list(server.get("/data-out/gpu-data-simple").json()) == ["good"]
        assert psutil.Process(server.pid).memory_info().rss < 200 * 2**20
        for text in ("Traceback", hostile.PASSCODE, hostile.VALUE):
            assert text not in server.log
