"""The demo's simulated lab over a real server, with a clock of the test's own: what the page is held against."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from posts import PASSCODE
from processes import ROOT, Server

from cluster_dash_mole.simulate import scenario
from cluster_dash_mole.simulate.fleet import Fleet
from cluster_dash_mole.simulate.truth import HostTruth

INTERVAL_S = 210.0
ROUND_S = 320.0
"""Three rounds of posts are more than the ten minutes after which a GPU is held idle, without a gap between them."""
ROUNDS = 3
SETTINGS = """
[hosts]
expected = ["h100-[01-05]"]
hide_users_in_kiosk = true
[hosts.tags]
rack-1 = ["h100-*"]
rack-2 = ["a100-*"]
teaching = ["v100-*"]
"""


class ClockedServer(Server):
    def __init__(self, folder: Path, settings: str = "", port: int = 0) -> None:
        self.folder = folder
        (folder / "ahead").write_text("0")
        (folder / "server.toml").write_text(settings)
        environ = {
            "CLUSTER_DASH_CONFIG": str(folder / "server.toml"),
            "CLUSTER_DASH_PASSCODE": PASSCODE,
            "STATE_DIRECTORY": str(folder),
        }
        command = [sys.executable, str(ROOT / "tests" / "browser" / "clocked_server.py"), "{port}", str(folder)]
        super().__init__(folder, environ, port, command)

    def pass_time(self, seconds: float) -> None:
        ahead = self.folder / "ahead"
        new = self.folder / "ahead.new"
        new.write_text(str(float(ahead.read_text()) + seconds))
        new.rename(ahead)

    @property
    def streams(self) -> list[str]:
        """The queries of all requests of the stream."""
        asked = self.folder / "asked"
        return asked.read_text().splitlines() if asked.exists() else []


class Lab:
    """The lab after three rounds: one host has been down since the first, all others have just posted.

    A driver that hangs hides only what was seen before: its host has posted once more, at the beginning.
    """

    def __init__(self, server: ClockedServer) -> None:
        self.server = server
        self.now = time.time()
        self.fleet = Fleet(began_at=self.now - 5 * INTERVAL_S, interval_s=INTERVAL_S, speed=1.0, spread=False)
        self.times = [self.now - INTERVAL_S * back for back in range(ROUNDS - 1, -1, -1)]
        self._post(self.fleet.names.index(self.with_condition(scenario.DRIVER_HUNG)), self.fleet.began_at)
        for number, at in enumerate(self.times):
            self.post_all(at, leave_out=scenario.DOWN if number else None)
            if at is not self.times[-1]:
                server.pass_time(ROUND_S)

    def post_all(self, at: float, leave_out: str | None = None) -> None:
        for host in range(len(self.fleet)):
            if leave_out not in self.fleet.truth(host, at).conditions:
                self._post(host, at)

    def _post(self, host: int, at: float) -> None:
        """By the host's clock it was made now, however long the posts before it took."""
        post = self.fleet.post(host, at)
        post["timestamp"] += time.time() - self.now
        self.server.post({**post, "auth_code": PASSCODE}).raise_for_status()

    @property
    def truths(self) -> dict[str, HostTruth]:
        return {name: self.fleet.truth(host, self.now) for host, name in enumerate(self.fleet.names)}

    def with_condition(self, condition: str) -> str:
        (name,) = [name for name, truth in self.truths.items() if condition in truth.conditions]
        return name

    def states(self, name: str, index: int) -> Iterable[str]:
        """What this GPU was in each round."""
        host = self.fleet.names.index(name)
        return [self.fleet.truth(host, at).gpus[index].state for at in self.times]
