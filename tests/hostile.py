"""What nobody should send: bodies that a server must refuse at once, shortly and for the right reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import posts

PASSCODE = "secret-canary"
VALUE = "value-canary"
"""Stands for what is wrong: no answer may repeat it."""
MIB = 2**20
JSON = "application/json"


@dataclass(frozen=True)
class Hostile:
    name: str
    body: bytes
    says: str
    """What the answer's text must hold."""
    status: int = 400
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict[str, str])


def good() -> dict[str, Any]:
    """With every section, so that each field has its place."""
    process = {
        "mem": 5.0,
        "time": 1.5,
        "name": "python",
        "uid": 1000,
        "started_at": 1.7e9,
        "command": "python train.py",
    }
    instance = {"name": "1g.10gb", "uuid": "MIG-1", "total_mem": 9728.0, "used_mem": 12.0}
    gpu = posts.gpu(0, users={"alice": {"4711": process}}, throttle_reasons=4, state="ok", mig=[instance])
    post = posts.host_post("hostile", auth_code=PASSCODE, gpu={"g0": gpu})
    post["disk"]["/"]["stale_since"] = 1.7e9
    post["events"] = [{"time": 1.7e9, "kind": "xid", "device": 0, "text": "x", "data": {"code": 79}}]
    post["mole"]["backlog"] = 3
    post["mole"]["dropped"] = 2
    return post


NUMBERS: list[tuple[str | int, ...]] = [
    ("timestamp",),
    ("cpu", "cpu_percent"),
    ("cpu", "num_cpus"),
    ("cpu", "load_avgs", 1),
    ("memory", "total_gb"),
    ("memory", "used_gb"),
    ("memory", "available_gb"),
    ("disk", "/", "total_gb"),
    ("disk", "/", "used_gb"),
    ("disk", "/", "percent_used"),
    ("disk", "/", "stale_since"),
    *(
        ("gpu", "g0", name)
        for name in ("index", "total_mem", "used_mem", "gpu_util", "memory_util", "throttle_reasons")
    ),
    *(("gpu", "g0", "users", "alice", "4711", name) for name in ("mem", "time", "uid", "started_at")),
    *(("gpu", "g0", "mig", 0, name) for name in ("total_mem", "used_mem")),
    *(("mole", name) for name in ("seq", "mono_s", "interval_s", "backlog", "dropped", "cpu_s", "rss_bytes")),
    ("metrics", "sys.gpu.power_w", "value", 0),
    ("metrics", "sys.gpu.power_w", "device", 0),
    ("events", 0, "time"),
    ("events", 0, "device"),
]
UNBOUNDED = ("metrics", "sys.gpu.power_w", "value", 0)
OBJECTS: list[tuple[str | int, ...]] = [
    ("general",),
    ("cpu",),
    ("memory",),
    ("disk",),
    ("disk", "/"),
    ("gpu",),
    ("gpu", "g0"),
    ("gpu", "g0", "users", "alice"),
    ("gpu", "g0", "users", "alice", "4711"),
    ("gpu", "g0", "mig", 0),
    ("mole",),
    ("metrics",),
    ("metrics", "sys.gpu.power_w"),
    ("events", 0),
]
_MARK = "@mark@"


def changed(path: tuple[str | int, ...], to: Any) -> dict[str, Any]:
    post = good()
    place: Any = post
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return post


def with_literal(path: tuple[str | int, ...], literal: str) -> bytes:
    """`literal` is JSON, or what isn't."""
    return json.dumps(changed(path, _MARK)).replace(f'"{_MARK}"', literal).encode()


