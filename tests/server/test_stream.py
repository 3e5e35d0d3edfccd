"""The stream: everything at first, then only what changed, and nothing that falls in between is lost."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import hostile
import posts
import pytest
from clock_standin import wall_beside
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Config, HostNames, Live
from cluster_dash_server.live.changes import Changes

STREAM = "/stream?hold=0&hosts=1"


class Reader:
    """A browser's EventSource: it comes back with the id that it heard last."""

    def __init__(self, client: FlaskClient, path: str = STREAM) -> None:
        self.client, self.path, self.last_id = client, path, ""

    def read(self) -> dict[str, Any] | None:
        answer = self.client.get(self.path, headers={"Last-Event-ID": self.last_id} if self.last_id else {})
        assert answer.status_code == 200
        assert answer.mimetype == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        retry, _, rest = answer.text.partition("\n")
        assert re.fullmatch(r"retry: \d+", retry)
        if rest.startswith(":"):
            return None
        fields = dict(line.split(": ", 1) for line in rest.strip().splitlines())
        assert fields["event"] == "hosts"
        self.last_id = fields["id"]
        return json.loads(fields["data"], parse_constant=pytest.fail)

    def names(self) -> list[str]:
        news = self.read()
        return [] if news is None else [row["name"] for row in news["hosts"]]


class Site:
    def __init__(self, **settings: Any) -> None:
        self.now_s = 1_000.0
        app = create_app(
            Config(**settings), start=False, monotonic=lambda: self.now_s, wall=wall_beside(lambda: self.now_s)
        )
        self.client = app.test_client()

    def post(self, *names: str) -> None:
        for name in names:
            assert self.client.post("/", json=posts.host_post(name)).status_code == 200


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_first_answer_is_whole_and_the_next_holds_what_changed(site: Site) -> None:
    site.post("a", "b", "c")
    reader = Reader(site.client)
    first = reader.read()
    assert first is not None
    assert (first["full"], [row["name"] for row in first["hosts"]]) == (True, ["a", "b", "c"])
    assert reader.read() is None
    site.post("b")
    second = reader.read()
    assert second is not None
    assert (second["full"], [row["name"] for row in second["hosts"]], second["gone"]) == (False, ["b"], [])


def test_two_readers_each_get_every_change_once(site: Site) -> None:
    site.post("a", "b")
    readers = [Reader(site.client), Reader(site.client)]
    for reader in readers:
        reader.read()
    site.post("a")
    assert readers[0].names() == ["a"]
    site.post("b")
    assert readers[0].names() == ["b"]
    assert sorted(readers[1].names()) == ["a", "b"]
    assert readers[1].names() == []


@pytest.mark.parametrize("last_id", ["", "x", "-1", "0", "ffffffff-1", "a" * 5000, "1-99999999999999999999", "é"])
def test_an_id_that_is_not_of_this_start_gets_everything(site: Site, last_id: str) -> None:
    site.post("a")
    answer = site.client.get(STREAM, headers={"Last-Event-ID": last_id.encode().decode("latin-1")})
    assert '"full":true' in answer.text


def test_an_id_of_this_start_that_lies_ahead_gets_everything(site: Site) -> None:
    site.post("a")
    reader = Reader(site.client)
    reader.read()
    reader.last_id = reader.last_id.partition("-")[0] + "-999999"
    again = reader.read()
    assert again is not None
    assert again["full"] is True


def test_a_reader_that_was_away_for_more_than_is_remembered_must_read_everything() -> None:
    changes = Changes(most=2)
    for name in ("a", "b", "a", "b"):
        changes.note("host", name)
    assert changes.since(2, "host") == ["b", "a"]
    assert changes.since(changes.version, "host") == []
    changes.note("host", "c")  # there is no room for what "a" had
    assert changes.since(2, "host") is None
    assert changes.since(3, "host") == ["c", "b"]
    assert changes.since(4, "run") == []


def test_a_host_goes_stale_and_offline_by_time_alone(site: Site) -> None:
    site.post("a")
    reader = Reader(site.client)
    reader.read()
    told: list[str] = []
    for passed_s in (5, 15, 590):
        site.now_s += passed_s
        news = reader.read()
        told += [row["is"] for row in news["hosts"]] if news else ["no news"]
    assert told == ["no news", "stale", "offline"]


def test_a_removed_host_is_told_as_gone(site: Site) -> None:
    site.post("a", "b")
    reader = Reader(site.client)
    reader.read()
    site.now_s += 60
    answer = site.client.post("/remove-host/a", data={"auth_code": posts.PASSCODE})
    assert answer.status_code == 200
    news = reader.read()
    assert news is not None
    assert news["gone"] == ["a"]
    site.post("a")
    assert "a" in reader.names()


def test_an_expected_host_is_silent_until_it_reports() -> None:
    site = Site(hosts=HostNames(expected=("gpu[1-2]",)))
    site.post("gpu1")
    reader = Reader(site.client)
    first = reader.read()
    assert first is not None
    assert [(row["name"], row["is"]) for row in first["hosts"]] == [("gpu1", "up"), ("gpu2", "silent")]
    site.post("gpu2")
    second = reader.read()
    assert second is not None
    assert [(row["name"], row["is"]) for row in second["hosts"]] == [("gpu2", "up")]


def test_letters_stand_for_users_on_a_wall_screen_where_the_settings_say_so() -> None:
    site = Site(hosts=HostNames(hide_users_in_kiosk=True))
    site.post("a")
    assert "alice" in site.client.get(STREAM).text
    hidden = site.client.get(f"{STREAM}&kiosk=1").text
    assert "alice" not in hidden
    assert '"users":[{"user":"A"' in hidden


def test_it_is_packed_for_those_who_take_gzip(site: Site) -> None:
    site.post("a")
    answer = site.client.get(STREAM, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b'"name":"a"' in gzip.decompress(answer.data)


@pytest.mark.slow
def test_what_is_odd_is_valid_json_in_every_row() -> None:
    site = Site(live=Live(max_hosts=10_000))
    for at, (name, body) in enumerate(hostile.odd_bodies()):
        sent = body.replace(b'"hostname": "hostile"', f'"hostname": "odd{at}"'.encode())
        sent = sent.replace(hostile.PASSCODE.encode(), posts.PASSCODE.encode())
        assert site.client.post("/", data=sent, content_type=hostile.JSON).status_code == 200, name
    for path in (STREAM, f"{STREAM}&kiosk=1"):
        read = Reader(site.client, path).read()
        assert read is not None
        assert len(read["hosts"]) > 200


@pytest.mark.parametrize("text", ["%s", "%", "100 %.0f", "\x7f", "</script>", "\u2028", "\U0001f600", "{0}", "\\u0000"])
def test_no_name_breaks_a_row(site: Site, text: str) -> None:
    users = {f"u{text}": {"1": {"mem": 5000, "time": 1.0, "name": text}}}
    gpu = posts.gpu(0, used_mib=5000, util=50, users=users) | {"name": f"GPU {text}"}
    disk = {text: {"mount_point": f"/{text}", "percent_used": 99}}
    answer = site.client.post("/", json=posts.host_post("a", gpu={"g": gpu}, disk=disk))
    assert answer.status_code == 200
    for _ in range(2):
        read = Reader(site.client).read()
        assert read is not None
        assert [row["name"] for row in read["hosts"]] == ["a"]
        site.now_s += 1.5
