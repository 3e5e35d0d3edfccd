"""The unit that runs the server: what it tells systemd, and how little it may do. systemd checks it in tests/mole."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import ROOT

UNIT = ROOT / "deploy" / "systemd" / "cluster-dash-server.service"
ANALYZE = shutil.which("systemd-analyze")


def settings() -> dict[str, str]:
    lines = [line for line in UNIT.read_text().splitlines() if re.match(r"\w+=", line)]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_the_server_may_do_little(tmp_path: Path) -> None:
    assert ANALYZE
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text())
    words = [ANALYZE, "security", "--offline=yes", "--no-pager", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout + done.stderr)
    if not found:
        pytest.skip("this systemd can't judge a unit that isn't installed")
    assert float(found.group(1)) <= 2.0


def test_systemd_waits_until_it_is_ready_and_starts_it_again_when_it_is_silent() -> None:
    assert settings()["Type"] == "notify"
    assert int(settings()["WatchdogSec"]) >= 30
    assert settings()["Restart"] == "always"
    assert settings()["StartLimitIntervalSec"] == "0"


def test_it_has_the_open_files_that_its_connections_need() -> None:
    assert int(settings()["LimitNOFILE"]) > 5000 + 128
