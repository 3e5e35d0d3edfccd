"""Who has a host's name, what others are told that want it, and which posts count: through the way in."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config, Live

HTML = {"Accept": "text/html"}
FIRST, SECOND = "10.0.0.5", "10.0.0.9"


class Site:
    """A server with a clock of the test's, and machines that post to it."""

    def __init__(self, **live: Any) -> None:
        self.now_s = 1000.0
        config = Config(Access(passcode=posts.PASSCODE), Live(**live))
        self.app = create_app(config, start=False, monotonic=lambda: self.now_s, wall=wall_beside(lambda: self.now_s))
        self.client: FlaskClient = self.app.test_client()

    def send(self, post: posts.Post, address: str = FIRST) -> Any:
        return self.client.post("/", json=post, environ_base={"REMOTE_ADDR": address})

    def page(self, path: str = "/host/gpu01") -> str:
        return self.client.get(path, headers=HTML).text

    def cpu(self) -> float:
        servers: Any = self.client.get("/api/dashboard-data").json
        return servers["servers"]["gpu01"]["cpu"]["cpu_percent"]


def machine(letter: str, cpu: float = 10, **mole: Any) -> posts.Post:
    """A post of machine a, b, ... under the name gpu01; each has ids and GPUs of its own."""
    gpu = {f"0_X_{letter}": posts.gpu(0, uuid=f"GPU-{letter}")}
    post = posts.host_post("gpu01", cpu={"cpu_percent": cpu}, gpu=gpu, general={"boot_id": f"boot-{letter}"})
    post["mole"] |= {"id": f"mole-{letter}", "epoch": f"boot-{letter}.1", "mono_s": 50_000.0} | mole
    return post


def test_a_second_machine_of_the_same_name_is_refused_and_the_first_goes_on() -> None:
    site = Site()
    assert site.send(machine("a", 10)).status_code == 200
    answer = site.send(machine("b", 90), SECOND)
    assert answer.status_code == 409
    assert f"another machine reports under this name, {FIRST} (mole mole-a" in answer.json["msg"]
    assert "hostnamectl set-hostname" in answer.json["msg"]
    assert len(answer.json["msg"]) < 280, "a mole cuts it there"
    assert site.cpu() == 10
    assert site.send(machine("a", 11)).status_code == 200
    assert site.cpu() == 11


def test_both_machines_are_shown_on_the_page_on_the_fleet_and_in_the_text() -> None:
    site = Site()
    site.send(machine("a"))
    site.now_s += 4
    site.send(machine("b"), SECOND)
    site.now_s += 4
    site.send(machine("b"), SECOND)
    site.send(machine("a"))
    own = " ".join(site.page().split())
    assert "Two machines report as gpu01" in own
    for part in (
        f"{FIRST}<small>mole mole-a, boot boot-a<",
        f"{SECOND}<small>mole mole-b, boot boot-b<",
        "hostnamectl",
    ):
        assert part in own
    assert '<td class="n">4 s</td><td class="n">0 s ago</td><td class="n">2</td>' in own
    stream = site.client.get("/stream?hold=0&hosts=1").text
    (row,) = json.loads(stream.partition("data: ")[2])["hosts"]
    assert ("conflict", "bad") in [(note["kind"], note["level"]) for note in row["notes"]]
    text = site.client.get("/").text
    assert f"gpu01: two machines report under this name: {FIRST}" in text
    assert f"{SECOND} (mole mole-b, boot boot-b) is refused since 4 s, last 0 s ago" in text


def test_a_conflict_that_is_over_is_shown_no_more() -> None:
    site = Site()
    site.send(machine("a"))
    site.send(machine("b"), SECOND)
    site.now_s += 601
    site.send(machine("a"))
    assert "Two machines report" not in site.page()
    assert "1 with problems" not in site.page("/")


def test_a_machine_that_replaces_a_silent_one_takes_over_with_a_word_in_its_history() -> None:
    site = Site()
    site.send(machine("a", 10))
    assert site.send(machine("b", 90), SECOND).status_code == 409
    site.now_s += 16
    assert site.send(machine("b", 90), SECOND).status_code == 200
    assert site.cpu() == 90
    page = site.page()
    assert f"another machine: since then {SECOND} (mole mole-b, boot boot-b), before it {FIRST} (mole mole-a" in page
    assert "Two machines report" not in page
    assert site.send(machine("a", 10)).status_code == 409


def test_a_replaced_machine_leaves_none_of_its_gpus() -> None:
    site = Site()
    site.send(machine("a"))
    site.now_s += 16
    without = machine("b")
    without["gpu"] = {"gpu_error": posts.GPU_ERROR}
    site.send(without, SECOND)
    assert "GPU-a" not in site.page()


