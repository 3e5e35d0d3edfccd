"""Rows in Google Sheets: the real gspread against a server that speaks the few calls that it makes."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock
from urllib.parse import unquote, urlsplit

import gspread.http_client
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2.service_account import Credentials

from cluster_dash_mole import backend, sheets, startup
from cluster_dash_mole.config import GoogleSheetsLoggerSettings, load_config
from cluster_dash_mole.identity import Identity
from cluster_dash_mole.sheets import GoogleSheetsLogger, make_row
from mole.peers import wait_until

GOOGLE = "https://sheets.googleapis.com"
BOOK = "1aB"
POST: dict[str, Any] = {
    "hostname": "molgpu02",
    "timestamp": 1682012674.18,
    "cpu": {"cpu_percent": 44.0, "load_avgs": [0.31, 0.28, 0.35], "num_cpus": 64},
    "memory": {"total_gb": 251.6, "available_gb": 240.0, "used_gb": 11.2},
    "gpu": {
        "1_NVIDIA_560b61": {"gpu_util": 7, "memory_util": 3},
        "0_NVIDIA_66667c": {"gpu_util": 98, "memory_util": None},
    },
    "mole": {"id": "x"},
}
CELLS = [11.2, 251.6, 44.0, 0.35, 98, None, 7, 3]


def describe(number: int, title: str) -> dict[str, Any]:
    return {"sheetId": number, "title": title, "gridProperties": {"rowCount": 1, "columnCount": 26}}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        google = self._google()
        sheets = [{"properties": describe(number, title)} for number, title in enumerate(google.rows)]
        self._answer({"spreadsheetId": BOOK, "properties": {"title": "cluster"}, "sheets": sheets})

    def do_POST(self) -> None:
        google, path = self._google(), unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if path == "/token":
            self._answer({"access_token": "ticket", "expires_in": 3600, "token_type": "Bearer"})
        elif self.headers["Authorization"] != "Bearer ticket":
            self._answer({"error": {"code": 401, "message": "who are you"}}, 401)
        elif path.endswith(":batchUpdate"):
            (request,) = json.loads(body)["requests"]
            title = request["addSheet"]["properties"]["title"]
            google.rows[title] = []
            self._answer({"replies": [{"addSheet": {"properties": describe(7, title)}}]})
        else:
            self._append(google, path, json.loads(body)["values"])

    def _append(self, google: Google, path: str, rows: list[list[Any]]) -> None:
        google.appends += 1
        if google.refuse_with:
            status = google.refuse_with.pop(0)
            self._answer({"error": {"code": status, "message": "Quota exceeded", "status": "X"}}, status)
            return
        title, _, cell = path.split("/values/")[1].removesuffix(":append").partition("!")
        assert cell == "A1"
        google.rows[title.strip("'")] += rows
        self._answer({"updates": {}})

    def _google(self) -> Google:
        return cast("Any", self.server).google

    def _answer(self, document: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Keep the tests' output clean."""


class _Server(ThreadingHTTPServer):
    google: Google


class Google:
    """One spreadsheet: the rows of each worksheet. `refuse_with` are statuses for the next rows."""

    def __init__(self) -> None:
        self.rows: dict[str, list[list[Any]]] = {"Sheet1": []}
        self.refuse_with: list[int] = []
        self.appends = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.google = self
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """In the place of Google's own servers, whose addresses gspread holds as constants."""
    google = Google()
    for name, value in vars(gspread.http_client).items():
        if isinstance(value, str) and value.startswith(GOOGLE):
            monkeypatch.setattr(gspread.http_client, name, value.replace(GOOGLE, google.address))
    # Beside each sign-in the library asks a further server of Google's for the regions of the account.
    lookup = "_build_regional_access_boundary_lookup_url"
    monkeypatch.setattr(Credentials, lookup, Mock(return_value=None), raising=False)
    yield google
    google.close()


