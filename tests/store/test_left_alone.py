"""A history that a server must not touch, as it is another user's or a newer version's: it ends and says why."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from processes import LONG_S, SERVE, Program, Server

from cluster_dash_server.store.ownership import STAMP
from cluster_dash_server.store.records import MAGIC, record

pytestmark = pytest.mark.slow

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
PART = Path("clickhouse/store/abc/abc00000-0000-0000-0000-000000000000/202611_1_1_0")
JOURNAL = Path("journal/000000000001.journal")


@pytest.fixture
def state(tmp_path: Path) -> Generator[Path]:
    """On a file system of its own. What a server leaves at its end, as far as a start looks at it."""
    state = tmp_path / "state"
    state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=755", "tmpfs", state], check=False).returncode:
        pytest.skip("a tmpfs can't be mounted: that needs root")
    (state / PART).mkdir(parents=True)
    (state / PART / "data.bin").write_bytes(b"points")
    (state / "journal").mkdir()
    (state / JOURNAL).write_bytes(MAGIC)
    for path in (tmp_path, *tmp_path.parents):
        if path == Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    yield state
    subprocess.run(["umount", state], check=True)


def read_only(state: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", state], check=True)


def give(*names: str | Path) -> Callable[[Path], None]:
    """To nobody, as whom the server runs, but for these."""

    def change(state: Path) -> None:
        for path in (state, *state.rglob("*")):
            if path.relative_to(state) not in map(Path, names):
                os.chown(path, NOBODY, NOBODY)
            path.chmod(0o700 if path.is_dir() else 0o600)

    return change


def newer_engine(state: Path) -> None:
    (state / "clickhouse" / STAMP).write_text("99.1\n")


def newer_journal(state: Path) -> None:
    (state / JOURNAL).write_bytes(b"cluster-dash journal 2\n" + bytes(range(256)))


def files(state: Path) -> dict[Path, tuple[float, int, bytes]]:
    found = {path: path.lstat() for path in (state, *state.rglob("*"))}
    return {
        path: (about.st_mtime, about.st_uid, path.read_bytes() if path.is_file() else b"")
        for path, about in found.items()
    }


@pytest.mark.parametrize(
    ("change", "words", "as_whom"),
    [
        (read_only, "is on a read-only file system", []),
        (give("clickhouse"), "(nobody) can't read and write {state}/clickhouse of root: chown -R nobody", AS_NOBODY),
        (give(PART), f"can't read and write {{state}}/{PART} of root", AS_NOBODY),
        (give(JOURNAL), f"can't read and write {{state}}/{JOURNAL} of root", AS_NOBODY),
        (newer_engine, "ClickHouse 99.1 has written {state}/clickhouse, and this is ", []),
        (newer_journal, f"another version of cluster-dash has written {{state}}/{JOURNAL}", []),
    ],
    ids=["read-only", "another's store", "another's part", "another's journal", "newer engine", "newer journal"],
)
def test_it_ends_with_one_line_and_changes_nothing(
    state: Path, tmp_path: Path, change: Callable[[Path], None], words: str, as_whom: list[str]
) -> None:
    change(state)
    before = files(state)
    serve = [*as_whom, *(word.format(port=0) for word in SERVE)]
    environ = {"STATE_DIRECTORY": str(state), "CLUSTER_DASH_STORE_URL": ""}
    with Program(serve, tmp_path / "server.log", environ) as server:
        assert server.process
        assert server.process.wait(LONG_S) == 1
    assert files(state) == before
    [line] = server.log.splitlines()
    assert words.format(state=state) in line


def test_a_folder_that_a_server_cannot_come_to_ends_it_with_one_line(state: Path, tmp_path: Path) -> None:
    give()(state)
    state.parent.chmod(0o700)
    environ = {"STATE_DIRECTORY": str(state), "CLUSTER_DASH_STORE_URL": ""}
    serve = [*AS_NOBODY, *(word.format(port=0) for word in SERVE)]
    with Program(serve, tmp_path / "server.log", environ) as server:
        assert server.process
        assert server.process.wait(LONG_S) == 1
    assert f"(nobody) can't come to {state}" in server.log.splitlines()[-1]


def test_the_same_history_is_opened_where_it_is_ones_own(state: Path, tmp_path: Path) -> None:
    """And one whose journal's first line is damaged: what follows tells that it is of this version."""
    give()(state)
    (state / JOURNAL).write_bytes(MAGIC.replace(b"1", b"3") + record(b"x"))
    serve = [*AS_NOBODY, *SERVE]
    with Server(tmp_path, {"STATE_DIRECTORY": str(state), "CLUSTER_DASH_STORE_URL": ""}, command=serve):
        pass
