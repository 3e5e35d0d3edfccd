"""A ClickHouse server for tests as a process, see store/engine_server.py."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import requests
from processes import LONG_S, ROOT, Program, until

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

USER, PASSWORD = "lab", "pass/w@rd %41"


class EngineServer(Program):
    """Keeps its tables and its port over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        folder.mkdir()
        super().__init__([], folder / "engine.log")

    def start(self) -> Self:
        script = str(ROOT / "tests/store/engine_server.py")
        self.command = [sys.executable, script, str(self.folder), str(self.port), USER, PASSWORD]
        already = self.log.count("listens on")
        super().start()
        until(lambda: self.log.count("listens on") > already, LONG_S, "the engine does not listen")
        self.port = int(self.log.rsplit(":", 1)[1])
        return self

    def ask(self, sql: str) -> str:
        answer = requests.post(
            f"http://127.0.0.1:{self.port}/", data=sql.encode(), auth=(USER, PASSWORD), timeout=LONG_S
        )
        assert answer.ok, answer.text
        return answer.text.strip()

    def order(self, fault: str) -> None:
        (self.folder / "fault").write_text(fault)

    def had(self, fault: str) -> int:
        path = self.folder / "faults"
        return path.read_text().splitlines().count(fault) if path.exists() else 0

    def heal(self) -> None:
        (self.folder / "fault").unlink()
