import socket
from typing import ClassVar

from .adjustments import Adjustments
from .parser import HTTPRequestParser
from .server import BaseWSGIServer
from .task import ErrorTask
from .wasyncore import dispatcher

class HTTPChannel(dispatcher):
    error_task_class: ClassVar[type[ErrorTask]]
    parser_class: ClassVar[type[HTTPRequestParser]]
    server: BaseWSGIServer
    adj: Adjustments
    request: HTTPRequestParser | None
    requests: list[HTTPRequestParser]
    total_outbufs_len: int
    will_close: bool

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
    def del_channel(self, map: dict[int, dispatcher] | None = None) -> None: ...
