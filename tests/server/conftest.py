"""The application, without its threads, and clients of it."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cluster_dash_server import create_app
from cluster_dash_server.config import Access, Config, Serve

NO_STREAM = Serve(held_streams=0)
"""A held stream would hold the test that asks every path."""


@pytest.fixture
def app() -> Flask:
    """No passcode configured: the published one, from loopback."""
    return create_app(Config(serve=NO_STREAM), start=False)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def guarded_client() -> FlaskClient:
    """Of a server whose passcode is `secret-canary`."""
    return create_app(Config(access=Access(passcode="secret-canary")), start=False).test_client()
