from collections import deque
from typing import Any, Protocol

from .channel import HTTPChannel
from .parser import HTTPRequestParser

class Task:
    channel: HTTPChannel
    request: HTTPRequestParser
    status: str
    content_length: int | None
    content_bytes_written: int
    chunked_response: bool
    complete: bool
    wrote_header: bool
    response_headers: list[tuple[str, str]]

    def set_close_on_finish(self) -> None: ...
    def build_response_header(self) -> bytes: ...
    @property
    def has_body(self) -> bool: ...
    def write(self, data: bytes) -> None: ...

class WSGITask(Task):
    def get_environment(self) -> dict[str, Any]: ...

class ErrorTask(Task):
    def execute(self) -> None: ...

class Queued(Protocol):
    def service(self) -> None: ...
    def cancel(self) -> None: ...

class ThreadedTaskDispatcher:
    queue: deque[Queued]

    def set_thread_count(self, count: int) -> None: ...
    def add_task(self, task: Queued) -> None: ...
    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool: ...