def name_of(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


def corpus() -> list[Hostile]:
    parts = (_no_documents, _depths, _keys, _numbers, _kinds, _names, _masses, _packed, _batches)
    return [entry for part in parts for entry in part()]


def _no_documents() -> Iterator[Hostile]:
    text = json.dumps(good())
    invalid = "isn't valid JSON"
    for name, body in (
        ("a brace", b"{"),
        ("words", b"not json"),
        ("truncated", text[:-1].encode()),
        ("truncated in a string", text[: text.index("hostile") + 3].encode()),
        ("trailing garbage", text.encode() + b"x"),
        ("two documents", text.encode() * 2),
        ("a byte order mark", b"\xef\xbb\xbf" + text.encode()),
        ("UTF-16", text.encode("utf-16")),
        ("UTF-16 without a mark", text.encode("utf-16-le")),
        ("UTF-32", text.encode("utf-32")),
        ("invalid UTF-8", text.encode().replace(b"hostile", b"host\xff")),
        ("an overlong NUL", text.encode().replace(b"hostile", b"host\xc0\x80")),
        ("a surrogate in UTF-8", text.encode().replace(b"hostile", b"host\xed\xa0\x80")),
        ("a lone surrogate", text.encode().replace(b"hostile", b"host\\ud800")),
        ("a raw newline in a string", text.encode().replace(b"hostile", b"host\n")),
        ("a comment", text.encode().replace(b"{", b"{/**/", 1)),
        ("single quotes", text.replace('"', "'").encode()),
        ("a comma at the end", text.encode()[:-1] + b",}"),
        ("a NUL behind the end", text.encode() + b"\0"),
    ):
        yield Hostile(name, body, invalid)
    yield Hostile("empty", b"", "the post is empty")
    for literal in ("null", "[]", '"x"', "1", "true", "[{}]"):
        yield Hostile(f"the document {literal}", literal.encode(), "the post must be of type object")
    yield Hostile("an empty object", b"{}", "wrong auth_code", 401)
    only = json.dumps({"auth_code": PASSCODE}).encode()
    yield Hostile("nothing but the passcode", only, "the post lacks hostname, timestamp, gpu, cpu")
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""):
        headers = {"Content-Type": kind}
        yield Hostile(f"Content-Type {kind!r}", text.encode(), "application/json", 415, headers=headers)


def _depths() -> Iterator[Hostile]:
    for depth in (33, 1_000, 1_020):
        yield Hostile(f"{depth} lists", b"[" * depth + b"]" * depth, "nested deeper than 32 levels")
        document = b'{"a":' * depth + b"1" + b"}" * depth
        yield Hostile(f"{depth} objects", document, "wrong auth_code", 401)
        inside = with_literal(("general", "x"), "[" * depth + "]" * depth)
        yield Hostile(f"{depth} lists in a post", inside, "nested deeper than 32 levels ([limits] depth)")
    for depth, says, status in ((5_000, "depth limit exceeded", 400), (100_000, "more than 20000 values", 413)):
        yield Hostile(f"{depth} lists", b"[" * depth + b"]" * depth, says, status)
        yield Hostile(f"{depth} objects", b'{"a":' * depth + b"1" + b"}" * depth, says, status)
        yield Hostile(f"{depth} lists that stay open", b"[" * depth, "depth limit exceeded")


def _keys() -> Iterator[Hostile]:
    text = json.dumps(good())
    for name, old, new, place in (
        ("top", '"hostname": "hostile"', '"hostname": "a", "hostname": "b"', "hostname"),
        ("auth_code", '"hostname": "hostile"', f'"auth_code": "{PASSCODE}", "hostname": "b"', "auth_code"),
        ("spaced", '"hostname": "hostile"', '"hostname" : "a", "hostname"\n\t:"b"', "hostname"),
        ("escaped", '"hostname": "hostile"', '"hostname": "a", "\\u0068ostname": "b"', "hostname"),
        ("nested", '"num_cpus": 64', '"num_cpus": 64, "num_cpus": 65', "cpu.num_cpus"),
        ("of a GPU", '"used_mem": 400', '"used_mem": 4, "used_mem": 400', "gpu.g0.used_mem"),
        ("in a list", '"kind": "xid"', '"kind": "a", "kind": "xid"', "events[0].kind"),
        ("masked by a string", '"num_cpus": 64', '"num_cpus" :64, "num_cpus": 6, "x": ":y"', "cpu.num_cpus"),
        ("unknown", '"num_cpus": 64', f'"num_cpus": 64, "x": {{"{"k" * 200}": 1, "{"k" * 200}": 2}}', "cpu.x["),
    ):
        assert old in text
        yield Hostile(f"a key twice, {name}", text.replace(old, new, 1).encode(), f"{place}")
    many = b'{"auth_code": "x", ' + b",".join([b'"a":0'] * 150_000) + b"}"
    yield Hostile("150,000 equal keys", many, "more than 20000 values", 413)
    filler = ("\\n:\\" + '":') * 100_000
    body = with_literal(("general", "x"), f'{{"a": "{filler}", "a": 1}}')
    yield Hostile("a key twice behind a mebibyte of quotes", body, "general.x.a stands twice")
    pairs = ",".join(f'"{at}" : ":"' for at in range(9_000))
    body = with_literal(("general", "x"), f'{{{pairs},"8999":1}}')
    yield Hostile("9,000 keys with one twice", body, 'general.x["8999"] stands twice')


