"""The unit that runs a mole: systemd's own check, and what it must never hide from it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mole.peers import ROOT

UNITS = ROOT / "deploy" / "systemd"
MOLE = UNITS / "cluster-dash-mole.service"
ANALYZE = shutil.which("systemd-analyze")
needs_analyze = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
EXAMPLE = "/opt/cluster-dash"


def analyze(*words: str) -> str:
    """All that it prints."""
    assert ANALYZE
    done = subprocess.run([ANALYZE, *words], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def settings() -> dict[str, str]:
    lines = [line for line in MOLE.read_text().splitlines() if re.match(r"\w+=", line)]
    return dict(line.split("=", 1) for line in lines)


@needs_analyze
@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.iterdir()))
def test_systemd_finds_nothing_to_say_about_a_unit_with_this_machines_paths(tmp_path: Path, name: str) -> None:
    text = (UNITS / name).read_text()
    for program in re.findall(rf"{EXAMPLE}/(?:server|mole)/bin/([\w-]+)", text):
        path = Path(sys.executable).with_name(program)
        assert path.is_file()
        text = re.sub(rf"{EXAMPLE}/(server|mole)/bin/{program}", str(path), text)
    text = text.replace(f"{EXAMPLE}/setup.md", str(ROOT / "setup.md"))
    assert EXAMPLE not in text
    (tmp_path / name).write_text(text)
    assert analyze("verify", str(tmp_path / name)) == ""


@needs_analyze
def test_that_check_sees_a_line_that_is_wrong(tmp_path: Path) -> None:
    unit = tmp_path / MOLE.name
    unit.write_text(
        MOLE.read_text().replace(f"{EXAMPLE}/mole/bin/cluster-dash-mole", "/bin/true") + "\n[Service]\nRestrat=x\n"
    )
    assert "Restrat" in analyze("verify", str(unit))


@needs_analyze
def test_the_mole_may_do_little(tmp_path: Path) -> None:
    unit = tmp_path / MOLE.name
    unit.write_text(MOLE.read_text())
    found = re.search(
        r"exposure level for \S+: ([\d.]+)", analyze("security", "--offline=yes", "--no-pager", str(unit))
    )
    if not found:
        pytest.skip("this systemd can't judge a unit that isn't installed")
    assert float(found.group(1)) <= 3.0


def test_what_a_mole_must_see_is_not_hidden_from_it() -> None:
    hiding = {
        "ProtectHome",
        "PrivateDevices",
        "DevicePolicy",
        "DeviceAllow",
        "ProtectClock",
        "ProtectProc",
        "ProcSubset",
    }
    hiding |= {
        "ProtectHostname",
        "PrivateUsers",
        "PrivateNetwork",
        "PrivatePIDs",
        "ProtectKernelLogs",
        "MemoryDenyWriteExecute",
    }
    assert not hiding & set(settings())


def test_it_is_started_again_however_often_it_ends() -> None:
    assert settings()["Restart"] == "always"
    assert settings()["StartLimitIntervalSec"] == "0"
    assert "RestartPreventExitStatus" not in settings()
