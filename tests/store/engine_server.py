"""A ClickHouse server for tests: the real engine behind ClickHouse's protocol over HTTP, as far as clickhouse-connect
speaks it, with faults on order. `python engine_server.py FOLDER PORT USER PASSWORD` keeps its tables in
FOLDER/clickhouse.

FOLDER/fault orders, while it is there, what becomes of inserts: `500`, `mute` (all is done and the connection ends
without an answer), `hang` (until the file is gone); `half` cuts the answer to a question instead. FOLDER/faults has a
line for each that was had.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame

TRANSPORT = {
    *("query", "database", "query_id", "session_id", "client_protocol_version", "enable_http_compression"),
    *("wait_end_of_query", "send_progress_in_http_headers", "http_headers_progress_interval_ms"),
}
LZ4: Any = lz4.frame  # it has no types
UNPACK: dict[str, Any] = {"": bytes, "identity": bytes, "gzip": gzip.decompress, "lz4": LZ4.decompress}
INSERT = re.compile(rb"\s*INSERT\s+INTO\s+(.+?)\s+FORMAT\s+(\w+)[ \t]*\n?", re.IGNORECASE | re.DOTALL)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


class Engine:
    """One question at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection: Any = chdb.connect(str(folder / "clickhouse"))
        self._lock = threading.Lock()

    def ask(self, asked: dict[str, str], body: bytes) -> tuple[str, bytes]:
        """The answer's format and bytes. Raises RuntimeError with ClickHouse's text."""
        sql = asked.get("query", "").encode() + (b"\n" if "query" in asked and body else b"") + body
        settings = {name: value for name, value in asked.items() if not name.startswith("param_")}
        parameters = {name[6:]: value for name, value in asked.items() if name.startswith("param_")}
        with self._lock, self._set({name: value for name, value in settings.items() if name not in TRANSPORT}):
            if insert := INSERT.match(sql):
                return "", self._insert(insert[1].decode(), insert[2].decode(), sql[insert.end() :])
            text = sql.decode()
            found = FORMAT.search(text)
            form = found[1] if found else "TabSeparated"
            return form, self._connection.query(text, form, params=parameters).bytes() or b""

    def _insert(self, into: str, form: str, data: bytes) -> bytes:
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            file.write(data)
            file.flush()
            self._connection.query(f"INSERT INTO {into} FROM INFILE '{file.name}' FORMAT {form}", "TabSeparated")
        return b""

    @contextlib.contextmanager
    def _set(self, settings: dict[str, str]) -> Generator[None]:
        for name, value in settings.items():
            self._connection.query(f"SET {name} = '{value}'")
        yield
        for name in settings:
            self._connection.query(f"SET {name} = DEFAULT")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Engine
    folder: Path
    user: str
    password: str

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        body = self._body()
        sent = self.headers.get("Authorization", "").removeprefix("Basic ")
        if base64.b64decode(sent).decode() != f"{self.user}:{self.password}":
            return self._answer(403, b"Code: 516. DB::Exception: lab: Authentication failed", {}, "516")
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        fault = self._fault(is_insert=INSERT.match(asked.get("query", "").encode() + body) is not None)
        if fault == "500":
            return self._answer(500, b"Code: 252. DB::Exception: Too many parts", {}, "252")
        try:
            form, answer = self.engine.ask(asked, UNPACK[self.headers.get("Content-Encoding", "")](body))
        except RuntimeError as error:
            found = re.search(r"Code: (\d+)", str(error))
            return self._answer(500, str(error).encode(), {}, found[1] if found else "1")
        if fault == "mute":
            self.close_connection = True
            return None
        headers = {"X-ClickHouse-Summary": json.dumps({"read_rows": "0"}), "X-ClickHouse-Timezone": "UTC"}
        headers |= {"X-ClickHouse-Format": form} if form else {}
        return self._answer(200, answer, headers, is_cut=fault == "half")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _fault(self, is_insert: bool) -> str:
        order = self.folder / "fault"
        try:
            fault = order.read_text()
        except FileNotFoundError:
            return ""
        if is_insert == (fault == "half"):
            return ""
        with (self.folder / "faults").open("a") as had:
            had.write(fault + "\n")
        while fault == "hang" and order.exists():
            time.sleep(0.05)
        return fault

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, code: str = "", is_cut: bool = False
    ) -> None:
        headers = dict(headers or {})
        if "lz4" in self.headers.get("Accept-Encoding", "") and body:
            body, headers["Content-Encoding"] = LZ4.compress(body), "lz4"
        if code:
            headers["X-ClickHouse-Exception-Code"] = code
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)
        self.close_connection = self.close_connection or is_cut

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the base has it
        """Nothing."""


def main(folder: Path, port: int, user: str, password: str) -> None:
    Handler.engine, Handler.folder, Handler.user, Handler.password = Engine(folder), folder, user, password
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    print(f"listens on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
