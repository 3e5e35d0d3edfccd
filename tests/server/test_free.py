"""Where to run next: what is free is offered, best first, with lines that a shell can take as they are."""

from __future__ import annotations

from typing import Any

import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config, HostNames

BUSY = {"alice": {"4711": {"mem": 70000, "time": 1.0, "name": "python"}}}
MINUTE_S = 60


class Lab:
    def __init__(self) -> None:
        self.now_s = 1_000.0
        config = Config(hosts=HostNames(tags={"rack-1": ("small", "large")}))
        app = create_app(config, start=False, monotonic=lambda: self.now_s, wall=wall_beside(lambda: self.now_s))
        self.client = app.test_client()

    def post(self, host: str, *is_free: bool, model: str = "A100", **fields: Any) -> None:
        gpus = {
            f"g{index}": posts.gpu(
                index, used_mib=100 if free else 70_000, util=0 if free else 90, users={} if free else BUSY
            )
            | {"name": model, "uuid": f"GPU-{host}-{index}", **fields}
            for index, free in enumerate(is_free)
        }
        assert self.client.post("/", json=posts.host_post(host, gpu=gpus)).status_code == 200

    def free(self, query: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"/api/free?{query}")
        assert answer.status_code == 200
        assert answer.json is not None
        return answer.json["hosts"]


@pytest.fixture
def lab() -> Lab:
    return Lab()


def names(offers: list[dict[str, Any]]) -> list[str]:
    return [offer["host"] for offer in offers]


def test_all_that_is_offered_together_is_on_one_host(lab: Lab) -> None:
    lab.post("one", True, False)
    lab.post("two", True, False, True)
    (offer,) = lab.free("gpus=2")
    assert offer["host"] == "two"
    assert offer["cuda_visible_devices"] == "GPU-two-0,GPU-two-2"


def test_the_host_with_the_fewest_left_over_comes_first_and_large_gaps_stay(lab: Lab) -> None:
    lab.post("large", True, True, True, True)
    lab.post("small", True, True, False)
    assert names(lab.free("gpus=2")) == ["small", "large"]


def test_what_has_been_quiet_for_ten_minutes_comes_before_what_was_free_just_now(lab: Lab) -> None:
    lab.post("quiet", True, True, True)
    for _ in range(11 * MINUTE_S // 5):
        lab.now_s += 5
        lab.post("quiet", True, True, True)
    lab.post("just-now", True)
    found = lab.free("gpus=1")
    assert names(found) == ["quiet", "just-now"]
    assert found[0]["free_for_s"] == 11 * MINUTE_S


def test_memory_is_what_is_free_on_each_gpu(lab: Lab) -> None:
    lab.post("a", True)
    assert names(lab.free("mem=79")) == ["a"]
    assert lab.free("mem=80") == []


def test_model_and_tag_choose(lab: Lab) -> None:
    lab.post("small", True, model="NVIDIA H100 80GB")
    lab.post("other", True, model="A100")
    assert names(lab.free("model=h100")) == ["small"]
    assert names(lab.free("tag=rack-1")) == ["small"]


def test_a_host_that_is_silent_offers_nothing(lab: Lab) -> None:
    lab.post("a", True)
    lab.now_s += 60
    assert lab.free("gpus=1") == []


def test_what_is_lost_or_not_known_is_not_offered(lab: Lab) -> None:
    lab.post("lost", True, state="lost")
    lab.post("unknown", True, gpu_util=None)
    assert lab.free("gpus=1") == []


def test_the_text_has_lines_for_a_shell_and_the_rest_behind_a_hash(lab: Lab) -> None:
    lab.post("gpu01", True, True)
    answer = lab.client.get("/free.txt?gpus=2&mem=40")
    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    assert lines == ["ssh gpu01", "CUDA_VISIBLE_DEVICES=GPU-gpu01-0,GPU-gpu01-1"]


def test_where_nothing_fits_it_says_what_comes_closest_and_curl_f_fails(lab: Lab) -> None:
    lab.post("a", True, True)
    answer = lab.client.get("/free.txt?gpus=3")
    assert answer.status_code == 404
    assert "The most on one host are 2, on a." in answer.text
    told = lab.client.get("/api/free?gpus=3").json
    assert told is not None
    assert (told["hosts"], "on a." in told["closest"]) == ([], True)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("gpus=0", "a whole number from 1"), ("gpus=-1", "a whole number"), ("gpus=1.5", "a whole number"),
        ("gpus=" + "9" * 5000, "a whole number"), ("mem=lots", "GiB that must be free"), ("mem=-1", "GiB"),
        ("mem=nan", "GiB"), ("mem=inf", "GiB"), ("tag=nope", "no tag of that name"), ("gpu=2", "is no parameter"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_told_what_is_right(lab: Lab, query: str, says: str) -> None:
    for path in ("/free.txt", "/api/free"):
        answer = lab.client.get(f"{path}?{query}")
        assert answer.status_code == 400
        assert says in answer.text
        assert len(answer.text) < 800


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a;reboot", "$(reboot)", "a b", "a\tb", "`x`", "é"])
def test_no_name_becomes_a_command(lab: Lab, name: str) -> None:
    if lab.client.post("/", json=posts.host_post(name, gpu={"g": posts.gpu(0, used_mib=1)})).status_code == 200:
        text = lab.client.get("/free.txt").text
        assert "(its name isn't one for ssh)" in text
        assert not [line for line in text.splitlines() if line.startswith("ssh")]


@pytest.mark.parametrize("uuid", [None, "x;reboot", "GPU-a b", "GPU-$(x)"])
def test_a_gpu_without_a_uuid_for_a_shell_is_named_by_its_place_on_the_bus(lab: Lab, uuid: str | None) -> None:
    lab.post("a", True, uuid=uuid)
    assert "\nCUDA_VISIBLE_DEVICES=0 CUDA_DEVICE_ORDER=PCI_BUS_ID\n" in lab.client.get("/free.txt").text


def test_hosts_and_gpus_as_json_say_the_same(lab: Lab) -> None:
    lab.post("a", True, False)
    hosts, gpus = lab.client.get("/api/hosts").json, lab.client.get("/api/gpus").json
    assert hosts is not None
    assert gpus is not None
    assert [gpu["is"] for gpu in gpus["gpus"]] == ["free", "busy"]
    assert [gpu["is"] for gpu in hosts["hosts"][0]["gpus"]] == ["free", "busy"]
    assert hosts["totals"] == gpus["totals"]
    assert (hosts["totals"]["gpus"], hosts["totals"]["free"], hosts["totals"]["busy"]) == (2, 1, 1)
    assert [(user["user"], user["gpus"]) for user in hosts["users"]] == [("alice", 1)]


def test_an_empty_fleet_answers(client: FlaskClient) -> None:
    assert client.get("/free.txt").status_code == 404
    assert client.get("/api/free").status_code == client.get("/api/hosts").status_code == 200
