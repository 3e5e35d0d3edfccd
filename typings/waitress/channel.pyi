import socket
import threading
from typing import ClassVar

from .adjustments import Adjustments
from .parser import HTTPRequestParser
from .server import BaseWSGIServer
from .task import ErrorTask, WSGITask
from .wasyncore import dispatcher

class HTTPChannel(dispatcher):
    task_class: ClassVar[type[WSGITask]]
    error_task_class: ClassVar[type[ErrorTask]]
    parser_class: ClassVar[type[HTTPRequestParser]]
    server: BaseWSGIServer
    adj: Adjustments
    request: HTTPRequestParser | None
    requests: list[HTTPRequestParser]
    total_outbufs_len: int
    requests_lock: threading.Lock
    will_close: bool
    close_when_flushed: bool

    def __init__(
        self,
        server: BaseWSGIServer,
        sock: socket.socket,
        addr: tuple[str, int],
        adj: Adjustments,
        map: dict[int, dispatcher] | None = None,
    ) -> None: ...
    def received(self, data: bytes) -> bool: ...
    def service(self) -> None: ...
    def cancel(self) -> None: ...
    def write_soon(self, data: bytes) -> int: ...
    def del_channel(self, map: dict[int, dispatcher] | None = None) -> None: ...
