"""Writes the answer to one request: an answer that is there as a whole goes out with its head, in one piece. The
application can ask whether somebody still waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from waitress.task import WSGITask

from ..asker import HAS_LEFT

if TYPE_CHECKING:
    from .channel import Channel


class Answer(WSGITask):
    channel: Channel  # pyright: ignore[reportIncompatibleVariableOverride]  always ours

    def get_environment(self) -> dict[str, Any]:
        environ = super().get_environment()
        environ[HAS_LEFT] = self.channel.has_left
        return environ

    def write(self, data: bytes) -> None:
        """As waitress does, which sends the head by itself: that costs a system call and often a packet."""
        is_whole = self.complete and not self.wrote_header and self.has_body and len(data) == self.content_length
        if not is_whole:
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(head + data)
