"""Where to run next: what is offered, in which order, and the lines that a shell takes."""

from __future__ import annotations

import shlex
from typing import Any

import orjson
import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config, HostNames, Serve


class Lab:
    """Hosts whose GPUs are free since some time."""

    def __init__(self, **names: Any) -> None:
        self.mono_s = 1000.0
        config = Config(hosts=HostNames(**names), serve=Serve(held_streams=0))
        app = create_app(config, start=False, monotonic=lambda: self.mono_s, wall=wall_beside(lambda: self.mono_s))
        self.client = app.test_client()

    def post(self, name: str, *gpus: posts.Post) -> None:
        entries = {str(at): gpu | {"uuid": f"GPU-{name}-{gpu['index']}"} for at, gpu in enumerate(gpus)}
        post = posts.host_post(name, gpu=entries)
        assert self.client.post("/", json=post | {"mole": post["mole"] | {"interval_s": 86_400}}).status_code == 200

    def hosts(self, query: str = "") -> list[str]:
        answer = self.client.get(f"/api/free?{query}").json
        assert answer is not None
        return [offer["host"] for offer in answer["hosts"]]


FREE, BUSY = posts.gpu, posts.busy_gpu


def test_only_hosts_with_as_many_free_gpus_of_that_size_are_offered() -> None:
    lab = Lab()
    lab.post("small", *(FREE(at, total_mem=24_576.0, used_mib=0) for at in range(4)))
    lab.post("one", FREE(0), BUSY(1, "bob"))
    lab.post("two", FREE(0), FREE(1), BUSY(2, "bob"))
    assert lab.hosts() == ["one", "two", "small"]
    assert lab.hosts("gpus=2") == ["two", "small"]
    assert lab.hosts("gpus=2&mem=40") == ["two"]
    assert lab.hosts("gpus=3&mem=40") == []
    assert lab.hosts("mem=79.6") == ["one", "two"]
    assert lab.hosts("mem=79.7") == []


def test_the_quiet_come_first_then_the_fewest_left_over_then_the_longest_free() -> None:
    lab = Lab()
    lab.post("wide", *(FREE(at) for at in range(8)))
    lab.mono_s += 100
    lab.post("narrow", FREE(0), FREE(1))
    lab.mono_s += 100
    lab.post("narrower", FREE(0), FREE(1))
    lab.mono_s += 650
    lab.post("fresh", FREE(0), FREE(1))
    assert lab.hosts("gpus=2") == ["narrow", "narrower", "wide", "fresh"]


def test_of_a_host_the_gpus_that_are_free_the_longest_are_taken() -> None:
    lab = Lab()
    lab.post("a", BUSY(0, "bob"), BUSY(1, "bob"), FREE(2))
    lab.mono_s += 10
    lab.post("a", BUSY(0, "bob"), FREE(1), FREE(2))
    lab.mono_s += 10
    lab.post("a", FREE(0), FREE(1), FREE(2))
    lab.mono_s += 5
    answer = lab.client.get("/api/free?gpus=2").json
    assert answer is not None
    (offer,) = answer["hosts"]
    assert [(gpu["i"], gpu["free_for_s"], gpu["mem_free_gib"]) for gpu in offer["gpus"]] == [
        (1, 15, 79.6),
        (2, 25, 79.6),
    ]
    assert (offer["free"], offer["left"], offer["free_for_s"]) == (3, 1, 15)
    assert offer["cuda_visible_devices"] == "GPU-a-1,GPU-a-2"
    assert answer["asked"] == {"gpus": 2, "mem": 0.0, "model": "", "tag": ""}


def test_gpus_that_go_together_are_of_one_model() -> None:
    lab = Lab(tags={"fast": ["mixed", "other"]})
    lab.post("mixed", FREE(0), FREE(1, name="NVIDIA H100"))
    lab.post("pair", FREE(0, name="NVIDIA H100"), FREE(1, name="NVIDIA H100"))
    assert lab.hosts("gpus=2") == ["pair"]
    assert lab.hosts("model=h100") == ["mixed", "pair"]
    assert lab.hosts("model=h100&tag=fast") == ["mixed"]


def test_what_is_silent_held_lost_or_unknown_is_not_offered() -> None:
    lab = Lab(expected=("ghost",))
    held = FREE(0, used_mib=40_000)
    lab.post("a", held, FREE(1, state="lost"), FREE(2, gpu_util=None), FREE(3, users={"b": {"1": {"mem": 300.0}}}))
    old = posts.host_post("old", gpu={"0": FREE(0)})
    assert lab.client.post("/", json=old).status_code == 200
    assert lab.hosts() == ["old"]
    lab.mono_s += 16
    assert lab.hosts() == []


