"""Settings: file, environment, and the one line that a wrong one stops the start with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import posts
import pytest

from cluster_dash_server.config import Access, Config, ConfigError, HostNames, Live, read_config

SETTINGS = [
    (section.name, setting.name)
    for section in msgspec.structs.fields(Config)
    for setting in msgspec.structs.fields(section.type)
]


def config_of(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "server.toml"
    path.write_text(text, "utf-8")
    return read_config({"CLUSTER_DASH_CONFIG": str(path), **environ})


def test_without_file_and_environment_the_defaults_count(tmp_path: Path) -> None:
    assert read_config({}, default_file=tmp_path / "none.toml") == Config()


def test_the_default_file_is_read_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("[live]\nmax_hosts = 7\n")
    assert read_config({}, default_file=tmp_path / "server.toml").live.max_hosts == 7


def test_what_systemd_hands_over_goes_before_the_default_file(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("[live]\nmax_hosts = 7\n")
    (tmp_path / "credentials").mkdir()
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert read_config(environ, default_file=tmp_path / "server.toml").live.max_hosts == 7
    (tmp_path / "credentials/server.toml").write_text("[live]\nmax_hosts = 8\n")
    assert read_config(environ, default_file=tmp_path / "server.toml").live.max_hosts == 8


def test_a_file_that_cannot_be_reached_stops_the_start_with_one_line(tmp_path: Path) -> None:
    beyond = Path("/" + "x" * 300)
    for environ, default in (({"CREDENTIALS_DIRECTORY": str(beyond)}, tmp_path), ({}, beyond)):
        with pytest.raises(ConfigError, match=r"server\.toml: can't be read \(File name too long\)$"):
            read_config(environ, default_file=default / "server.toml")


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    text = '[access]\npasscode = "from the file"\n[live]\nmemory_mib = 100\nmax_hosts = 3\n'
    config = config_of(tmp_path, text, CLUSTER_DASH_ACCESS_PASSCODE="mine", CLUSTER_DASH_LIVE_MEMORY_MIB="200")
    assert config == Config(Access(passcode="mine"), Live(memory_mib=200, max_hosts=3))


def test_hosts_and_their_tags_come_from_either(tmp_path: Path) -> None:
    text = '[hosts]\nexpected = ["gpu[01-02]"]\n[hosts.tags]\n"rack-3" = ["gpu0*"]\n'
    assert config_of(tmp_path, text).hosts == HostNames(expected=("gpu[01-02]",), tags={"rack-3": ("gpu0*",)})
    environ = {"CLUSTER_DASH_HOSTS_EXPECTED": "a, b[1-2] c", "CLUSTER_DASH_HOSTS_TAGS": '{"x": ["a*"]}'}
    assert config_of(tmp_path, text, **environ).hosts == HostNames(expected=("a", "b[1-2]", "c"), tags={"x": ("a*",)})


def test_the_passcode_has_a_short_form_and_an_empty_one_is_not_set(tmp_path: Path) -> None:
    assert config_of(tmp_path, "", CLUSTER_DASH_PASSCODE="mine").access.passcode == "mine"
    assert config_of(tmp_path, "", CLUSTER_DASH_PASSCODE="").access.passcode is None
    assert config_of(tmp_path, "", CLUSTER_DASH_PASSCODE="12345").access.passcode == "12345"


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("[live", {}, "not valid TOML"),
        ("[nope]\na = 1", {}, "[nope] is no section; there are: access, live"),
        ("live = 5", {}, "[live] is no section"),
        ("[live]\nnope = 1", {}, "live.nope is no setting; [live] has: recent_minutes"),
        ("[live]\nmax_hosts = 0", {}, "live.max_hosts = 0: expected a whole number >= 1"),
        ("[limits]\ngpus = 0", {}, "limits.gpus = 0: expected a whole number >= 1"),
        ("[limits]\nbody_bytes = 1e6", {}, "limits.body_bytes = 1000000.0: expected a whole number"),
        (
            "",
            {"CLUSTER_DASH_LIMITS_DEPTH": "1000"},
            "CLUSTER_DASH_LIMITS_DEPTH = '1000': expected a whole number <= 200",
        ),
        ('[live]\nmax_hosts = "5"', {}, "live.max_hosts = '5': expected a whole number"),
        ("[live]\nheadline_hours = nan", {}, "live.headline_hours = nan"),
        ("", {"CLUSTER_DASH_LIVE_MAX_HOSTS": "many"}, "CLUSTER_DASH_LIVE_MAX_HOSTS = 'many': expected a whole number"),
        ("", {"CLUSTER_DASH_LIVE_MAX_HOSTS": "0"}, "CLUSTER_DASH_LIVE_MAX_HOSTS = '0': expected a whole number >= 1"),
        ('[access]\npasscode = ""', {}, "access.passcode = (a secret)"),
        ("", {"CLUSTER_DASH_LIVE_MAX_HOST": "5"}, "CLUSTER_DASH_LIVE_MAX_HOST is no setting; there are: "),
        ("", {"CLUSTER_DASH_PASSCODE": "caf\udce9"}, "CLUSTER_DASH_PASSCODE must be printable text in UTF-8"),
        ('[access]\ntoken_file = "t.json"', {}, "access.token_file = 't.json': expected an absolute path"),
        ("[access]\nrequire_tokens = 1", {}, "access.require_tokens = 1: expected true or false"),
        ("[live]\nforget_hosts_after_h = -1", {}, "live.forget_hosts_after_h = -1: expected a number >= 0"),
        (
            '[hosts]\nexpected = ["gpu[9-1]"]',
            {},
            "hosts.expected = ['gpu[9-1]']: 'gpu[9-1]' is no range: it begins with",
        ),
        (
            '[hosts]\nexpected = ["gpu*"]',
            {},
            "'gpu*' must be a host's name or a range like gpu[01-16]; * and ? are for",
        ),
        ('[hosts]\nexpected = ["a[1-99999]", "b[1-99999]"]', {}, "stands for more than 100000 names"),
        ("[hosts]\nexpected = 5", {}, "hosts.expected = 5: expected a list of texts"),
        ('[hosts.tags]\nrack = ["x[1"]', {}, "hosts.tags = {'rack': ['x[1']}: 'x[1' is no range"),
        ('[hosts.tags]\nrack = "x"', {}, "hosts.tags = {'rack': 'x'}: expected a list of texts"),
        (
            '[hosts.tags]\n"a b" = ["x"]',
            {},
            "'a b' is no tag's name: up to 64 characters without space, comma and colon",
        ),
        (
            "",
            {"CLUSTER_DASH_HOSTS_EXPECTED": "a, b[x]"},
            "CLUSTER_DASH_HOSTS_EXPECTED = ['a', 'b[x]']: 'b[x]' is no range",
        ),
        ("", {"CLUSTER_DASH_HOSTS_TAGS": "rack"}, "CLUSTER_DASH_HOSTS_TAGS = 'rack': expected a table, as JSON"),
        ("[hosts]\nhide_users_in_kiosk = 1", {}, "hosts.hide_users_in_kiosk = 1: expected true or false"),
        ("[serve]\nheld_streams = -1", {}, "serve.held_streams = -1: expected a whole number >= 0"),
        ("[access]\npasscode = 12345678", {}, "access.passcode = (a secret): expected a text"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place_value_and_what_is_allowed(
    tmp_path: Path, text: str, environ: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError) as error:
        config_of(tmp_path, text, **environ)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert "12345678" not in str(error.value)
    if not environ:
        assert str(tmp_path / "server.toml") in str(error.value)


def test_the_moles_settings_in_the_environment_are_none_of_the_servers(tmp_path: Path) -> None:
    assert config_of(tmp_path, "", CLUSTER_DASH_MOLE_POLL_SETTINGS_POLL_INTERVAL_IN_SECS="2") == Config()


def test_a_file_that_was_named_and_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_config({"CLUSTER_DASH_CONFIG": str(tmp_path / "none.toml")})


def test_the_example_file_holds_every_setting_with_its_default(tmp_path: Path) -> None:
    text = (posts.ROOT / "etc" / "server.toml").read_text("utf-8")
    assert config_of(tmp_path, text) == Config()
    uncommented = tomllib.loads(re.sub(r"(?m)^# (?=\w+ = )", "", text))
    assert [(section, key) for section, table in uncommented.items() for key in table] == SETTINGS


@pytest.mark.parametrize(("section", "key"), SETTINGS)
def test_setup_md_tells_of_every_setting(section: str, key: str) -> None:
    assert f"`[{section}] {key}`" in (posts.ROOT / "setup.md").read_text("utf-8")
