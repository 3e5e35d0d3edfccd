import socket
from typing import Any, ClassVar

from .adjustments import Adjustments
from .channel import HTTPChannel
from .task import ThreadedTaskDispatcher
from .trigger import trigger
from .wasyncore import dispatcher

class BaseWSGIServer(dispatcher):
    channel_class: ClassVar[type[HTTPChannel]]
    adj: Adjustments
    task_dispatcher: ThreadedTaskDispatcher
    trigger: trigger
    _map: dict[int, dispatcher]

    def __init__(
        self,
        application: Any,
        map: dict[int, dispatcher] | None = None,
        _start: bool = True,
        _sock: socket.socket | None = None,
        dispatcher: ThreadedTaskDispatcher | None = None,
        adj: Adjustments | None = None,
        sockinfo: tuple[Any, ...] | None = None,
        bind_socket: bool = True,
    ) -> None: ...
    def maintenance(self, now: float) -> None: ...
    def pull_trigger(self) -> None: ...
    def set_socket_options(self, conn: socket.socket) -> None: ...
    def fix_addr(self, addr: tuple[Any, ...]) -> tuple[str, int]: ...

class TcpWSGIServer(BaseWSGIServer): ...
