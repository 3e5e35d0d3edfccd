"""The history of a real server: what it said it has stored is there, however it ended."""

from __future__ import annotations

import csv
import json
import random
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import posts
import pytest
import requests
from load import Load, numbered
from processes import LONG_S, SERVE, WAITRESS, Program, Server, until

pytestmark = pytest.mark.slow

OF_BUCKETS = ("min", "max", "mean", "count", "not_finite")


@pytest.fixture
def start(tmp_path: Path) -> Generator[Callable[..., Server]]:
    started: list[Server] = []

    def start_one(command: list[str] = SERVE, **settings: str) -> Server:
        environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
        server = Server(tmp_path, {**environ, **settings}, command=command)
        started.append(server)
        return server.start()

    yield start_one
    for server in started:
        server.kill()


def series(server: Server, **asked: Any) -> list[dict[str, Any]]:
    def answer() -> list[requests.Response]:
        found = requests.get(
            server.url + "/api/series", params={"from": 0, "metric": "sys.cpu_percent", **asked}, timeout=LONG_S
        )
        return [] if found.status_code == requests.codes.service_unavailable else [found]  # it opens its store yet

    [found] = until(answer)
    assert found.status_code == requests.codes.ok, found.text
    return found.json()["series"]


def by_host(server: Server) -> dict[str, list[float]]:
    return {each["host"]: each["value"] for each in series(server)}


def stored(server: Server) -> dict[str, list[int]]:
    return {each["host"]: [int(value) for value in each["value"]] for each in series(server, metric="sys.load_1m")}


def test_each_post_that_was_acknowledged_is_there_once_after_kill_9_of_bare_waitress(
    start: Callable[..., Server],
) -> None:
    """And of `serve`: test_kills.py."""
    server = start(WAITRESS)
    with Load(lambda: server.url) as load:
        for kill in range(3):
            enough = load.count + 5
            until(lambda enough=enough: load.count > enough)
            time.sleep(random.Random(kill).random() * 0.6)
            server.kill()
            server.port = 0
            server.start()
    time.sleep(1.5)  # what was acknowledged in the last second may still be on its way
    found = stored(server)
    for host, numbers in load.acknowledged.items():
        assert numbers <= set(found[host]), f"lost of {host}: {sorted(numbers - set(found[host]))}"
        assert len(found[host]) == len(set(found[host])), f"{host} has posts twice"
        assert set(found[host]) <= set(range(1, load.sent[host] + 1))


def test_a_server_without_a_journal_would_lose_them(start: Callable[..., Server]) -> None:
    """So the test above can fail: with its file removed while the server is dead, what wasn't carried is lost."""
    server = start()
    with Load(lambda: server.url) as load:
        until(lambda: load.count > 40)
        server.kill()
    removed = list((Path(server.log_path.parent) / "state" / "journal").glob("*.journal"))
    for path in removed:
        path.unlink()
    server.start()
    found = stored(server)
    assert removed
    assert any(numbers - set(found.get(host, ())) for host, numbers in load.acknowledged.items())


def test_hosts_are_known_after_a_restart_with_their_last_post_and_its_age(start: Callable[..., Server]) -> None:
    server = start()
    server.post(posts.host_post("gpu01", gpus=2))
    before = server.get("/api/hosts").json()["hosts"]
    code, _ = server.end()
    assert code == 0
    server.start()
    until(lambda: server.get("/api/hosts").json()["hosts"])
    [host] = server.get("/api/hosts").json()["hosts"]
    assert [gpu["uuid"] for gpu in host["gpus"]] == [gpu["uuid"] for gpu in before[0]["gpus"]]
    assert 0 < host["age_s"] < 600
    assert server.post(posts.host_post("gpu01", gpus=2)).json()["success"]


def test_a_host_that_was_removed_is_not_back_after_a_restart(start: Callable[..., Server]) -> None:
    server = start()
    for name in ("gone", "here"):
        server.post(posts.host_post(name, gpus=1))
    address, data = f"{server.url}/remove-host/gone", {"auth_code": posts.PASSCODE}
    until(lambda: requests.post(address, data=data, timeout=LONG_S).ok)  # once it is stale
    time.sleep(1.5)
    series(server)  # which asks for a step, unless one was just done
    server.kill()
    server.start()
    until(lambda: server.get("/api/hosts").json()["hosts"])
    assert [host["name"] for host in server.get("/api/hosts").json()["hosts"]] == ["here"]


def test_more_hosts_than_there_are_places_for_keep_no_server_from_its_work(start: Callable[..., Server]) -> None:
    server = start()
    for number in range(4):
        server.post(posts.host_post(f"gpu{number}", gpus=1))
    server.end()
    server = start(CLUSTER_DASH_LIVE_MAX_HOSTS="2")
    until(lambda: server.get("/api/metrics").ok)
    assert len(server.get("/api/hosts").json()["hosts"]) == 2
    assert server.get("/health").json() == {"status": "ok"}