def _numbers() -> Iterator[Hostile]:
    for path in NUMBERS:
        for literal in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5_000):
            says = "isn't valid JSON"
            yield Hostile(f"{name_of(path)} = {literal[:10]}", with_literal(path, literal), says)
        place = name_of(path).replace("disk./", 'disk["/"]').replace("sys.gpu.power_w", '["sys.gpu.power_w"]')
        place = place.replace("metrics.", "metrics").replace(".4711", '["4711"]')
        for at in (0, 1):
            place = place.replace(f".{at}", f"[{at}]")
        for literal in ("true", f'"{VALUE}"', '"5"', "[1]", "{}"):
            yield Hostile(f"{name_of(path)} = {literal}", with_literal(path, literal), f"{place} must be of type")
        if path == UNBOUNDED:
            continue
        for literal in ("-1", "-1e308", "-9223372036854775809"):
            least = "must be more than 0" if path[-1] == "interval_s" else "must be at least 0"
            yield Hostile(f"{name_of(path)} = {literal}", with_literal(path, literal), f"{place} {least}")
        for literal in ("1e308", "18446744073709551616", "18446744073709551615", "9" * 300):
            says = f"{place} must be"
            yield Hostile(f"{name_of(path)} = {literal[:20]}", with_literal(path, literal), says)
    for path in (("timestamp",), ("events", 0, "time"), ("gpu", "g0", "users", "alice", "4711", "started_at")):
        yield Hostile(f"{name_of(path)} in milliseconds", with_literal(path, "1.7e12"), "not milliseconds")


def _kinds() -> Iterator[Hostile]:
    for path in OBJECTS:
        for literal in ("[]", f'"{VALUE}"', "5", "true"):
            yield Hostile(f"{name_of(path)} = {literal}", with_literal(path, literal), "must be of type object")
    for literal in ("5", f'["{VALUE}"]', "{}", "null", "true"):
        yield Hostile(f"auth_code = {literal}", with_literal(("auth_code",), literal), "wrong auth_code", 401)
    for path in (("hostname",), ("mole", "id"), ("events", 0, "kind")):
        for literal in ("5", f'["{VALUE}"]', "{}", "null", "true"):
            yield Hostile(f"{name_of(path)} = {literal}", with_literal(path, literal), "must be of type string")


def _names() -> Iterator[Hostile]:
    for name in (
        *("\0", "\n", "\x1b[2J", "\x7f", "\x85", "\u061c", "\u200b", "\u200e", "\u202e", "\u2028", "\u2066", "\ufeff"),
        *("..", ".", "/", "a//b"),
    ):
        host = name if set(name) <= set("./ab") else f"gpu{name}01"
        body = json.dumps(changed(("hostname",), host)).encode()
        yield Hostile(f"hostname {name!r}", body, "hostname must have neither control")
    yield Hostile(
        "hostname with a newline at its end",
        json.dumps(changed(("hostname",), "gpu01\n")).encode(),
        "hostname must have",
    )
    for path in (("hostname",), ("gpu", "g0", "name"), ("gpu", "g0", "users", "alice", "4711", "container")):
        body = with_literal(path, json.dumps(VALUE * 50))
        yield Hostile(
            f"a long {name_of(path)}", body, f"{path[-1]} is too long, the most is 256 ([limits] name_length)"
        )
    long, users = "x" * 257, ("gpu", "g0", "users")
    for path in (("gpu",), users, ("metrics",)):
        body = json.dumps(changed((*path, long), {} if path != ("metrics",) else {"value": []})).encode()
        says = f"a name in {name_of(path)} is too long, the most is 256 ([limits] name_length)"
        yield Hostile(f"a long name in {name_of(path)}", body, says)