def test_a_reinstalled_mole_and_a_reboot_are_the_same_machine() -> None:
    site = Site()
    site.send(machine("a"))
    assert site.send(machine("a", id="mole-new", epoch="boot-a.1")).status_code == 200
    rebooted = machine("a", id="mole-new", epoch="boot-c.2", mono_s=1.0) | {"general": {"boot_id": "boot-c"}}
    assert site.send(rebooted).status_code == 200
    page = site.page()
    assert "another machine" not in page
    assert "Two machines report" not in page


def test_a_post_by_hand_does_not_mix_with_the_host_of_a_mole() -> None:
    site = Site()
    site.send(machine("a", 10))
    by_hand = posts.example() | {"hostname": "gpu01"}
    answer = site.send(by_hand, SECOND)
    assert answer.status_code == 409
    assert f"{SECOND}<small>no mole&#39;s id<" in site.page()
    site.now_s += 16
    assert site.send(by_hand, SECOND).status_code == 200


def test_posts_by_hand_are_each_the_latest_as_with_the_original() -> None:
    site = Site()
    for cpu in (10.0, 20.0, 20.0):
        post = posts.example() | {"hostname": "gpu01", "cpu": {"cpu_percent": cpu}}
        assert site.send(post).json == {"success": True, "msg": "stored result"}
        assert site.cpu() == cpu


def test_a_moles_check_is_taken_beside_the_mole_that_runs() -> None:
    site = Site()
    site.send(machine("a"))
    check = machine("a")
    check["mole"] = {"version": "0.1.0", "errors": {}}
    assert site.send(check).status_code == 200
    assert site.send(machine("b"), SECOND).status_code == 409


def test_many_rivals_take_little_room() -> None:
    site = Site()
    site.send(machine("a"))
    for index in range(200):
        assert site.send(machine("b", id=f"mole-{index}"), SECOND).status_code == 409
    assert site.page().count(SECOND) <= 4


def test_a_post_counts_once_however_often_it_comes() -> None:
    site = Site()
    post = machine("a")
    barrier = threading.Barrier(20)

    def send(_: int) -> dict[str, Any]:
        barrier.wait(60)
        return site.app.test_client().post("/", json=post).json or {}

    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(send, range(100)))
    assert all(answer["success"] and answer["msg"] == "stored result" for answer in answers)
    assert sum("duplicate" not in answer for answer in answers) == 1
    assert sum(answer.get("duplicate") is True for answer in answers) == 99
    figures: Any = site.client.get("/host/gpu01", headers={"Accept": "application/json"}).json
    assert {len(trace["x"]) for figure in figures for trace in figure["data"]} == {1}


def test_a_post_that_comes_twice_tells_its_events_once() -> None:
    site = Site()
    post = machine("a") | {"events": [{"time": 5.0, "kind": "xid", "text": "once"}]}
    site.send(post)
    site.send(post)
    assert site.page().count("<td>once</td>") == 1


def test_a_retry_with_another_way_to_say_who_one_is_is_still_the_same_post() -> None:
    site = Site()
    post = machine("a")
    site.send(post)
    del post["auth_code"]
    answer: Any = site.client.post("/", json=post, headers={"Authorization": f"Bearer {posts.PASSCODE}"}).json
    assert answer["duplicate"] is True


def test_the_same_number_with_other_content_is_a_conflict_that_is_shown_and_the_first_is_kept() -> None:
    site = Site()
    first = machine("a", 10, seq=5)
    assert site.send(first).status_code == 200
    changed = machine("a", 99, seq=5)
    for _ in range(2):
        answer = site.send(changed, SECOND)
        assert answer.status_code == 409
        assert "this number (5)" in answer.json["msg"]
        assert len(answer.json["msg"]) < 280, "a mole cuts it there"
    assert site.cpu() == 10
    page = site.page()
    assert "refused: numbers that were taken" in page
    assert "mole.json" in page
    assert "posts with numbers that were taken" in site.client.get("/").text
    assert site.send(first).json["duplicate"] is True


def test_a_post_that_comes_late_is_no_error_and_never_the_latest() -> None:
    site = Site()
    for seq, cpu in ((1, 10), (3, 30)):
        site.send(machine("a", cpu, seq=seq))
    event = {"time": 5.0, "kind": "xid", "text": "came late"}
    late = machine("a", 20, seq=2) | {"events": [event]}
    answer = site.send(late)
    assert (answer.status_code, answer.json["late"], answer.json["msg"]) == (200, True, "stored result")
    assert site.cpu() == 30
    assert "came late" in site.page()
    assert site.send(late).json["duplicate"] is True


