"""What all answers share: navigation, compression, how JSON is written, how assets are named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response, request, send_from_directory, url_for
from flask.json.provider import JSONProvider
from flask_compress import Compress  # pyright: ignore[reportUnknownVariableType]

from ..headers import CSP, PLOTLY_POLICY
from . import states, wording
from .assets import Plotly
from .login import is_signed_in, may_look

NAVIGATION = (
    ("Fleet", "status.fleet"),
    ("GPUs", "charts.gpu_data"),
    ("CPU", "charts.cpu_data"),
    ("Memory", "charts.memory"),
    ("Disk", "charts.root_drive"),
    ("Load", "charts.load_data_1"),
    ("History", "charts.history"),
)

compress = Compress()
UNGUARDED = (
    "This server runs without the limits of “cluster-dash-server serve”: a few slow or many open connections stop it."
)
SCRIPTS = "scripts/"
FOR_GOOD = "public, max-age=31536000, immutable"


class OrjsonProvider(JSONProvider):
    """Keys sorted and a newline at the end, as Flask's own; a NaN becomes null."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return self._encode(obj).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(self._encode(self._prepare_response_obj(args, kwargs)), mimetype="application/json")

    @staticmethod
    def _encode(obj: Any) -> bytes:
        return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def register(app: Flask, warnings: Callable[[], list[str]], plotly: Plotly, guarded: bool) -> None:
    app.json = OrjsonProvider(app)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    jinja_filters: dict[str, Any] = app.jinja_env.filters
    jinja_filters.update(
        percent=wording.percent,
        mib_as_gib=wording.mib_as_gib,
        instance_name=wording.instance_name,
        number=wording.number,
        rate=wording.rate,
        size=wording.size,
        duration=wording.duration,
        when=wording.when,
        whole=wording.whole,
        printable=wording.printable,
    )
    asset_hashes = _hash_assets(Path(app.static_folder or ""))

    scripts_hash = hashlib.sha256(repr(asset_hashes).encode()).hexdigest()[:12]

    def asset(name: str) -> str:
        """A script's folder carries the hash, as modules import each other by their place in it."""
        if name.startswith(SCRIPTS):
            return url_for("script", version=scripts_hash, name=name.removeprefix(SCRIPTS))
        return url_for("static", filename=name, v=asset_hashes[name])

    def modules(folder: str) -> list[str]:
        """Addresses of a folder's scripts, so that a browser fetches all at once."""
        return [asset(name) for name in sorted(asset_hashes) if name.startswith(f"{SCRIPTS}{folder}/")]

    @app.get("/scripts/<version>/<path:name>")
    def script(version: str, name: str) -> Response:
        response = send_from_directory(Path(app.static_folder or "") / SCRIPTS, name)
        if version == scripts_hash:
            response.headers["Cache-Control"] = FOR_GOOD
        return response

    jinja_globals: dict[str, Any] = app.jinja_env.globals
    jinja_globals.update(
        asset=asset,
        modules=modules,
        navigation=NAVIGATION,
        warnings=warnings,
        may_look=may_look,
        is_signed_in=is_signed_in,
        unguarded=None if guarded else UNGUARDED,
        plotly_url=plotly.url,
        missing=wording.MISSING,
        host_words=states.HOST_WORDS,
        gpu_words=states.GPU_WORDS,
        part_words=states.PART_WORDS,
    )
    app.config["COMPRESS_REGISTER"] = False  # _finish_page calls it
    app.config["COMPRESS_MIMETYPES"] = [
        "text/html",
        "text/css",
        "text/javascript",
        "text/plain",
        "text/csv",
        "application/json",
    ]
    compress.init_app(app)
    app.after_request(_finish_page)


def _hash_assets(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in files}


def _finish_page(response: Response) -> Response:
    """Of GET and HEAD: what a POST answers is short and the same for every sender."""
    if request.method in ("GET", "HEAD"):
        if request.blueprint == "charts":
            response.headers[CSP] = PLOTLY_POLICY
        if request.endpoint == "static" and "v" in request.args and response.status_code in (200, 304):
            response.headers["Cache-Control"] = FOR_GOOD
        compress.after_request(response)
    return response
