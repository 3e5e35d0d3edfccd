from .adjustments import Adjustments
from .utilities import Error

class ParsingError(Exception): ...

class HTTPRequestParser:
    completed: bool
    chunked: bool
    content_length: int
    headers_finished: bool
    error: Error | None
    headers: dict[str, str]
    command: str
    version: str
    path: str

    def __init__(self, adj: Adjustments) -> None: ...
    def parse_header(self, header_plus: bytes) -> None: ...
    def close(self) -> None: ...
