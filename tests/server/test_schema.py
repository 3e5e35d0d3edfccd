"""The schema of a post: the compiled validator and the referee agree; a refusal names the place and repeats nothing."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import posts
import pytest

from cluster_dash_server.config import Limits
from cluster_dash_server.errors import Refusal
from cluster_dash_server.hostnames import is_clear
from cluster_dash_server.patterns import PatternError, expand
from cluster_dash_server.receive.schema import SCHEMA, Schema

CONTRACT = posts.ROOT / "tests" / "contract"
GOLDEN = [posts.EXAMPLE, posts.ROOT / "etc" / "example_data2.json", *sorted(CONTRACT.glob("*.json"))]
GPU = "0_NVIDIA-A100-80GB_000000"

compiled = jsonschema_rs.validator_for(SCHEMA)
check_post = Schema(Limits()).check
referee = jsonschema.Draft202012Validator(SCHEMA)


def referee_takes(post: Any) -> bool:
    return referee.is_valid(post)  # pyright: ignore[reportUnknownMemberType]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_limits_of_numbers_are_whole() -> None:
    """jsonschema-rs compares with a fraction thirty times as slowly, and 1e15 is one."""
    text = json.dumps(SCHEMA)
    limits: list[str] = re.findall(r'"(?:minimum|maximum|exclusiveMinimum)": ([^,}]+)', text)
    assert len(limits) > 50
    assert all(limit.isdecimal() for limit in limits)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_golden_post_is_accepted(path: Path) -> None:
    post = json.loads(path.read_text("utf-8"))
    check_post(post)
    assert referee_takes(post)


def change(*keys: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def apply(post: dict[str, Any]) -> None:
        place: Any = post
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return apply


CANARY = "secret-canary"

UNCLEAR = (
    " gpu01",
    "gpu01 ",
    "gpu  01",
    "gpu\u00a001",
    "gpu\u300001",
    "gpu\u00ad01",
    "gpu01\ufe0f",
    "a\U000e0061",
    "\u2800",
)

WRONG = [
    (change("auth_code", to=[CANARY]), "auth_code must be of type string"),
    (change("hostname", to=""), "hostname is too short"),
    (change("hostname", to=CANARY + "x" * 256), "hostname is too long, the most is 256"),
    (change("hostname", to="a\nb"), "hostname must have neither control"),
    (change("hostname", to="trailing\n"), "hostname must have neither control"),
    (change("hostname", to="a\u202eb"), "hostname must have neither control"),
    (change("hostname", to=".."), "hostname must have"),
    (change("hostname", to="/a"), "hostname must have"),
    (change("hostname", to="a//b"), "hostname must have"),
    (change("timestamp", to=CANARY), "timestamp must be of type number"),
    (change("timestamp", to=True), "timestamp must be of type number"),
    (change("timestamp", to=1e300), "timestamp must be at most"),
    (change("timestamp", to=-1), "timestamp must be at least 0"),
    (change("gpu", to=CANARY), "gpu must be of type object"),
    (change("gpu", to={str(i): {} for i in range(65)}), "gpu has too many entries, the most is 64"),
    (change("gpu", GPU, to=CANARY), f'gpu["{GPU}"] must be of type object'),
    (change("gpu", GPU, "total_mem", to="80"), f'gpu["{GPU}"].total_mem must be of type number or null'),
    (change("gpu", GPU, "state", to="fine"), '.state must be one of "ok", "lost", "error", "hung", null'),
    (change("gpu", GPU, "users", to={"alice": 5}), ".users.alice must be of type object"),
    (change("gpu", GPU, "users", to={"a": {"4101": {"mem": -1}}}), '.users.a["4101"].mem must be at least 0'),
    (change("gpu", GPU, "users", to={"a": {"007": {"mem": -1}}}), '.users.a["007"].mem must be at least 0'),
    (change("gpu", GPU, "index", to=-1), ".index must be at least 0"),
    (change("cpu", to=None), "cpu must be of type object"),
    (change("cpu", "load_avgs", to=[1, 2]), "cpu.load_avgs has too few items, the least is 3"),
    (change("cpu", "load_avgs", to=[1, 2, CANARY]), "cpu.load_avgs[2] must be of type number or null"),
    (change("memory", to=[]), "memory must be of type object"),
    (change("disk", "/", to=7), 'disk["/"] must be of type object'),
    (change("metrics", "sys.gpu.power_w", "value", to=["x"]), 'metrics["sys.gpu.power_w"].value[0] must be'),
    (change("metrics", "sys.gpu.power_w", to={}), 'metrics["sys.gpu.power_w"] lacks value'),
    (
        change("metrics", "sys.gpu.power_w", "device", to=[0]),
        'metrics["sys.gpu.power_w"].device must be as long as value',
    ),
    (change("metrics", "x" * 300, to={"value": []}), "metrics"),
    (change("mole", "interval_s", to=0), "mole.interval_s must be more than 0"),
    (change("mole", "errors", to={"nvml": 5}), "mole.errors.nvml must be of type string"),
    (change("gpu", "7", to=CANARY), 'gpu["7"] must be of type object'),
    (change("gpu", to={"007": {"users": {"u": {"+5": {"mem": CANARY}}}}}), 'gpu["007"].users.u["+5"].mem must be'),
    (change("gpu", to={"7": {}, "07": {"users": {"7": {"7": 5}}}}), 'gpu["07"].users["7"]["7"] must be of type object'),
    (change("gpu", to={"9" * 5000: {}}), "a name in gpu is too long"),
    (change("timestamp", to=1.7e12), "at most 253402300799: Unix seconds by the host's clock, not milliseconds"),
    (change("hostname", to="a\u200bb"), "nor invisible characters"),
    *[(change("hostname", to=name), "no blank at its ends, no two together") for name in UNCLEAR],
    (
        change("disk", to={str(i): {} for i in range(257)}),
        "disk has too many entries, the most is 256 ([limits] mounts)",
    ),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_a_wrong_post_is_refused_at_its_place_without_repeating_it(
    wrong: Callable[[dict[str, Any]], None], message: str
) -> None:
    post = posts.host_post()
    wrong(post)
    with pytest.raises(Refusal) as refusal:
        check_post(post)
    assert refusal.value.status == 400
    assert message in str(refusal.value)
    assert CANARY not in str(refusal.value)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("wrong", [wrong for wrong, message in WRONG if "as long as" not in message])
def test_the_two_validators_agree_on_what_is_wrong(wrong: Callable[[dict[str, Any]], None]) -> None:
    post = posts.host_post()
    assert (compiled.is_valid(post), referee_takes(post)) == (True, True)
    wrong(post)
    assert (compiled.is_valid(post), referee_takes(post)) == (False, False)


def test_the_settings_override_the_limits_that_the_schema_states() -> None:
    check = Schema(Limits(gpus=2, mounts=1, name_length=100)).check
    refused: list[tuple[str, Any, str]] = [
        ("gpu", {"a": {}, "b": {}, "c": {}}, "gpus"),
        ("disk", {"a": {}, "b": {}}, "mounts"),
        ("hostname", "x" * 101, "name_length"),
        ("gpu", {"a": {"name": "x" * 101}}, "name_length"),
        ("gpu", {"x" * 101: {}}, "name_length"),
        ("metrics", {"x" * 101: {"value": []}}, "name_length"),
    ]
    for place, value, setting in refused:
        with pytest.raises(Refusal) as refusal:
            check(posts.host_post(gpus=1, disk={}) | {place: value})
        assert f"([limits] {setting})" in str(refusal.value)
    wide = Schema(Limits(gpus=100, mounts=300, name_length=300)).check
    many: dict[str, Any] = {"gpu": {str(i): {"name": "x" * 300} for i in range(100)}, "hostname": "x" * 300}
    wide(posts.host_post(disk={str(i): {} for i in range(300)}) | many)


def test_the_schema_states_the_defaults() -> None:
    assert Schema(Limits()).rules == SCHEMA


NUMBERS = ["cpu_percent", "num_cpus", "load_avgs"]


@pytest.mark.parametrize("field", NUMBERS)
def test_null_is_taken_where_a_real_mole_sends_it(field: str) -> None:
    post = posts.host_post()
    post["cpu"][field] = None
    check_post(post)
    gpu = post["gpu"][GPU]
    gpu.update(total_mem=None, used_mem=None, gpu_util=None, memory_util=None, users=None, state=None, error=None)
    check_post(copy.deepcopy(post))


def test_two_spellings_of_one_name_are_one_name() -> None:
    check_post({**posts.host_post(), "hostname": "m\u00fcller-\u6771\u4eac x1.example.org"})
    with pytest.raises(Refusal, match="hostname must have its letters in Unicode's composed form"):
        check_post({**posts.host_post(), "hostname": "mu\u0308ller"})


def test_settings_and_tokens_take_the_names_that_posts_may_have() -> None:
    patterns = [rule["pattern"] for rule in SCHEMA["$defs"]["label"]["not"]["anyOf"] if "pattern" in rule]
    for name in UNCLEAR:
        assert any(re.search(pattern, name) for pattern in patterns)
        assert not is_clear(name)
        with pytest.raises(PatternError):
            expand(name)
    assert not is_clear("mu\u0308ller")
    assert is_clear("gpu 01_\u6771.example.org")
