"""Settings: where they come from, and what a wrong one says."""

from __future__ import annotations

import importlib
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole.config import SECTIONS, Config, ConfigError, choose_config, load_config
from mole.peers import MOLE_FOLDER, ROOT

tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

SEED_FILE = """
[Poll_Settings]
poll_interval_in_secs = 300
[Json_Sender_Logger]
use = true
min_interval_in_secs = 5
address_in = "http://dash.example:8080"
auth_code = "canary"
[Google_Sheets_Logger]
use = false
min_interval_in_secs = 300
service_account_file_path = "x.json"
spreadsheets_id = "1"
worksheet_name = "!hostname"
[StdOut_Logger]
use = true
min_interval_in_secs = 10
"""


def load(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ)


def test_a_file_of_the_first_moles_works_unchanged(tmp_path: Path) -> None:
    config = load(tmp_path, SEED_FILE)
    assert config.poll.poll_interval_in_secs == 300
    assert config.json_sender.address_in == "http://dash.example:8080"
    assert config.json_sender.auth_code == "canary"
    assert config.stdout.use is True
    assert config.google_sheets.worksheet_name == "!hostname"
    assert (config.json_sender.timeout_in_secs, config.json_sender.insecure, config.gpu.commands) == (5, False, True)


def test_without_a_file_the_defaults_hold() -> None:
    config = load_config(None, {})
    assert config.poll.poll_interval_in_secs == 5
    assert config.json_sender.min_interval_in_secs == 5
    assert config.json_sender.use is True
    assert config.stdout.use is False


def test_the_file_that_is_shipped_holds_the_defaults() -> None:
    path = MOLE_FOLDER / "config.toml"
    assert load_config(path, {}) == load_config(None, {})
    assert set(tomllib.loads(path.read_text())) == {"Poll_Settings", "Json_Sender_Logger", "StdOut_Logger"}


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        SEED_FILE,
        CLUSTER_DASH_MOLE_POLL_SETTINGS_POLL_INTERVAL_IN_SECS="0.5",
        CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_ADDRESS_IN="https://other/",
        CLUSTER_DASH_MOLE_STDOUT_LOGGER_USE="no",
        CLUSTER_DASH_MOLE_CONFIG="a name, no setting",
        CLUSTER_DASH_OTHER="not ours",
    )
    assert config.poll.poll_interval_in_secs == 0.5
    assert config.json_sender.address_in == "https://other/"
    assert config.stdout.use is False
    assert config.stdout.min_interval_in_secs == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[Poll_Settings]\npoll_interval_in_secs = 0", "[Poll_Settings] poll_interval_in_secs = 0: must be a number"),
        ("[Poll_Settings]\npoll_interval_in_secs = nan", "poll_interval_in_secs = nan: must be"),
        ("[Poll_Settings]\npoll_interval_in_secs = true", "poll_interval_in_secs = True: must be"),
        ("[Poll_Settings]\npoll_interval_in_secs = '5'", "poll_interval_in_secs = '5': must be"),
        (
            "[Poll_Settings]\npoll_interval = 5",
            "poll_interval = 5: no such setting; allowed in [Poll_Settings] are poll_",
        ),
        ("[Pol]\nx = 5", "[Pol]: no such section; allowed are [Poll_Settings], [Json_"),
        ("poll_interval_in_secs = 5", "[poll_interval_in_secs]: no such section"),
        ("[Json_Sender_Logger]\nuse = 1", "use = 1: must be true or false"),
        ("[Json_Sender_Logger]\nmin_interval_in_secs = -1", "min_interval_in_secs = -1: must be a number of seconds"),
        ("[Json_Sender_Logger]\naddress_in = 'localhost:8080'", "address_in = 'localhost:8080': must be an address"),
        ("[Json_Sender_Logger]\naddress_in = 'http://h:99999/'", "must be an address as http://host:port/"),
        (
            "[Json_Sender_Logger]\naddress_in = 'http://me:canary@h/'",
            "address_in = 'http://...@h/': must be an address",
        ),
        ("[Json_Sender_Logger]\nauth_code = ['canary']", "auth_code = (not shown): must be text"),
        ("[Json_Sender_Logger]\nauth_codes = 'canary'", "auth_codes: no such setting"),
        ("[Json_Sender_Logger]\npasscode = 'canary'", "passcode: no such setting"),
        (
            "[Json_Sender_Logger]\naddress_in = 'htp://u:canary/p@h/?token=canary'",
            "address_in = 'htp://...@h/?...: must be",
        ),
        ("[Json_Sender_Logger]\nca_file = '/gone.pem'", "ca_file = '/gone.pem': must be empty, or a file that can be"),
        ("[Json_Sender_Logger]\nca_file = '/etc/hostname'", "holds certificates"),
        ("[Json_Sender_Logger]\ninsecure = 'yes'", "insecure = 'yes': must be true or false"),
        ("[Json_Sender_Logger]\nproxy = 'proxy:3128'", "proxy = 'proxy:3128': must be empty, or an address"),
        ("[Json_Sender_Logger]\nproxy = 'http://me:canary@h/'", "proxy = 'http://...@h/': must be"),
        (
            "[Json_Sender_Logger]\ntimeout_in_secs = 0",
            "timeout_in_secs = 0: must be a number of seconds from 0.1 to 60",
        ),
        ("[State]\nstate_dir = 'here'", "state_dir = 'here': must be empty, or an absolute path"),
        ("[Gpu]\ncommands = 1", "commands = 1: must be true or false"),
        ("[Poll_Settings\n", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    line = str(refused.value)
    assert line.startswith(f"{tmp_path / 'config.toml'}: ")
    assert words in line
    assert "\n" not in line
    assert "canary" not in line


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("POLL_SETTINGS_POLL_INTERVAL_IN_SECS", "often", "must be a number of seconds from 0.1 to 86400"),
        ("POLL_SETTINGS_POLL_INTERVAL_IN_SECS", "inf", "must be a number of seconds"),
        ("STDOUT_LOGGER_USE", "perhaps", "must be true or false"),
        ("STDOUT_LOGER_USE", "true", "no such setting"),
    ],
)
def test_a_wrong_setting_of_the_environment_is_told(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"environment: CLUSTER_DASH_MOLE_{name}.*{words}"):
        load_config(None, {f"CLUSTER_DASH_MOLE_{name}": value})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: can't be read: No such file"):
        load_config(tmp_path / "gone.toml", {})


