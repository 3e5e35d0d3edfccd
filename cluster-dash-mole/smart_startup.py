"""Starts the mole with config_<hostname>.toml, else config.toml, beside this file, else with the defaults."""

from __future__ import annotations

import sys
from pathlib import Path

from cluster_dash_mole.startup import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
