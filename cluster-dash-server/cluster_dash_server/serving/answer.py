"""Writes the answer to one request: an answer that is there as a whole goes out with its head, in one piece."""

from __future__ import annotations

from waitress.task import WSGITask


class Answer(WSGITask):
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
