"""Takes Plotly.js from the installed `plotly` package, gives it compressed, named by its content."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import threading
from functools import cache
from pathlib import Path

import brotli
from flask import Blueprint, Response, request

from ..errors import Refusal


def plotly_js_path() -> Path:
    """Without importing plotly, which takes 50 ms."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package plotly is not installed")
    return Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"


def has_uplot(static: Path) -> bool:
    """Whether hatch_build.py could fetch it."""
    return all((static / name).exists() for name in ("scripts/vendor/uPlot.esm.js", "vendor/uPlot.min.css"))


def _brotli(plain: bytes) -> bytes:
    return brotli.compress(plain, quality=6)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


@cache
def _read(path: Path) -> tuple[bytes, str]:
    """The file and its SHA-256, read once in a process however many applications it makes."""
    plain = path.read_bytes()
    return plain, hashlib.sha256(plain).hexdigest()


class Plotly:
    """4.8 MB, 1.5 MB with gzip, 1.3 MB with brotli; compressed once, in the background or by who asks first.

    Browsers take brotli only over TLS or from loopback. The next qualities save 3 % and take more than twice as long.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._plain, digest = _read(path or plotly_js_path())
        self.name = f"plotly-{digest[:12]}.min.js"
        self.url = f"/assets/{self.name}"
        self._compressed: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def compress(self) -> None:
        for coding in ("gzip", "br"):
            self.content(coding)

    def content(self, coding: str | None) -> bytes:
        if coding is None:
            return self._plain
        with self._lock:
            if coding not in self._compressed:
                self._compressed[coding] = gzip.compress(self._plain, 6) if coding == "gzip" else _brotli(self._plain)
            return self._compressed[coding]


def routes(plotly: Plotly) -> Blueprint:
    blueprint = Blueprint("assets", __name__)

    @blueprint.get("/assets/<name>")
    def plotly_js(name: str) -> Response:
        if name != plotly.name:
            raise Refusal(404, f"there is no such asset; Plotly.js is at {plotly.url}")
        coding = next((coding for coding in ("br", "gzip") if request.accept_encodings[coding]), None)
        response = Response(plotly.content(coding), mimetype="text/javascript")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["Vary"] = "Accept-Encoding"
        if coding:
            response.headers["Content-Encoding"] = coding
        return response

    return blueprint
