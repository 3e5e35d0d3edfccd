"""A real mole on a host whose FUSE mounts really hang: Linux itself holds whoever asks for their size."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fuse_standin import BLOCK_BYTES, BLOCKS

from mole.peers import MOLE_FOLDER, PROMPT_S, MoleProcess, Peer, wait_until

pytestmark = pytest.mark.slow
Start = Callable[..., MoleProcess]
SCRIPT = Path(__file__).parents[1] / "fuse_standin.py"
INTERVAL_S = 0.3
GIB = 2**30


class Mounts:
    """File systems that only a mole sees which is started with `before`."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.control = folder / "control"
        self.points = {name: folder / "mnt" / name for name in names}
        for path in (self.control, *self.points.values()):
            path.mkdir(parents=True)
        as_root = [] if os.getuid() == 0 else ["--map-root-user"]
        self.log = folder / "mounts.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    *as_root,
                    sys.executable,
                    str(SCRIPT),
                    str(self.control),
                ]
                + [str(point) for point in self.points.values()],
                stderr=log,
            )
        ready = self.control / "ready"
        wait_until(lambda: ready.exists() or self.process.poll() is not None)
        self.is_ready = ready.exists()
        as_root = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
        self.before = ("nsenter", f"--target={self.process.pid}", "--mount", *as_root, f"--wd={MOLE_FOLDER}")

    def hang(self, *names: str) -> None:
        for name in names:
            Path(self.control, f"hang-{name}").touch()

    def release(self, *names: str) -> None:
        for name in names:
            Path(self.control, f"hang-{name}").unlink()

    def close(self) -> str:
        """End them, and with them whatever waits for one; what they said."""
        self.process.kill()
        self.process.wait()
        return self.log.read_text()


@pytest.fixture
def make_mounts(tmp_path: Path) -> Iterator[Callable[..., Mounts]]:
    made: list[Mounts] = []

    def make(*names: str) -> Mounts:
        made.append(Mounts(tmp_path, list(names)))
        if not made[-1].is_ready:
            pytest.skip(f"FUSE can't be mounted here: {made[-1].close()[-200:]}")
        return made[-1]

    yield make
    for mounts in made:
        mounts.close()


class Watch:
    """What the server hears of a mole and its mounts."""

    def __init__(self, peer: Peer, mounts: Mounts) -> None:
        self.peer = peer
        self.mounts = mounts

    def settings(self) -> dict[str, str]:
        return {
            "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": str(INTERVAL_S),
            "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
            "JSON_SENDER_LOGGER_ADDRESS_IN": self.peer.address,
        }

    def entry(self, name: str, post: dict[str, Any] | None = None) -> dict[str, Any]:
        """Of the last post, or of this one; empty when it has none."""
        if post is None:
            live = [post for post in self.peer.posts if "disk" in post]
            post = live[-1] if live else {"disk": {}}
        return post["disk"].get(str(self.mounts.points[name]), {})

    def is_measured(self, name: str) -> bool:
        return self.entry(name).get("total_gb") == BLOCKS * BLOCK_BYTES / GIB

    def is_stale(self, name: str) -> bool:
        return "stale_since" in self.entry(name)


def waits_in_the_kernel(pid: int) -> list[str]:
    """The threads of a process that wait for a FUSE file system."""
    waits = [(task / "wchan").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [wait for wait in waits if "request_wait" in wait or "fuse" in wait]


def test_twenty_dead_mounts_are_shown_as_stale_and_stop_nothing(
    peer: Peer, make_mounts: Callable[..., Mounts], start_mole: Start
) -> None:
    dead = [f"dead{number}" for number in range(20)]
    mounts = make_mounts("alive", *dead)
    watch = Watch(peer, mounts)
    mole = start_mole(before=mounts.before, **watch.settings())
    wait_until(lambda: all(watch.is_measured(name) for name in ("alive", *dead)))
    mounts.hang(*dead)
    hung_at, first = time.time(), len(peer.posts)
    wait_until(lambda: all(watch.is_stale(name) for name in dead))
    last = peer.posts[-1]
    entry = watch.entry("dead7", last)
    assert hung_at - INTERVAL_S < entry.pop("stale_since") <= last["timestamp"]
    assert entry == {
        "mount_point": str(mounts.points["dead7"]),
        "device": "standin",
        "total_gb": None,
        "used_gb": None,
        "percent_used": None,
    }
    assert last["mole"]["errors"][f"disk {mounts.points['dead7']}"].startswith("no answer since")
    wait_until(lambda: len(peer.posts) >= first + 25)
    posts = peer.posts[first:]
    times = [post["mole"]["mono_s"] for post in posts]
    pauses = sorted(after - before for before, after in zip(times, times[1:]))
    assert pauses[len(pauses) * 3 // 4] < 3  # a busy machine may hold up a few
    assert sum(watch.entry("alive", post).get("percent_used") == 75 for post in posts) > len(posts) // 2
    assert all(post["cpu"]["cpu_percent"] is not None for post in posts)
    helpers = [child for child in psutil.Process(mole.process.pid).children() if "mounts_child" in str(child.cmdline())]
    assert len(helpers) == 1
    assert len(waits_in_the_kernel(helpers[0].pid)) == 20
    assert waits_in_the_kernel(mole.process.pid) == []
    mounts.release(*dead)
    wait_until(lambda: all(watch.is_measured(name) for name in dead))
    assert len([line for line in mole.log.splitlines() if "answers again" in line and "dead" in line]) == 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_mole_ends_while_a_mount_hangs_and_the_next_one_starts(
    peer: Peer, make_mounts: Callable[..., Mounts], start_mole: Start, number: int
) -> None:
    mounts = make_mounts("alive", "dead")
    watch = Watch(peer, mounts)
    mounts.hang("dead")
    helpers: list[psutil.Process] = []
    for count in (1, 2):
        mole = start_mole(before=mounts.before, **watch.settings())
        wait_until(lambda: watch.is_stale("dead"))
        assert watch.is_measured("alive")
        helpers += [
            child for child in psutil.Process(mole.process.pid).children() if "mounts_child" in str(child.cmdline())
        ]
        assert len(helpers) == count
        assert mole.end(number) < PROMPT_S
        peer.posts.clear()
    # What hangs is left behind.
    wait_until(lambda: all(len(waits_in_the_kernel(helper.pid)) == 1 for helper in helpers))
    mounts.close()
    _, alive = psutil.wait_procs(helpers, PROMPT_S)
    assert not alive, "and ends with its mount"