def _masses() -> Iterator[Hostile]:
    gpu, users, metrics = {"total_mem": VALUE}, ("gpu", "g0", "users"), ("metrics",)
    too_many = "more than 20000 values ([limits] values)"
    right = {f"u{at}": {str(pid): {"mem": 1} for pid in range(9)} for at in range(900)}
    few, more = {"value": [1.5] * 9_500}, {"value": [0.5] * 9_400}
    long = MIB // len(VALUE) - 500
    masses: list[tuple[str, tuple[str | int, ...], Any, str]] = [
        ("65 GPUs", ("gpu",), _each(65, {}), "gpu has too many entries, the most is 64 ([limits] gpus)"),
        ("257 mounts", ("disk",), _each(257, {}), "disk has too many entries, the most is 256 ([limits] mounts)"),
        ("10,000 processes", users, {"u": _each(10_000, {"mem": 1, "time": 2})}, too_many),
        ("80,000 keys", ("general",), _each(80_000, 0), too_many),
        ("80,000 keys at the top", ("x",), _each(80_000, 0), too_many),
        ("100,000 keys", ("x",), _each(100_000, 0), "larger than 1 MiB ([limits] body_bytes)"),
        ("20,000 bad GPUs", ("gpu",), _each(20_000, gpu), too_many),
        ("9,000 bad GPUs", ("gpu",), _each(9_000, gpu), "gpu has too many entries"),
        ("a user with 4,000 bad processes", users, {"u": _each(4_000, {"mem": VALUE})}, "mem must be of type number"),
        ("4,000 users", users, _each(4_000, {"1": {}}), "users has too many entries, the most is 1000"),
        ("a fault behind 8,000 processes", ("gpu",), {"g0": {"users": right}, "g1": gpu}, "gpu.g1.total_mem must be"),
        ("19,000 values and a fault", metrics, {"a": few, "b": more, "c": {}}, "metrics.c lacks value"),
        (
            "a wrong value behind 19,000",
            metrics,
            {"a": few, "b": {"value": [*more["value"], VALUE]}},
            "b.value[9400] must",
        ),
        ("a tag too many", metrics, {"a": {"value": [1], "tags": [{}, {}]}}, "metrics.a.tags must be as long as value"),
        ("a mebibyte of a hostname", ("hostname",), VALUE * long, "hostname is too long, the most is 256"),
        ("a mebibyte of newlines as hostname", ("hostname",), "\n" * 500_000, "hostname "),
        ("a mebibyte of an error", ("gpu", "g0", "error"), VALUE * long, "gpu.g0.error is too long"),
        ("a name of a mebibyte", ("gpu", VALUE * long), {}, "([limits] name_length)"),
        ("a fault behind long names", users, {"n" * 256: {"p" * 32: {"mem": VALUE}}}, "must be of type number"),
        ("more than a mebibyte", ("x",), "x" * MIB, "larger than 1 MiB ([limits] body_bytes)"),
    ]
    for name, path, value, says in masses:
        status = 413 if says == too_many or "larger" in says else 400
        yield Hostile(name, json.dumps(changed(path, value)).encode(), says, status)
    for name, piece in (("lists", "[],"), ("objects", "{},"), ("strings", '"",'), ("objects of a key", '{"":0},')):
        for size in (1_000_000, 39_000 * len(piece)):
            body = with_literal(("x",), "[" + piece * (size // len(piece)) + "0]")
            yield Hostile(f"{size // len(piece)} empty {name}", body, too_many, 413)


def _each(count: int, value: Any) -> dict[str, Any]:
    return {str(at): value for at in range(count)}


def _packed() -> Iterator[Hostile]:
    def of(name: str, body: bytes, says: str, status: int = 400, coding: str = "gzip", path: str = "/") -> Hostile:
        return Hostile(name, body, says, status, path, {"Content-Encoding": coding})

    packed = gzip.compress(json.dumps(good()).encode())
    for coding in ("br", "deflate", "gzip, gzip", "gzip, br", "identity, gzip", "x"):
        yield of(f"packed by {coding}", packed, "may be packed by gzip, once", 415, coding)
    for path, what in (("/", "the post"), ("/batch", "the batch")):
        for name, body in (
            ("truncated", packed[:-9]),
            ("without its end", packed[:-1]),
            ("empty", b""),
            ("broken", packed[:40] + b"\xff" * 40 + packed[80:]),
            ("of a wrong sum", packed[:-8] + b"\0" * 8),
            ("that isn't packed", json.dumps(good()).encode()),
            ("with something behind", packed + b"x"),
            ("packed twice over", packed + packed),
        ):
            yield of(f"gzip {name} to {path}", body, f"{what} isn't what gzip packs", path=path)
    yield of("gzip in gzip", gzip.compress(packed), "isn't valid JSON")
    yield of("gzip of nothing", gzip.compress(b""), "the post is empty")
    bomb = gzip.compress(b" " * 100 * MIB)
    yield of("a bomb of 100 MiB", bomb, "larger than 1 MiB when unpacked ([limits] body_bytes)", 413)
    yield of("a bomb as a batch", bomb, "must begin with its auth_code", path="/batch")
    opened = b'{"auth_code":"' + PASSCODE.encode() + b'","posts":['
    bomb = gzip.compress(opened + b" " * 32 * MIB)
    says = "the batch is larger than 16 MiB when unpacked ([limits] batch_bytes)"
    yield of("a bomb as a batch with its passcode", bomb, says, 413, path="/batch")
    for piece in (b"{},", b"[],", b"0,", b'"",'):
        for size, says in ((15 * MIB, "more than 200000 values"), (len(piece) * 90_000, "more than 256 posts")):
            body = gzip.compress(opened + piece * (size // len(piece)) + b"0]}")
            yield of(f"{size // len(piece)} times {piece.decode()} as a batch", body, says, 413, path="/batch")
    body = gzip.compress(opened + b'"' + b"x" * (15 * MIB) + b'",')
    yield of("15 MiB of a string as a batch that stays open", body, "isn't valid JSON", path="/batch")
    wrong = b'{"auth_code":"' + VALUE.encode() + b'","posts":["' + b"x" * (15 * MIB) + b'"]}'
    yield of("15 MiB of a wrong passcode", gzip.compress(wrong), "wrong auth_code", 401, path="/batch")


def answered_batches() -> list[Hostile]:
    """Those that are answered, since the envelope is right; what is in them is refused."""
    opened = b'{"auth_code":"' + PASSCODE.encode() + b'","posts":['
    text = b'"' + b"x" * (15 * MIB) + b'"'
    too_large = "the post is larger than 1 MiB ([limits] body_bytes)"
    headers = {"Content-Encoding": "gzip"}
    return [
        Hostile(name, gzip.compress(opened + post + b"]}"), says, 200, "/batch", headers)
        for name, post, says in (
            ("15 MiB of a string as a post", text, too_large),
            ("a post of 15 MiB", b'{"hostname":' + text + b"}", too_large),
            ("a post with a byte that isn't UTF-8", b'{"hostname":"\xff"}', "the post isn't valid JSON"),
            ("a text as post", b'"x"', "the post must be of type object"),
        )
    ]


def _batches() -> Iterator[Hostile]:
    def of(name: str, batch: Any, says: str, status: int = 400) -> Hostile:
        return Hostile(f"batch: {name}", json.dumps(batch).encode(), says, status, "/batch")

    yield Hostile("batch: empty", b"", "the batch is empty", path="/batch")
    yield Hostile("batch: open", b"[", "the batch isn't valid JSON", path="/batch")
    yield Hostile("batch: text", b"{}", "application/json", 415, "/batch", {"Content-Type": "text/plain"})
    for document in ("null", "[]", "5", '"x"'):
        yield of(document, json.loads(document), "the batch must be of type object")
    yield of("no auth_code", {"posts": []}, "the batch lacks auth_code")
    yield of("no posts", {"auth_code": PASSCODE}, "the batch lacks posts")
    yield of("auth_code no text", {"auth_code": [VALUE], "posts": []}, "auth_code must be of type string")
    yield of("posts no list", {"auth_code": PASSCODE, "posts": VALUE}, "posts must be of type array")
    yield of("a wrong auth_code", {"auth_code": VALUE, "posts": []}, "wrong auth_code", 401)
    yield of("a wrong auth_code behind", {"posts": [], "auth_code": VALUE}, "wrong auth_code", 401)
    opened: dict[str, Any] = {"auth_code": PASSCODE, "posts": []}
    yield of("257 posts", opened | {"posts": [0] * 257}, "more than 256 posts ([limits] batch_posts)", 413)
    deep = json.loads("[" * 40 + "]" * 40)
    yield of("deep beside the posts", opened | {"x": deep}, "the batch is nested deeper than 32 levels")
    twice = f'{{"auth_code": "{PASSCODE}", "posts": [], "posts": []}}'.encode()
    yield Hostile("batch: posts twice", twice, "posts stands twice", path="/batch")
    twice = f'{{"auth_code": "{VALUE}", "posts": [], "auth_code": "{PASSCODE}"}}'.encode()
    yield Hostile("batch: a wrong auth_code before the right one", twice, "wrong auth_code", 401, "/batch")
    twice = f'{{"auth_code": "{PASSCODE}", "posts": [], "auth_code": "{VALUE}"}}'.encode()
    yield Hostile("batch: a wrong auth_code behind the right one", twice, "wrong auth_code", 401, "/batch")
    late = {"posts": [0] * 30_000, "x": "x" * 500_000, "auth_code": PASSCODE}
    early: dict[str, Any] = {"auth_code": PASSCODE, "posts": [], "x": "x" * MIB}
    body = gzip.compress(json.dumps(early).encode())
    says = "a batch that large must end with its posts"
    yield Hostile("batch: large, its posts not at the end", body, says, 400, "/batch", {"Content-Encoding": "gzip"})
    yield of("large, its auth_code at the end", late, "a batch that large must begin with its auth_code")


ODD_KEYS = ("__proto__", "constructor", "hasOwnProperty", "__class__", "$ref", "toString", "", "a/b", "..", "<b>", "%s")
WHOLE = ("num_cpus", "index", "throttle_reasons", "uid", "seq", "backlog", "dropped", "rss_bytes", "device")


def odd_bodies() -> Iterator[tuple[str, bytes]]:
    """What is odd and right."""
    for key in ODD_KEYS:
        odd: list[tuple[tuple[str | int, ...], Any]] = [
            (("gpu", key), posts.gpu(1)),
            (("gpu", "g0", "users", key), {"1": {"mem": 5}}),
            (("gpu", "g0", "users", "u"), {key: {"mem": 5}}),
            (("disk", key), {"percent_used": 5}),
            (("metrics", key or "x"), {"value": [5]}),
            (("metrics", "m"), {"value": [5], "tags": [{key: key}]}),
            (("general", key), key),
            (("mole", "errors", key), key),
        ]
        for path, value in odd:
            yield f"{name_of(path)} with {key!r}", json.dumps(changed(path, value)).encode()
    for path in NUMBERS:
        for literal in ("5e-324", "1e-300", "0.0", "-0.0", "-0", "4.0", "1e1"):
            is_tiny = "e-" in literal or literal.startswith("5e")
            is_right = (
                not any(part in WHOLE for part in path)
                if is_tiny
                else path[-1] != "interval_s" or literal in ("4.0", "1e1")
            )
            if is_right:
                yield f"{name_of(path)} = {literal}", with_literal(path, literal)
    for literal in (
        "1e308",
        "-1e308",
        "9223372036854775808",
        "18446744073709551616",
        "-9223372036854775809",
        "9" * 300,
    ):
        yield f"a metric of {literal[:20]}", with_literal(UNBOUNDED, literal)
