"""Takes posts, appends a row for each to a worksheet of Google Sheets, by the optional library `gspread`."""

from __future__ import annotations

import importlib
import logging
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import requests

from cluster_dash_mole.backend import Backend, DeliveryError
from cluster_dash_mole.exchange import read_retry_after

if TYPE_CHECKING:
    from cluster_dash_mole.config import GoogleSheetsLoggerSettings

log = logging.getLogger(__name__)

HOSTNAME = "!hostname"  # as worksheet_name: the worksheet has the host's name
INSTALL = "pip install 'cluster-dash-mole[sheets]'"
_TIMEOUT_S = 10.0
_QUOTA_WAIT_S = 60.0  # Google counts requests by the minute
_NEW_ROWS = 1
_NEW_COLUMNS = 26


class GoogleSheetsLogger(Backend):
    """Signs in as a service account with the first post, and again after each failure."""

    def __init__(self, settings: GoogleSheetsLoggerSettings, poll_interval_s: float) -> None:
        self._settings = settings
        self._gspread: Any = importlib.import_module("gspread")
        self._worksheets: dict[str, Any] = {}
        self.target = f"Google spreadsheet {settings.spreadsheets_id}"
        super().__init__(settings.min_interval_in_secs, poll_interval_s)

    def deliver(self, post: dict[str, Any]) -> None:
        """Append one row. Raises DeliveryError, with a wait where Google says that it was too much."""
        name = post["hostname"] if self._settings.worksheet_name == HOSTNAME else self._settings.worksheet_name
        try:
            worksheet = self._worksheets.get(name) or self._open(name)
            # From A1 on: else a row whose first cells are empty moves the later ones to the right.
            worksheet.append_row(make_row(post), value_input_option="RAW", table_range="A1")
        except self._gspread.exceptions.APIError as error:
            self._worksheets.clear()
            raise explain_api_error(error) from error
        except (self._gspread.exceptions.GSpreadException, requests.RequestException, OSError, ValueError) as error:
            self._worksheets.clear()
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
        except Exception as error:
            self._worksheets.clear()
            if not type(error).__module__.startswith("google.auth"):
                raise
            raise DeliveryError(f"Google refuses the service account: {error}") from error
        self._worksheets = {name: worksheet}

    def _open(self, name: str) -> Any:
        """The worksheet of that name, created where there is none."""
        client = self._gspread.service_account(filename=self._settings.service_account_file_path)
        client.set_timeout(_TIMEOUT_S)
        spreadsheet = client.open_by_key(self._settings.spreadsheets_id)
        try:
            return spreadsheet.worksheet(name)
        except self._gspread.exceptions.WorksheetNotFound:
            log.info("%s: creates the worksheet %s", self.target, name)
            return spreadsheet.add_worksheet(name, rows=_NEW_ROWS, cols=_NEW_COLUMNS)


def make_row(post: dict[str, Any]) -> list[Any]:
    """Time, memory used and total (GiB), CPU %, load of 15 minutes, then GPU % and GPU memory % of each GPU by its id.

    What is missing is an empty cell, so that the columns stay where they are.
    """
    memory, cpu = post.get("memory", {}), post["cpu"]
    loads = cpu.get("load_avgs") or [None] * 3
    at = datetime.fromtimestamp(post["timestamp"]).astimezone().isoformat(timespec="seconds")
    row = [at, memory.get("used_gb"), memory.get("total_gb"), cpu.get("cpu_percent"), loads[2]]
    for _, gpu in sorted(post["gpu"].items()):
        row += [gpu.get("gpu_util"), gpu.get("memory_util")]
    return row


def explain_api_error(error: Any) -> DeliveryError:
    """What Google said. After 429, its quota, it is left alone for a minute; what it calls wrong is not repeated."""
    status = error.response.status_code
    wait_s = read_retry_after(error.response.headers.get("Retry-After"), time.time())
    if status == requests.codes.too_many_requests:
        wait_s = max(wait_s, _QUOTA_WAIT_S)
    said: Any = error.error
    return DeliveryError(f"answers {status}: {said.get('message', '')}", status != requests.codes.bad_request, wait_s)