def test_an_instance_of_a_split_gpu_is_offered_alone() -> None:
    lab = Lab()
    small, large = {"name": "1g.10gb", "total_mem": 9728.0}, {"name": "3g.40gb", "total_mem": 40_192.0}
    mig: list[dict[str, Any]] = [
        small | {"uuid": "MIG-1", "used_mem": 12.0, "pids": []},
        small | {"uuid": "MIG-2", "used_mem": 5000.0, "pids": [7]},
        large | {"uuid": "MIG-3", "used_mem": 12.0, "pids": []},
    ]
    lab.post("m", FREE(0, gpu_util=None, mig=mig))
    assert lab.hosts("gpus=2") == []
    text = lab.client.get("/free.txt").text
    assert "GPU 0, NVIDIA A100 80GB, its instance 1g.10gb, 9.5 GiB free" in text
    assert "CUDA_VISIBLE_DEVICES=MIG-1\n" in text
    assert "CUDA_VISIBLE_DEVICES=MIG-3\n" in lab.client.get("/free.txt?mem=20").text
    host: dict[str, Any] = orjson.loads(lab.client.get("/api/hosts").data)["hosts"][0]
    split: list[dict[str, Any]] = host["gpus"][0]["mig"]
    assert [each.get("uuid") for each in split] == ["MIG-1", None, "MIG-3"]


def test_the_text_has_ready_lines_best_first() -> None:
    lab = Lab()
    lab.post("gpu01", FREE(0), FREE(1))
    lab.mono_s += 8040
    answer = lab.client.get("/free.txt?gpus=2&mem=40")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert answer.text.splitlines() == [
        "# 2 free GPUs with 40 GiB each on one host: 1 place; "
        "best first: free for 10 min, then the fewest GPUs left over, then free for the longest",
        "",
        "# gpu01: GPUs 0 and 1, NVIDIA A100 80GB, 79.6 GiB free each, for 2 h 14 min; none left over",
        "ssh gpu01",
        "CUDA_VISIBLE_DEVICES=GPU-gpu01-0,GPU-gpu01-1",
    ]


def test_where_nothing_fits_it_says_what_comes_closest_and_curl_f_fails() -> None:
    lab = Lab()
    lab.post("a", *(FREE(at) for at in range(3)))
    lab.post("b", FREE(0, used_mib=40_000))
    lab.mono_s += 700
    answer = lab.client.get("/free.txt?gpus=4")
    assert answer.status_code == 404
    assert answer.text.splitlines() == [
        "# Nobody has 4 free GPUs on one host right now.",
        "# The most on one host are 3, on a. 1 is held idle: curl / says by whom.",
    ]
    json = lab.client.get("/api/free?gpus=4")
    assert (json.status_code, json.json and json.json["hosts"]) == (200, [])
    assert "No GPU that fits is free." in lab.client.get("/free.txt?mem=500").text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("gpus=0", "gpus='0': how many, a whole number from 1 to 1000"),
        ("gpus=-1", "a whole number"),
        ("gpus=1.5", "a whole number"),
        ("gpus=", "a whole number"),
        ("gpus=²", "a whole number"),
        ("gpus=99999999999", "a whole number"),
        ("mem=x", "mem='x': GiB that must be free on each GPU, a number from 0, as 40"),
        ("mem=-1", "a number from 0"),
        ("mem=nan", "a number from 0"),
        ("mem=inf", "a number from 0"),
        ("tag=x", "no tag of that name; there are: rack-3"),
        ("gpu=2", "'gpu' is no parameter; there are: gpus, mem, model, tag, kiosk"),
    ],
)
@pytest.mark.parametrize("path", ["/free.txt", "/api/free"])
def test_a_wrong_parameter_is_told_with_what_is_right(path: str, query: str, words: str) -> None:
    answer = Lab(tags={"rack-3": ["a"]}).client.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json is not None
    assert words in answer.json["msg"]


@pytest.mark.parametrize("name", ["a b", "-oProxyCommand=x", "$(id)", "a;id", "`id`", "a\\nid", "x'y", "日本", "a."])
def test_no_name_reaches_a_shell_as_more_than_a_name(client: FlaskClient, name: str) -> None:
    gpus = {"0": posts.gpu(0) | {"uuid": f"GPU-1;{name}", "name": f"\n{name}\r"}}
    assert client.post("/", json=posts.host_post(name, gpu=gpus)).status_code == 200
    for line in client.get("/free.txt").text.splitlines():
        if line and not line.startswith("#"):
            assert shlex.split(line) == line.split()
            assert line.startswith("CUDA_VISIBLE_DEVICES=0 CUDA_DEVICE_ORDER=PCI_BUS_ID")


def test_all_gpus_are_in_the_json_with_their_host_and_uuid(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("gpu01"))
    gpus = client.get("/api/gpus").json
    hosts = client.get("/api/hosts").json
    assert gpus is not None
    assert hosts is not None
    assert [(gpu["host"], gpu["i"], gpu["model"]) for gpu in gpus["gpus"]] == [
        ("gpu01", at, "NVIDIA A100 80GB") for at in range(8)
    ]
    assert all(gpu["uuid"].startswith("GPU-0000000") for gpu in gpus["gpus"])
    assert [gpu["uuid"] for gpu in hosts["hosts"][0]["gpus"]] == [gpu["uuid"] for gpu in gpus["gpus"]]
    assert hosts["totals"] == gpus["totals"]
