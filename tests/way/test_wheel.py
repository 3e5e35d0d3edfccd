"""What is installed: the wheel of the server has what its pages need from npm, and the lock names nobody's registry."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import ROOT

SERVER = ROOT / "cluster-dash-server"


@pytest.mark.slow
def test_the_wheel_has_uplot_of_the_locked_version(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(SERVER)], check=True, timeout=240)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        static = "cluster_dash_server/static"
        names = packed.namelist()
        script = packed.read(f"{static}/scripts/vendor/uPlot.esm.js").decode()
        assert {f"{static}/vendor/uPlot.min.css", f"{static}/vendor/uPlot.LICENSE"} <= set(names)
        assert not [name for name in names if "node_modules" in name]
    locked = json.loads((SERVER / "package-lock.json").read_text("utf-8"))["packages"]["node_modules/uplot"]["version"]
    assert f"(v{locked})" in script[:1000]


def test_the_locks_of_npm_name_no_registry() -> None:
    for folder in (ROOT, SERVER):
        text = (folder / "package-lock.json").read_text("utf-8")
        assert '"integrity": "sha512-' in text
        assert "http" not in text