@pytest.mark.parametrize("meanwhile", ["it goes on", "it is silent", "it was restarted", "it was rebooted"])
def test_a_captured_post_that_is_sent_again_an_hour_later_is_never_the_latest(meanwhile: str) -> None:
    site = Site()
    captured = machine("a", 99, seq=1, mono_s=50_000.0)
    site.send(captured)
    steps: dict[str, Callable[[int], posts.Post | None]] = {
        "it goes on": lambda seq: machine("a", 10, seq=seq, mono_s=50_000.0 + 5 * seq),
        "it is silent": lambda seq: machine("a", 10, seq=2) if seq == 2 else None,
        "it was restarted": lambda seq: machine("a", 10, seq=seq, epoch="boot-a.2"),
        "it was rebooted": lambda seq: machine("a", 10, seq=seq, epoch="boot-r.2", mono_s=5.0 * seq),
    }
    for seq in range(2, 722):
        site.now_s += 5
        if post := steps[meanwhile](seq):
            assert site.send(post).status_code == 200
    answer = site.send(captured, SECOND)
    assert answer.json["duplicate"] is True
    assert site.cpu() == 10


def test_a_captured_post_of_an_earlier_start_that_is_not_remembered_is_not_the_latest_either() -> None:
    site = Site()
    captured = machine("a", 99, epoch="boot-a.1")
    site.now_s += 7200
    site.send(machine("a", 10, epoch="boot-a.2"))
    site.now_s += 7200
    assert site.send(captured, SECOND).json["late"] is True
    assert site.cpu() == 10


@pytest.mark.parametrize("ahead_s", [540, 660, 365 * 86400, -540, -365 * 86400])
def test_a_post_from_another_time_is_kept_at_the_time_of_its_coming_and_marked(ahead_s: float) -> None:
    site = Site()
    usual = machine("a", 10)
    site.send(usual)
    odd = machine("a", 20)
    odd["timestamp"] += ahead_s
    odd["events"] = [{"time": odd["timestamp"] - 60, "kind": "xid", "text": "a minute before"}]
    assert site.send(odd).status_code == 200
    assert site.cpu() == 20
    page = site.page()
    assert "its clock is" in page or "its post is dated" in page
    assert ">1 min</td>" in page, "an event's age needs no right clock"
    site.now_s += 5
    site.send(machine("a", 30))
    assert site.cpu() == 30
    assert "its clock is" not in site.page()


def test_a_post_that_was_long_on_its_way_is_no_wrong_clock() -> None:
    site = Site()
    site.send(machine("a", mono_s=50_000.0))
    site.now_s += 40
    late = machine("a", mono_s=50_005.0)
    late["timestamp"] += 40 - 35  # the server's clocks have gone on by as much
    site.send(late)
    assert "its clock is" not in site.page()
    site.now_s += 5
    behind = machine("a", mono_s=50_045.0)
    behind["timestamp"] += 45 - 35
    site.send(behind)
    assert re.search("its clock is 3[1-9] s behind", site.page())  # the posts are stamped by the machine's own clock


def test_when_all_places_are_taken_a_further_host_is_refused_and_every_page_and_health_say_so() -> None:
    site = Site(max_hosts=3)
    for name in ("a", "b", "c"):
        assert site.send(posts.host_post(name)).status_code == 200
    assert "keeps 3 hosts" not in site.page("/")
    for index in range(50):
        assert site.send(posts.host_post(f"fake{index}")).status_code == 429
    for name in ("a", "b", "c"):
        assert site.send(posts.host_post(name)).status_code == 200
    for path in ("/", "/cpu-data", "/host/a"):
        assert "keeps 3 hosts" in site.page(path)
    assert "keeps 3 hosts" in site.client.get("/").text
    health: Any = site.client.get("/health").json
    assert health["status"] == "ok"
    assert "[live] max_hosts" in health["notes"][0]
    site.now_s += 601
    assert "keeps 3 hosts" not in site.page("/")
    assert site.client.get("/health").json == {"status": "ok"}


def names(site: Site) -> list[str]:
    answer: Any = site.client.get("/api/dashboard-data").json
    return list(answer["servers"])


def test_the_host_that_is_silent_the_longest_makes_room_after_a_day() -> None:
    site = Site(max_hosts=3)
    for name in ("a", "b", "c"):
        site.send(posts.host_post(name))
        site.now_s += 3600
    site.send(posts.host_post("a"))
    site.now_s += 21 * 3600
    assert site.send(posts.host_post("d")).status_code == 429
    site.now_s += 3600 + 1
    assert site.send(posts.host_post("d")).status_code == 200
    assert names(site) == ["a", "c", "d"]
    assert site.send(posts.host_post("e")).status_code == 429


def test_with_0_no_host_is_ever_forgotten() -> None:
    site = Site(max_hosts=1, forget_hosts_after_h=0)
    site.send(posts.host_post("a"))
    site.now_s += 10 * 365 * 86400
    assert site.send(posts.host_post("b")).status_code == 429
    assert names(site) == ["a"]
