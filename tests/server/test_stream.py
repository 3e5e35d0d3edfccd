"""`GET /stream` of the application: what it sends, to whom, after what. Held streams over sockets: tests/serving."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from typing import Any

import orjson
import posts
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cluster_dash_server import create_app
from cluster_dash_server.config import Config, HostNames, Serve
from cluster_dash_server.views.stream import RETRY_MS, Held

HOSTILE = [
    "<script>window.pwned=1</script>", "</script><b>x", "data: x", "a\u2028b\u2029c", "{{7*7}}", "${7*7}", "=1+1",
    "__proto__", "constructor", "hasOwnProperty", "toString", "%s%d%%", "\U0001f600" * 60, "x" * 256, "' onload='x",
]  # fmt: skip


def look(client: FlaskClient, query: str = "", **headers: str) -> TestResponse:
    return client.get(f"/stream?hold=0&hosts=1{query}", headers=headers)


def pieces_of(answer: TestResponse) -> Iterator[bytes]:
    """As the server sends them."""
    for piece in answer.response:
        assert isinstance(piece, bytes)
        yield piece


def fields(text: str) -> dict[str, str]:
    """Of the one event in it, as an EventSource reads it."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(": ")
        if name and not line.startswith(":"):
            assert name not in found
            found[name] = value
    return found


def data(answer: TestResponse) -> dict[str, Any]:
    return orjson.loads(fields(answer.text)["data"])


def test_the_first_look_is_full_and_no_cache_keeps_it(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("gpu01"))
    answer = look(client)
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    event = fields(answer.text)
    assert event.keys() == {"retry", "id", "event", "data"}
    assert event["event"] == "hosts"
    assert re.fullmatch(r"[0-9a-f]{8}-1", event["id"])
    assert RETRY_MS[0] <= int(event["retry"]) <= RETRY_MS[1]
    sent = data(answer)
    assert (sent["full"], sent["version"], sent["gone"]) == (True, 1, [])
    assert [host["name"] for host in sent["hosts"]] == ["gpu01"]
    assert sent["settings"]["idle_after_s"] == 600


@pytest.mark.parametrize("by", ["header", "query"])
def test_after_an_id_only_what_changed_since_is_sent(client: FlaskClient, by: str) -> None:
    for name in ("gpu01", "gpu02"):
        client.post("/", json=posts.host_post(name))

    def after(event_id: str) -> TestResponse:
        return look(client, **{"Last-Event-ID": event_id}) if by == "header" else look(client, f"&since={event_id}")

    first = fields(look(client).text)["id"]
    assert fields(after(first).text).keys() == {"retry"}
    client.post("/", json=posts.host_post("gpu02"))
    sent = data(after(first))
    assert (sent["full"], [host["name"] for host in sent["hosts"]]) == (False, ["gpu02"])
    assert sent["totals"]["hosts"] == 2


def test_an_id_of_another_start_of_the_server_or_of_nobody_gives_everything(client: FlaskClient) -> None:
    client.post("/", json=posts.host_post("gpu01"))
    epoch = fields(look(client).text)["id"].partition("-")[0]
    wrong = ["-", "-x", "--1", "-99", "-" + "9" * 500, "-²"]
    for event_id in ("00000000-1", "1", "-", *(epoch + each for each in wrong)):
        answer = client.get("/stream", query_string={"hold": "0", "since": event_id})
        assert data(answer)["full"] is True, event_id


