"""Who a mole is over its starts."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cluster_dash_mole.identity import load_identity, read_boot_id, state_folder

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


@pytest.mark.parametrize("content", ["", "[]", '{"id": "x", "starts": 1}', '{"starts": 1}', "\xff"])
def test_a_damaged_state_gives_a_new_id(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mole.json").write_text(content, encoding="latin-1")
    first = load_identity(tmp_path)
    assert "is damaged" in caplog.text
    assert load_identity(tmp_path).mole_id == first.mole_id


def test_the_folder_is_systemds_else_the_users() -> None:
    assert state_folder({"STATE_DIRECTORY": "/a:/b", "HOME": "/h"}) == Path("/a")
    assert state_folder({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/cluster-dash-mole")
    assert state_folder({"HOME": "/h"}) == Path("/h/.local/state/cluster-dash-mole")