def test_a_post_that_comes_late_or_twice_stands_at_its_own_time_once(start: Callable[..., Server]) -> None:
    server = start()
    now = time.time()
    sent = [posts.host_post("gpu01", gpus=1, seq=at, timestamp=now - 3600 + at * 60) for at in range(1, 11)]
    order = [*sent[5:], *sent[:5], *sent]
    random.Random(1).shuffle(order)
    for post in order[:12]:
        server.post(post)
    server.end(signal.SIGKILL)  # what it knows of numbers is gone with it
    server.start()
    for post in order:
        server.post(post)
    time.sleep(1.5)  # an answer has what was acknowledged a second ago
    [found] = series(server)
    assert found["time"] == pytest.approx([post["timestamp"] for post in sent], abs=0.001)


def test_points_that_come_twice_within_one_insert_stand_once(start: Callable[..., Server]) -> None:
    """ClickHouse isn't asked to look for them at an insert. Posts without a number aren't known to be the same."""
    server = start()
    post = posts.host_post("gpu01", gpus=2, timestamp=time.time() - 60)
    post.pop("mole", None)
    for _ in range(5):
        assert server.post(post).json() == {"success": True, "msg": "stored result"}
    time.sleep(1.5)  # an answer has what was acknowledged a second ago
    for metric, count in (("sys.cpu_percent", 1), ("sys.gpu.util_percent", 2)):
        found = series(server, metric=metric)
        assert [len(each["time"]) for each in found] == [1] * count
        assert (
            requests.get(f"{server.url}/api/series?metric={metric}&points=1", timeout=LONG_S).json()["series"] == found
        )


def test_a_second_server_on_the_folder_says_so_and_ends(start: Callable[..., Server], tmp_path: Path) -> None:
    start()
    environ = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    with Program([word.format(port=0) for word in SERVE], tmp_path / "second.log", environ) as second:
        assert second.process
        assert second.process.wait(LONG_S) == 1
    assert "another server keeps its history in" in second.log
    assert "CLUSTER_DASH_STORE_URL" in second.log
    assert "Traceback" not in second.log


def test_a_full_journal_refuses_posts_until_there_is_room(start: Callable[..., Server]) -> None:
    """The store is a ClickHouse server that is away, so nothing is carried."""
    server = start(CLUSTER_DASH_STORE_URL="http://localhost:9/history", CLUSTER_DASH_STORE_JOURNAL_MIB="1")
    answers = [server.post(posts.full_post(f"gpu{at:03}")) for at in range(250)]
    refused = [answer for answer in answers if answer.status_code == requests.codes.service_unavailable]
    assert 10 < len(refused) < 200
    assert "the journal is full" in refused[0].json()["msg"]
    assert int(refused[0].headers["Retry-After"]) > 0
    assert server.get("/").status_code == requests.codes.ok


def test_a_store_that_is_away_is_told_and_costs_no_post(start: Callable[..., Server]) -> None:
    server = start(CLUSTER_DASH_STORE_URL="http://localhost:9/history")
    assert server.post(posts.host_post("gpu01")).json()["success"]
    until(lambda: server.get("/health").status_code == requests.codes.service_unavailable)
    assert "behind (Connection refused)" in str(server.get("/health").json()["reasons"])
    page = server.get("/", accept="text/html").text
    assert "The store is" in page
    assert server.get("/api/series?metric=sys.cpu_percent").status_code == requests.codes.service_unavailable
    server.kill()
    server = start()
    assert by_host(server) == {"gpu01": [37.5]}  # what waited goes to the store that is set now