def test_it_is_packed_where_the_client_takes_it(client: FlaskClient) -> None:
    for number in range(30):
        client.post("/", json=posts.host_post(f"gpu{number}"))
    packed = look(client, **{"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    text = gzip.decompress(packed.data).decode()
    assert len(orjson.loads(fields(text)["data"])["hosts"]) == 30
    assert len(packed.data) < len(text) / 5
    assert "Content-Encoding" not in look(client).headers
    assert "Content-Encoding" not in look(client, **{"Accept-Encoding": "gzip;q=0"}).headers


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_data_in_one_line(client: FlaskClient, name: str) -> None:
    """S20, S21, I15."""
    gpus = {name: posts.busy_gpu(0, name) | {"name": name, "uuid": name}}
    gpus["lost"] = posts.gpu(1, state="lost", error=name, name=name)
    disk = {name: {"mount_point": name, "percent_used": 99}}
    mole = {"errors": {name: name}}
    host = name if "\u2028" not in name else "gpu01"  # a host's name has no invisible sign
    assert client.post("/", json=posts.host_post(host, gpu=gpus, disk=disk, mole=mole)).status_code == 200
    (row,) = data(look(client))["hosts"]
    shown = name.replace("\u2028", "\ufffd").replace("\u2029", "\ufffd")
    assert row["name"] == host
    assert row["disk"]["mount"] == shown
    assert row["gpus"][0]["users"] == [shown]
    assert row["gpus"][1]["why"] == shown
    assert any(shown in note["text"] for note in row["notes"])
    for path in ("/api/hosts", "/api/gpus", "/api/free", "/", "/free.txt"):
        answer = client.get(path)
        assert answer.status_code in (200, 404)
        assert answer.mimetype in ("application/json", "text/plain")
        assert "\u2028" not in answer.text


def test_a_wall_screen_gets_letters_where_the_settings_say_so() -> None:
    names = HostNames(hide_users_in_kiosk=True)
    client = create_app(Config(hosts=names, serve=Serve(held_streams=0)), start=False).test_client()
    client.post("/", json=posts.host_post("gpu01"))
    for path in (
        "/stream?hold=0&kiosk=1",
        "/stream?hold=0&kiosk",
        "/api/hosts?kiosk=1",
        "/api/gpus?kiosk",
        "/?kiosk",
    ):
        assert "alice" not in client.get(path).text
    assert "alice" in client.get("/stream?hold=0&kiosk=0").text
    assert data(look(client))["settings"]["hide_users_in_kiosk"] is True


def test_a_wall_screen_without_names_gets_them_from_nowhere() -> None:
    """Whatever a mole writes, in every text of its post that a name may be in."""
    names = HostNames(hide_users_in_kiosk=True)
    client = create_app(Config(hosts=names, serve=Serve(held_streams=0)), start=False).test_client()
    name = "aliceliddell"
    used = {name: {"7": {"mem": 30_000.0, "time": 1, "name": name, "command": f"python /home/{name}/train.py"}}}
    gpus = {
        "0": posts.gpu(0, used_mib=30_000, users=used, error=f"{name} holds it"),
        "1": posts.gpu(1, state="lost", error=f"/home/{name}: lost (since 2026-11-22 10:25:17)"),
        "2": posts.gpu(2, state="error", error=name),
    }
    disks: dict[str, Any] = {
        f"/home/{name}": {"mount_point": f"/home/{name}", "percent_used": 99, "device": f"nas:/export/{name}"},
        f"/mnt/x/{name}": {"mount_point": f"/mnt/x/{name}", "stale_since": 5.0, "device": f"nas:/{name}"},
    }
    errors = {f"disk /home/{name}": f"{name} can't be read", "driver": f"reboot pending: says {name}"}
    client.post("/", json=posts.host_post("gpu01", gpu=gpus, disk=disks, mole={"errors": errors}))
    hung = {"gpu_error": posts.gpu(0, name="error", state="hung", error=f"{name} hangs")}
    client.post("/", json=posts.host_post("gpu02", gpu=hung))
    addresses = ("/stream?hold=0", "/api/hosts?", "/api/gpus?", "/api/free?", "/free.txt?", "/?")
    for address in addresses:
        assert name not in client.get(f"{address}&kiosk=1").text, address
    assert name in client.get("/stream?hold=0").text
    text = client.get("/?kiosk=1").text
    for words in ("/home/… is 99 % full", "/mnt/… doesn't answer", "GPU 1 lost", "GPUs hung", "mole: reboot pending"):
        assert words in text


def test_a_held_stream_gives_its_place_back_however_it_ends() -> None:
    app = create_app(Config(serve=Serve(held_streams=1)), start=False)
    held: Held = app.extensions["held_streams"]
    client = app.test_client()
    client.post("/", json=posts.host_post("gpu01"))
    assert client.head("/stream").status_code == 200
    assert held.open == 0
    answer = client.get("/stream", buffered=False)
    assert b"event: hosts" in next(pieces_of(answer))
    assert held.open == 1
    second = client.get("/stream")  # one more gets the short kind, which ends
    assert data(second)["full"] is True
    answer.close()
    assert held.open == 0
    unread = client.get("/stream", buffered=False)  # closed before anything of it was read
    unread.close()
    assert held.open == 0


def test_a_packed_held_stream_can_be_read_as_it_comes() -> None:
    app = create_app(Config(serve=Serve(held_streams=1)), start=False)
    client = app.test_client()
    client.post("/", json=posts.host_post("gpu01"))
    answer = client.get("/stream", headers={"Accept-Encoding": "gzip"}, buffered=False)
    pieces = pieces_of(answer)
    unpacker = zlib.decompressobj(wbits=31)
    assert b"event: hosts" in unpacker.decompress(next(pieces))
    client.post("/", json=posts.host_post("gpu02"))
    assert b'"name":"gpu02"' in unpacker.decompress(next(pieces))
    answer.close()
    assert app.extensions["held_streams"].open == 0


def test_when_the_server_ends_held_streams_do_too() -> None:
    held = Held(2)
    assert held.take()
    held.end()
    assert not held.wait(60)
    assert not held.take()