@pytest.fixture
def settings(google: Google, tmp_path: Path) -> GoogleSheetsLoggerSettings:
    """With the key of a service account, as Google gives it out."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = {"type": "service_account", "client_email": "mole@lab.example", "token_uri": google.address + "/token"}
    path = tmp_path / "account.json"
    path.write_text(json.dumps({**account, "private_key": pem.decode(), "project_id": "lab"}))
    return GoogleSheetsLoggerSettings(True, 5, str(path), BOOK)


@pytest.fixture
def start(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., GoogleSheetsLogger]]:
    caplog.set_level(logging.INFO)
    started: list[GoogleSheetsLogger] = []

    def start(settings: GoogleSheetsLoggerSettings) -> GoogleSheetsLogger:
        started.append(GoogleSheetsLogger(settings, 5))
        return started[-1]

    yield start
    for logger in started:
        logger.close()


Start = Callable[..., GoogleSheetsLogger]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off that tests can wait for."""
    monkeypatch.setattr(backend, "LONGEST_BACK_OFF_S", 0.05)
    monkeypatch.setattr(sheets, "_QUOTA_WAIT_S", 0.3)


def without_time(rows: list[list[Any]]) -> list[list[Any]]:
    return [row[1:] for row in rows]


def test_a_row_is_time_memory_cpu_load_and_each_gpu_by_its_id() -> None:
    at, *cells = make_row(POST)
    assert cells == CELLS
    assert time.mktime(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")) == 1682012674


def test_a_host_of_which_little_could_be_read_keeps_its_columns() -> None:
    assert make_row({"timestamp": 0, "cpu": {}, "gpu": {}})[1:] == [None] * 4


def test_rows_go_to_the_hosts_worksheet_which_is_created_once(
    google: Google, settings: GoogleSheetsLoggerSettings, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    logger = start(settings)
    for number in range(2):
        logger.send(POST, number)
        wait_until(lambda count=number + 1: google.appends == count)
    wait_until(lambda: without_time(google.rows["molgpu02"]) == [CELLS, CELLS])
    assert list(google.rows) == ["Sheet1", "molgpu02"]
    assert caplog.text.count("creates the worksheet molgpu02") == 1
    again = start(settings)
    again.send(POST, 0)
    wait_until(lambda: len(google.rows["molgpu02"]) == 3)


def test_a_worksheet_can_be_named(google: Google, settings: GoogleSheetsLoggerSettings, start: Start) -> None:
    file = settings.service_account_file_path
    start(GoogleSheetsLoggerSettings(True, 5, file, BOOK, "Sheet1")).send(POST, 0)
    wait_until(lambda: without_time(google.rows["Sheet1"]) == [CELLS])


@pytest.mark.usefixtures("soon")
def test_after_googles_quota_it_is_left_alone_for_a_while_and_the_row_comes_then(
    google: Google, settings: GoogleSheetsLoggerSettings, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    google.refuse_with = [429]
    began = time.monotonic()
    start(settings).send(POST, 0)
    wait_until(lambda: google.rows.get("molgpu02"))
    assert "answers 429: Quota exceeded" in caplog.text
    assert time.monotonic() - began > 0.25
    assert google.appends == 2


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("status", "appends"), [(400, 1), (403, 2), (500, 2), (503, 2)])
def test_what_google_calls_wrong_is_not_repeated_and_the_rest_is(
    google: Google,
    settings: GoogleSheetsLoggerSettings,
    start: Start,
    caplog: pytest.LogCaptureFixture,
    status: int,
    appends: int,
) -> None:
    google.refuse_with = [status]
    logger = start(settings)
    logger.send(POST, 0)
    wait_until(lambda: f"answers {status}: Quota exceeded" in caplog.text)
    wait_until(lambda: google.appends == appends)
    wait_until(lambda: not logger._busy)  # pyright: ignore[reportPrivateUsage]
    logger.send(POST, 5)
    wait_until(lambda: "works again" in caplog.text)
    wait_until(lambda: len(google.rows["molgpu02"]) == appends)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file or directory"), ("{", "JSONDecodeError"), ('{"type": "service_account"}', "MalformedError")],
)
def test_a_key_file_that_is_no_good_is_told_and_stops_nothing(
    google: Google, start: Start, caplog: pytest.LogCaptureFixture, tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    start(GoogleSheetsLoggerSettings(True, 5, str(path), BOOK)).send(POST, 0)
    wait_until(lambda: words in caplog.text)
    assert "Traceback" not in caplog.text


def test_without_its_library_the_mole_goes_on_and_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gspread", None)
    off = {"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_USE": "no", "CLUSTER_DASH_MOLE_GOOGLE_SHEETS_LOGGER_USE": "yes"}
    assert startup.build_backends(load_config(None, off), tmp_path, Identity("id", "boot.1")) == []
    assert "gspread is not installed: pip install 'cluster-dash-mole[sheets]'" in caplog.text