def test_a_damaged_journal_is_set_aside_and_the_rest_is_used(start: Callable[..., Server], tmp_path: Path) -> None:
    folder = tmp_path / "state" / "journal"
    server = start(CLUSTER_DASH_STORE_URL="http://localhost:9/history")
    for number in range(1, 21):
        server.post(numbered("gpu01", number))
    server.kill()
    [path, *_] = sorted(folder.glob("*.journal"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    server = start()
    [found] = stored(server).values()
    whole = set(range(1, 21))
    assert len(whole - set(found)) == 1
    assert set(found) < whole
    assert "damaged" in server.log
    assert list(folder.glob("*.damaged-*"))


def test_without_a_store_the_history_says_so(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(CLUSTER_DASH_STORE_URL="none")
    assert server.post(posts.host_post("gpu01")).json()["success"]
    answer = server.get("/api/series?metric=sys.cpu_percent")
    assert answer.status_code == requests.codes.not_found
    assert "[store] url is none" in answer.json()["msg"]
    assert not (tmp_path / "state" / "journal").exists()


def test_buckets_have_each_spike_and_lie_on_one_grid(start: Callable[..., Server]) -> None:
    server = start()
    now = int(time.time()) - 3000
    with requests.Session() as session:
        for at in range(300):
            cpu = {"cpu_percent": 100.0 if at == 137 else at % 7, "load_avgs": [0, 0, 0], "num_cpus": 8}
            session.post(
                server.url, json=posts.host_post("gpu01", gpus=0, seq=at + 1, timestamp=now + at * 10, cpu=cpu)
            )
    time.sleep(1.5)  # an answer has what was acknowledged a second ago
    [raw] = series(server, **{"from": now, "to": now + 3000})
    assert len(raw["value"]) == 300
    assert "min" not in raw
    asked = {"metric": "sys.cpu_percent", "from": now, "to": now + 3000, "points": 50}
    answer = requests.get(server.url + "/api/series", params=asked, timeout=LONG_S).json()
    [found], bucket_s = answer["series"], answer["bucket_s"]
    assert bucket_s == 60
    assert all(at % bucket_s == 0 for at in found["time"])
    assert sum(found["count"]) == 300
    assert max(found["max"]) == 100
    assert found["mean"][0] == pytest.approx(sum(raw["value"][: found["count"][0]]) / found["count"][0])


def test_csv_says_what_json_says_and_comes_packed(asking: Server) -> None:
    at_s = int(time.time()) // 60 * 60 - 600
    for at in range(70):
        metrics = {"=most()": {"value": [1e308, at], "tags": [{"mount": '"/,'}, {}], "unit": "B"}}
        post = posts.host_post("=host()", gpus=1, seq=at + 1, timestamp=at_s + at, metrics=metrics)
        asking.post(post).raise_for_status()
    time.sleep(1.5)  # an answer has what was acknowledged a second ago
    for points in ({}, {"points": "2"}):
        asked = {"metric": ["=most()", "sys.gpu.util_percent"], "from": at_s, "to": at_s + 120, **points}
        packed = requests.get(asking.url + "/api/series", params={**asked, "format": "csv"}, timeout=LONG_S)
        assert packed.headers["Content-Encoding"]
        rows = list(csv.DictReader(packed.text.splitlines()))
        expected: list[dict[str, str]] = []
        for each in series(asking, **asked):
            own = {"tags": json.dumps(each["tags"], separators=(",", ":")) if each["tags"] else ""}
            own |= {
                name: "" if each[name] is None else f"{each[name]}" for name in ("run_id", "rank", "device", "unit")
            }
            own |= {name: each[name].replace("=", "'=") for name in ("host", "metric")}
            for number in range(len(each["time"])):
                cells = {name: each[name][number] if name in each else None for name in ("time", "value", *OF_BUCKETS)}
                expected.append(own | {name: "" if cell is None else f"{cell}" for name, cell in cells.items()})
        assert rows == expected
    assert any(row["max"] and not row["mean"] for row in rows)  # their sum is more than a number can be


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("series?", "metric must be given"),
        ("series?metric=a&host=x&hots=y", "there is no 'hots' here"),
        ("series?metric=a&host=x&host=y", "host may be given once"),
        ("series?" + "&".join(["metric=a"] * 51), "metric may be given up to 50 times"),
        ("series?metric=a&points=2.5", "points='2.5' must be a whole number"),
        ("series?metric=a&device=0.5", "device='0.5' must be a whole number"),
        ("metrics?since=5", "there is no 'since' here, only metric, host"),
        ("metrics?metric=a", "give host, too"),
        ("events?start=5", "there is no 'start' here, only host, from, to"),
        ("series?metric=a&from=x", "from='x' must be a number"),
        ("series?metric=a&from=5&to=4", "from must be before to"),
        ("series?metric=a&points=0", "points='0' must be a number from 1"),
        ("series?metric=a&points=nan", "points='nan'"),
        ("series?metric=a&device=-1", "device='-1'"),
        ("series?metric=a&tags=x", "tags must be a JSON object"),
        ("series?metric=a&tags=" + '{"a":' * 300 + "1" + "}" * 300, "tags must be a JSON object"),
        ("series?metric=a&format=xml", "format='xml' must be json or csv"),
    ],
)
def test_a_wrong_question_is_told_what_would_be_right(asking: Server, asked: str, says: str) -> None:
    answer = asking.get(f"/api/{asked}")
    assert answer.status_code == requests.codes.bad_request
    assert says in answer.json()["msg"]


def test_a_hostile_question_is_a_name_that_nobody_has(asking: Server) -> None:
    for text in ("x' OR 1=1 --", "{table}", "%s", "'; DROP TABLE metric_points", "\\", "🙂" * 100):
        answer = requests.get(asking.url + "/api/series", params={"metric": text, "host": text}, timeout=LONG_S)
        assert (answer.status_code, answer.json()["series"]) == (200, [])
    assert "Traceback" not in asking.log


def test_a_time_that_no_table_can_hold_has_no_points(asking: Server) -> None:
    for asked in ("from=5000000000&to=5000100000&points=1", "from=4300000000&to=8000000000&points=1"):
        assert asking.get(f"/api/series?metric=a&{asked}").json()["series"] == []


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    folder = tmp_path_factory.mktemp("asking")
    with Server(folder, {"STATE_DIRECTORY": str(folder), "CLUSTER_DASH_STORE_URL": ""}, command=SERVE) as server:
        until(lambda: server.get("/api/metrics").status_code == requests.codes.ok)
        yield server
