"""Who a mole is over its starts."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cluster_dash_mole.identity import load_identity, read_boot_id, read_host_key, state_folder

BOOT_ID = read_boot_id(Path("/proc"))


def test_the_id_stays_and_the_starts_are_counted(tmp_path: Path) -> None:
    first, second = (load_identity(tmp_path / "state") for _ in range(2))
    assert first.mole_id == second.mole_id
    assert (first.epoch, second.epoch) == (f"{BOOT_ID}.1", f"{BOOT_ID}.2")


def test_where_nothing_can_be_written_the_id_is_random_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        first, second = (load_identity(tmp_path / "file") for _ in range(2))
    assert first.mole_id != second.mole_id
    assert "this mole's id is new at each start" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        '{"id": "9b1f1c52-7b57-4d5c-9d0c-3f2f6a0d8e11", "starts": 1' + "0" * 300 + "}",
        '{"id": "9b1f1c52-7b57-4d5c-9d0c-3f2f6a0d8e11", "starts": "7"}',
        "",
        "[]",
        '{"id": "x", "starts": 1}',
        '{"starts": 1}',
        "\xff",
        "[" * 100_000,
    ],
)
def test_a_damaged_state_gives_a_new_id(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mole.json").write_text(content, encoding="latin-1")
    first = load_identity(tmp_path)
    assert "mole.json is damaged: it is set aside as mole.damaged, and this mole gets a new id" in caplog.text
    assert (tmp_path / "mole.damaged").read_text(encoding="latin-1") == content
    assert load_identity(tmp_path).mole_id == first.mole_id


def test_a_user_without_a_home_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert state_folder("", {}, "key") == Path("/var/lib/cluster-dash-mole/key")


def test_the_folder_is_systemds_else_the_users() -> None:
    assert state_folder("/c", {"STATE_DIRECTORY": "/a:/b", "HOME": "/h"}, "k") == Path("/c")
    assert state_folder("", {"STATE_DIRECTORY": "/a:/b", "HOME": "/h"}, "k") == Path("/a")
    assert state_folder("", {"XDG_STATE_HOME": "/s", "HOME": "/h"}, "k") == Path("/s/cluster-dash-mole/k")
    assert state_folder("", {"HOME": "/h"}, "k") == Path("/h/.local/state/cluster-dash-mole/k")


def test_hosts_that_share_a_home_folder_are_told_apart_and_a_renamed_host_stays_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for etc, machine in ((first, "a" * 32), (second, "b" * 32)):
        etc.mkdir()
        (etc / "machine-id").write_text(machine + "\n")
    assert read_host_key("gpu01", first) == read_host_key("renamed", first) != read_host_key("gpu01", second)
    assert "a" * 12 not in read_host_key("gpu01", first)
    assert read_host_key("gpu01", tmp_path) != read_host_key("gpu02", tmp_path)


def test_only_the_moles_user_can_read_its_state(tmp_path: Path) -> None:
    load_identity(tmp_path / "new" / "state")
    assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "state" / "mole.json").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    load_identity(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_start_that_was_killed_while_writing_leaves_the_id_as_it_was(tmp_path: Path) -> None:
    first = load_identity(tmp_path)
    (tmp_path / "mole.new").write_text('{"id": "')
    second = load_identity(tmp_path)
    assert (second.mole_id, second.epoch) == (first.mole_id, f"{BOOT_ID}.2")
