"""One word for one thing: pages, text, filter and scripts name what hosts and GPUs are alike."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import posts
import pytest
from flask.testing import FlaskClient

import cluster_dash_server
from cluster_dash_server.views.fleet.totals import GPUS, STATUSES
from cluster_dash_server.views.states import GPU_WORDS, HOST_WORDS, PART_WORDS
from cluster_dash_server.views.text import LEGEND, STATE_COLOURS, TILES

SCRIPTS = Path(cluster_dash_server.__file__).parent / "static" / "scripts" / "overview"


@pytest.mark.parametrize(("name", "words"), [("HOST_WORDS", HOST_WORDS), ("GPU_WORDS", GPU_WORDS)])
def test_the_overview_has_the_same_words(name: str, words: dict[str, str]) -> None:
    found = re.search(rf"export const {name} = (\{{.*?\}});", (SCRIPTS / "states.js").read_text("utf-8"), re.DOTALL)
    assert found
    assert orjson.loads(found[1]) == words


def test_nothing_that_is_counted_or_drawn_lacks_a_word() -> None:
    assert set(STATUSES) < set(HOST_WORDS) == set(STATE_COLOURS)
    assert set(GPUS) == set(PART_WORDS)
    assert set(TILES) | {"lost", "hung", "error"} == set(GPU_WORDS)
    assert len({*HOST_WORDS.values(), *GPU_WORDS.values()}) == len(HOST_WORDS) + len(GPU_WORDS)


def test_the_legends_use_them(client: FlaskClient) -> None:
    assert all(words in LEGEND for words in PART_WORDS.values())
    page = client.get("/", headers={"Accept": "text/html"}).text
    assert all(f"</i>{words} <b>" in page for words in PART_WORDS.values())


@pytest.mark.parametrize("state", ["up", "fault", "conflict"])
def test_a_hosts_own_page_and_the_text_agree(client: FlaskClient, state: str) -> None:
    gpu = posts.gpu(0, state="lost") if state == "fault" else posts.gpu(0)
    post = posts.host_post("gpu01", gpu={"0": gpu})
    assert client.post("/", json=post).status_code == 200
    if state == "conflict":
        other = posts.host_post("gpu01", gpu={"0": posts.gpu(0, uuid="GPU-other")}, general={"boot_id": "other"})
        other["mole"] |= {"id": "other", "epoch": "other.1"}
        assert client.post("/", json=other).status_code == 409
    page = client.get("/host/gpu01", headers={"Accept": "text/html"}).text
    assert f'<span class="state {state}">' in page
    (row,) = [line for line in client.get("/").text.splitlines() if line.startswith("gpu01 ")]
    assert row.split()[1] == HOST_WORDS[state]
