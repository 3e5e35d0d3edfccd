"""Takes what a step or a question failed for, sets aside what of the store is damaged, and remembers what to tell."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from .damage import (
    NOT_OPENED,
    Part,
    detach,
    failed_merges,
    move_all,
    move_detached,
    move_orphans,
    part_in,
)
from .ownership import CLICKHOUSE, why_left_alone
from .refusals import AWAY
from .target import Client
from .wording import worded

log = logging.getLogger(__name__)

TRIES = 3
"""Before what ClickHouse doesn't open counts as damaged, and what it refuses as refused for good."""
MOST_NOTES = 5


class Mender:
    """Of the store in `folder`; of a server's, None, nothing is ever moved. Safe for threads."""

    def __init__(self, folder: Path | None, wall: Callable[[], float], lost: Callable[[], None]) -> None:
        """`lost` is told when a part is gone that was there at the start."""
        self._folder, self._wall, self._lost = folder, wall, lost
        self.notes: list[str] = []
        """What a person should know of since the start, the newest last."""

    def note(self, text: str) -> None:
        log.error("%s", text)
        self.notes = [*self.notes, text][-MOST_NOTES:]

    def note_once(self, text: str) -> None:
        if text not in self.notes:
            self.note(text)

    def set_part_aside(self, client: Client | None, error: Exception) -> bool:
        """Whether a question that failed may be asked again: the part that it failed for is gone."""
        part = part_in(error)
        return client is not None and part is not None and self._set_aside(client, part)

    def set_unmerged_aside(self, client: Client) -> None:
        """What merges failed for. Raises clickhouse_connect's errors."""
        failures = failed_merges(client)
        for part in failures.parts:
            self._set_aside(client, part)
        for text in failures.others:
            self.note_once(f"ClickHouse can't merge parts of the store: {worded(text)}")

    def _set_aside(self, client: Client, part: Part) -> bool:
        if self._folder is None:
            return False
        try:
            detach(client, part)
            moved = move_detached(client, self._folder, self._wall(), part)
        except AWAY as why:
            log.error("%s of the store is damaged and can't be set aside: %s", part.name, worded(why))
            return False
        self._lost()
        self._note_moved(moved)
        return True

    def set_left_out_aside(self, client: Client) -> bool:
        """Whether ClickHouse found parts at its start that weren't whole, or none of a table. Raises
        clickhouse_connect's errors, OSError.
        """
        if self._folder is None:
            return False
        moved = move_detached(client, self._folder, self._wall())
        self._note_moved(moved)
        orphans = move_orphans(client, self._folder / CLICKHOUSE, self._wall())
        if orphans:
            self.note(
                "Tables of the store are gone from ClickHouse's metadata and begin anew: what they held is set aside "
                f"as {', '.join(map(str, orphans))}."
            )
        return bool(moved or orphans)

    def set_all_aside(self, error: Exception) -> bool:
        """Whether there is a new beginning, where ClickHouse can't open what is there."""
        if self._folder is None or NOT_OPENED not in str(error):
            return False
        if why := why_left_alone(self._folder, has_engine=True):
            self.note_once(f"The store can't be opened, and nothing of it is changed: {why}.")
            return False
        try:
            aside = move_all(self._folder / CLICKHOUSE, self._wall())
        except OSError as why:
            log.error("the store is damaged and can't be set aside: %s", worded(why))
            return False
        if aside:
            self.note(f"The store could not be opened and was set aside as {aside}: history begins anew.")
        return aside is not None

    def _note_moved(self, moved: list[Path]) -> None:
        if moved:
            self.note(f"A part of the store was damaged and is set aside: {', '.join(map(str, moved))}.")
