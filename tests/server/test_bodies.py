"""How a body becomes a document: unpacking within bounds, and keys that stand twice."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
import zlib
from typing import Any

import orjson
import posts
import pytest
from flask.testing import FlaskClient

from cluster_dash_server.config import Limits
from cluster_dash_server.receive.bodies import Gzip, may_repeat_a_key, measure, repeated_keys

JSON = "application/json"
MIB = 2**20


def keys_of(text: bytes) -> int:
    return measure("it", orjson.loads(text), Limits(depth=200))


def post_packed(client: FlaskClient, body: bytes, coding: str = "gzip") -> Any:
    return client.post("/", data=body, content_type=JSON, headers={"Content-Encoding": coding})


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_packed_post_is_taken_like_a_plain_one(client: FlaskClient, level: int) -> None:
    body = gzip.compress(json.dumps(posts.host_post("gpu01")).encode(), level)
    assert post_packed(client, body).status_code == 200
    assert post_packed(client, body, "GZIP").status_code == 200
    assert "gpu01" in (client.get("/data-out/gpu-data-simple").json or {})


def test_a_mole_is_told_that_it_may_pack(client: FlaskClient) -> None:
    assert client.post("/", json=posts.host_post()).headers["Accept-Encoding"] == "gzip"
    assert "Accept-Encoding" not in client.post("/", json=posts.example()).headers


def test_unpacked_a_post_has_the_limit_of_a_plain_one(client: FlaskClient) -> None:
    text = json.dumps(posts.host_post())
    whole = text + " " * (MIB - len(text))
    assert post_packed(client, gzip.compress(whole.encode())).status_code == 200
    answer = post_packed(client, gzip.compress(whole.encode() + b" "))
    assert answer.status_code == 413
    assert answer.json["msg"] == "the post is larger than 1 MiB when unpacked ([limits] body_bytes)"


@pytest.mark.parametrize("size", [0, 1, 99, 2**16, MIB, 3 * MIB + 5])
@pytest.mark.parametrize("level", [0, 9])
def test_unpacking_goes_as_far_as_it_is_asked_to(size: int, level: int) -> None:
    plain = random.Random(size).randbytes(size // 2) + b"x" * (size - size // 2)
    packed = gzip.compress(plain, level)
    for asked in (1, size // 2, size - 1, size):
        if asked >= 0:
            unpacked, is_all = Gzip(packed).unpack(asked)
            assert is_all == (asked >= size)
            assert unpacked == plain[: asked + 1]
    stepwise = Gzip(packed)
    for asked in range(0, size + MIB, MIB):
        stepwise.unpack(asked)
    assert stepwise.unpack(size) == (plain, True)


@pytest.mark.parametrize("cut", range(1, 40))
def test_what_is_truncated_is_told_as_that(cut: int) -> None:
    with pytest.raises(zlib.error):
        Gzip(gzip.compress(b"some text")[:-cut]).unpack(100)


def test_a_bomb_takes_no_more_memory_than_its_limit() -> None:
    bomb = gzip.compress(b"\0" * 50 * MIB)
    tracemalloc.start()
    try:
        _, is_all = Gzip(bomb).unpack(4 * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not is_all
    assert peak < 7 * MIB


def test_a_key_twice_is_told_with_its_path(client: FlaskClient) -> None:
    text = json.dumps(posts.host_post(gpu={"0_X": posts.gpu(0)})).replace('"uuid"', '"name": "other", "uuid"')
    answer = client.post("/", data=text, content_type=JSON)
    assert answer.status_code == 400
    assert answer.json == {
        "success": False,
        "msg": 'gpu["0_X"].name stands twice: a key may stand once in an object',
    }


TRICKY = ('"', '":', ":", " :", "\\", '\\":', "a", "", "\n:", '":"', "{", "[,", "é", "\u2028", "😀", '" :')


class Documents:
    """Random JSON as text, which tells how often it has a key twice in an object that reading keeps."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.repeats = 0

    def space(self) -> str:
        return self.random.choice(["", "", "", " ", "\n\t", "\r "])

    def string(self) -> str:
        text = "".join(self.random.choices(TRICKY, k=self.random.randrange(4)))
        if self.random.random() < 0.3:
            return '"' + "".join(f"\\u{ord(sign):04x}" for sign in text if ord(sign) < 0x10000) + '"'
        return json.dumps(text, ensure_ascii=self.random.random() < 0.5)

    def value(self, depth: int) -> str:
        kind = self.random.random()
        if depth == 0 or kind < 0.3:
            return self.random.choice([self.string(), self.string(), "1", "-1.5e3", "null", "true"])
        if kind < 0.5:
            items = [self.value(depth - 1) for _ in range(self.random.randrange(4))]
            return f"[{self.space()}{(self.space() + ',' + self.space()).join(items)}]"
        keys = [self.string() for _ in range(self.random.randrange(5))]
        pairs = [f"{key}{self.space()}:{self.space()}{self.value(depth - 1)}" for key in keys]
        return f"{{{self.space()}{(self.space() + ',').join(pairs)}}}"


