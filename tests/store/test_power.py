"""A power cut: the journal lets go of a post only after the store has it on the disk, as the system calls tell."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CARRYING = """
import sys, orjson, posts
from pathlib import Path
from cluster_dash_server.points import points_of_post
from cluster_dash_server.store.journal import Journal
from cluster_dash_server.store.kept import Coming, Parts
from cluster_dash_server.store.store import Store
from cluster_dash_server.store.tables import Days
from cluster_dash_server.store.target import target_of

folder = Path(sys.argv[1])
store = Store(target_of("", folder), Journal(folder / "journal", 2**24), Days(14, 31, 90, 730))
store.step(lambda *_: None)
post = posts.host_post("gpu01", gpus=1)
store.keep([Coming(Parts(orjson.dumps(post), b"{}"), points_of_post(post), None, True, None)])
store.step(lambda *_: None)
store.close()
"""


def test_a_post_is_synced_to_the_store_before_the_journal_lets_go_of_it(tmp_path: Path) -> None:
    if shutil.which("strace") is None or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("system calls can't be traced here: that needs strace and the right to use it")
    calls = tmp_path / "calls"
    trace = ["strace", "-f", "-y", "-o", str(calls), "-e", "trace=fsync,fdatasync,unlink"]
    subprocess.run(
        [*trace, sys.executable, "-c", CARRYING, str(tmp_path / "state")],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
        timeout=240,
    )
    lines = calls.read_text().splitlines()
    [gone] = [at for at, line in enumerate(lines) if re.search(r'unlink\(".*\.journal"\)', line)]
    synced = [
        at for at, line in enumerate(lines) if re.search(r"sync\(\d+<.*/clickhouse/store/.*/tmp_insert_\d{6}_", line)
    ]
    kept = [at for at, line in enumerate(lines) if re.search(r"fdatasync\(\d+<.*\.journal>\) *= 0", line)]
    assert kept
    assert kept[-1] < min(synced) <= max(synced) < gone