def test_the_passcode_is_not_in_what_a_log_might_show(tmp_path: Path) -> None:
    assert "canary" not in repr(load(tmp_path, SEED_FILE))


def test_the_hosts_own_file_goes_before_the_common_one(tmp_path: Path) -> None:
    assert choose_config(tmp_path, {}, "molgpu02") is None
    common, own = tmp_path / "config.toml", tmp_path / "config_molgpu02.toml"
    common.touch()
    assert choose_config(tmp_path, {}, "molgpu02") == common
    own.touch()
    assert choose_config(tmp_path, {}, "molgpu02") == own
    assert choose_config(tmp_path, {}, "molgpu0") == common
    assert choose_config(tmp_path, {"CLUSTER_DASH_MOLE_CONFIG": "/x"}, "molgpu02") == Path("/x")


def test_what_systemd_hands_over_goes_before_the_files_beside(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    (tmp_path / "config.toml").touch()
    assert choose_config(tmp_path, environ, "h") == tmp_path / "config.toml"
    (tmp_path / "credentials").mkdir()
    credential = tmp_path / "credentials" / "mole.toml"
    credential.touch()
    assert choose_config(tmp_path, environ, "h") == credential
    assert choose_config(tmp_path, {**environ, "CLUSTER_DASH_MOLE_CONFIG": "/x"}, "h") == Path("/x")


def test_a_credential_that_cannot_be_reached_stops_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    chosen = choose_config(tmp_path, {"CREDENTIALS_DIRECTORY": "/" + "x" * 300}, "h")
    with pytest.raises(ConfigError, match=r"mole\.toml: can't be read: File name too long"):
        load_config(chosen, {})


@pytest.mark.parametrize(("called", "file"), [("gpu01.lab.example", "gpu01"), ("gpu01", "gpu01.lab.example")])
def test_a_hosts_short_name_and_its_full_one_are_the_same(tmp_path: Path, called: str, file: str) -> None:
    (tmp_path / "config.toml").touch()
    path = tmp_path / f"config_{file}.toml"
    path.touch()
    assert choose_config(tmp_path, {}, called) == path
    exact = tmp_path / f"config_{called}.toml"
    exact.touch()
    assert choose_config(tmp_path, {}, called) == exact


def test_two_files_that_could_be_the_hosts_are_a_question(tmp_path: Path) -> None:
    for domain in ("lab", "office"):
        (tmp_path / f"config_gpu01.{domain}.toml").touch()
    with pytest.raises(ConfigError, match=r"config_gpu01\.lab\.toml and config_gpu01\.office\.toml could each be"):
        choose_config(tmp_path, {}, "gpu01")
    assert choose_config(tmp_path, {}, "gpu01.lab") == tmp_path / "config_gpu01.lab.toml"


def all_settings() -> list[tuple[str, str, object]]:
    return [(section, setting.name, setting.default) for section in SECTIONS for setting in fields(SECTIONS[section])]


def test_the_file_of_all_settings_holds_each_with_its_default_below_a_line_that_explains_it() -> None:
    path = ROOT / "etc" / "mole.toml"
    assert load_config(path, {}) == load_config(None, {})
    content = tomllib.loads(path.read_text())
    held = [(section, name, value) for section, settings in content.items() for name, value in settings.items()]
    assert held == all_settings()
    lines = path.read_text().splitlines()
    unexplained = [name for name, before in zip(lines[1:], lines) if " = " in name and before[:2] != "# "]
    assert unexplained == []


@pytest.mark.parametrize(("section", "name", "default"), all_settings())
def test_setup_md_has_a_line_for_each_setting(section: str, name: str, default: object) -> None:
    rows = [line.split(" | ") for line in (ROOT / "setup.md").read_text().splitlines() if line.startswith("| `[")]
    row = next((row for row in rows if row[0] == f"| `[{section}] {name}`"), None)
    assert row, f"no line for [{section}] {name}"
    shown = {True: "true", False: "false", "": "none", "lab_cluster_2025": "the published one"}
    expected = shown.get(default) if isinstance(default, (bool, str)) else f"{default:g}"
    assert row[1].strip("`") == (expected or default)
    assert len(row[2]) > 10