def has_a_repeated_key(text: str) -> bool:
    """By Python's own reader, which tells every pair."""
    found: list[bool] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        found.append(len({key for key, _ in pairs}) < len(pairs))

    json.loads(text, object_pairs_hook=look)
    return any(found)


@pytest.mark.parametrize("seed", range(20))
def test_no_repeated_key_escapes_and_none_is_imagined(seed: int) -> None:
    certain = with_repeats = 0
    for number in range(300):
        text = Documents(seed * 1000 + number).value(4)
        body, expected = text.encode(), has_a_repeated_key(text)
        may_be = may_repeat_a_key(body, keys_of(body))
        assert may_be or not expected, text
        assert bool(list(repeated_keys(body))) == expected, text
        certain += not may_be
        with_repeats += expected
    assert certain > 60
    assert with_repeats > 10


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"a":1,"a":2}', ["a"]),
        ('{"a":{"b":1,"b":2},"a":3}', ["a"]),
        ('{"a":3,"a":{"b":1,"b":2}}', ["a"]),
        ('[[0,{"a":{"":1,"":2}}]]', [0, 1, "a", ""]),
        ('{"\\u0061":1,"a":2}', ["a"]),
        ('{"a" :1,"a":":"}', ["a"]),
        ('{"a":1,"a":2,"b":2,"b":1}', ["a"]),
        ('{"x":99999999999999999999,"y":{"a":1e5,"a":' + "9" * 5000 + "}}", ["y", "a"]),
    ],
)
def test_the_first_repeated_key_is_found_at_its_place(text: str, path: list[str | int]) -> None:
    assert next(repeated_keys(text.encode())) == path


def test_a_common_post_needs_no_second_reading() -> None:
    for path in (*(posts.ROOT / "tests" / "contract").glob("*.json"), posts.EXAMPLE):
        text = path.read_bytes()
        assert not may_repeat_a_key(text, keys_of(text))
    text = json.dumps(posts.host_post(), indent=2).replace('":', '" :').encode()
    assert not may_repeat_a_key(text, keys_of(text))


def test_a_post_may_hold_what_looks_like_a_repeated_key(client: FlaskClient) -> None:
    users = {"u": {"1": {"mem": 1, "command": 'x --json={"a":1,"a":2} :0'}}}
    post = posts.host_post(gpu={"0_X": posts.gpu(0, users=users)})
    assert client.post("/", json=post).status_code == 200


def test_depth_is_measured_to_the_level() -> None:
    for depth in (1, 31, 32):
        assert measure("it", json.loads("[" * depth + "]" * depth), Limits()) == 0
    for more in ("[" * 33 + "]" * 33, '{"a":' * 32 + "[]" + "}" * 32):
        with pytest.raises(Exception, match="it is nested deeper than 32 levels"):
            measure("it", json.loads(more), Limits())


def test_the_slow_way_finds_what_the_quick_one_cannot() -> None:
    """A mebibyte that needs the second reading; what it costs is told by benchmarks/hostile.py."""
    text = ("{" + ",".join(f'"{at}" :":"' for at in range(19_000)) + ',"x":"' + '\\":' * 250_000 + '","x":1}').encode()
    assert list(repeated_keys(text)) == [["x"]]
