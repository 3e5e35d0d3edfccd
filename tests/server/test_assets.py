"""Plotly.js: from the installed package, compressed once, cached for good."""

from __future__ import annotations

import gzip
from pathlib import Path

import brotli
import pytest
from flask.testing import FlaskClient

from cluster_dash_server.views.assets import Plotly, plotly_js_path


@pytest.fixture
def url(client: FlaskClient) -> str:
    page = client.get("/demo-plot").text
    return page.split('<script src="')[1].split('"')[0]


def test_plotly_js_is_the_installed_packages_own(client: FlaskClient, url: str) -> None:
    assert client.get(url).data == plotly_js_path().read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("coding", "unpack"), [("gzip", gzip.decompress), ("br", brotli.decompress)])  # pyright: ignore
def test_plotly_js_is_compressed_and_cached_for_good(
    client: FlaskClient, url: str, coding: str, unpack: object
) -> None:
    answer = client.get(url, headers={"Accept-Encoding": coding})
    assert answer.headers["Content-Encoding"] == coding
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert len(answer.data) < 1_600_000
    assert unpack(answer.data) == plotly_js_path().read_bytes()  # pyright: ignore


def test_another_content_has_another_name(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    (tmp_path / "b.js").write_text("2")
    assert Plotly(tmp_path / "a.js").url != Plotly(tmp_path / "b.js").url


def test_a_name_of_another_version_is_404(client: FlaskClient) -> None:
    assert client.get("/assets/plotly-000000000000.min.js").status_code == 404
