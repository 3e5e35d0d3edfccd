"""CH_HOST and its like: when they count, what they make, and what is told of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_dash_server.config import ConfigError, read_config
from cluster_dash_server.store.target import Target, target_of

NOWHERE = Path("/nowhere/server.toml")


def target(environ: dict[str, str]) -> Target:
    found = target_of(read_config(environ, NOWHERE).store.url, Path("/state"))
    assert found
    return found


def test_without_any_the_history_is_in_the_state_folder() -> None:
    assert target({"CH_HOST": "", "CH_PASSWORD": "", "CH_OTHER": "x"}).shown == "chdb:///state"


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({"CH_USER": "me"}, "http://127.0.0.1:8123/training_observability"),
        ({"CH_HOST": "db.lab"}, "http://db.lab:8123/training_observability"),
        ({"CH_HOST": "db_1.lab.", "CH_PORT": "9443", "CH_PROTOCOL": "https"}, "https://db_1.lab.:9443/training_observability"),
        ({"CH_HOST": "fd00::7", "CH_DATABASE": "mine"}, "http://[fd00::7]:8123/mine"),
        ({"CH_HOST": "[::1]"}, "http://[::1]:8123/training_observability"),
    ],
)  # fmt: skip
def test_one_is_enough_and_the_others_have_their_defaults(environ: dict[str, str], shown: str) -> None:
    assert target(environ).shown == shown


def test_user_and_password_may_hold_any_letter() -> None:
    found = target({"CH_USER": "a@b:c", "CH_PASSWORD": "p/?#%41 é:@"})
    assert (found.options["username"], found.options["password"]) == ("a@b:c", "p/?#%41 é:@")
    assert found.options["host"] == "127.0.0.1"


def test_a_setting_goes_before_them(tmp_path: Path) -> None:
    environ = {"CH_HOST": "db.lab", "CH_PORT": "wrong"}
    assert target({**environ, "CLUSTER_DASH_STORE_URL": "chdb:///srv"}).shown == "chdb:///srv"
    file = tmp_path / "server.toml"
    file.write_text('[store]\nurl = "chdb:///srv"\n')
    assert read_config({**environ, "CLUSTER_DASH_CONFIG": str(file)}).store.url == "chdb:///srv"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CH_HOST", "http://db.lab", "a name or an address alone, without http:// and port"),
        ("CH_HOST", "db.lab:8123", "a name or an address alone"),
        ("CH_HOST", "db@evil", "a name or an address alone"),
        ("CH_HOST", "http://me:secret@db.lab", "a name or an address alone"),
        ("CH_HOST", "-x", "a name or an address alone"),
        ("CH_PORT", "many", "a port between 1 and 65535"),
        ("CH_PORT", "0", "a port between 1 and 65535"),
        ("CH_PORT", "65536", "a port between 1 and 65535"),
        ("CH_PORT", "٣", "a port between 1 and 65535"),
        ("CH_PROTOCOL", "tcp", "must be http or https"),
        ("CH_DATABASE", "a;b", "letters, digits and _"),
        ("CH_PASSWORD", "secret\n", "must be printable text"),
        ("CH_PASSWORD", "secret\udce9", "must be printable text"),
    ],
)
def test_a_wrong_one_stops_the_start_with_its_name(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} ") as caught:
        read_config({"CH_PASSWORD": "secret", name: value}, NOWHERE)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_password_is_in_no_repr() -> None:
    config = read_config({"CH_PASSWORD": "secret"}, NOWHERE)
    assert "secret" not in f"{config} {config!r} {config.store!r} {target_of(config.store.url, Path('/state'))!r}"
