"""A Host header that names no host is refused before it can make the application fail."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:8080", "[::1]:8080", "dash.lab.example", "Dash_1.lab.example.:443", "xn--bcher-kva.x"],
)
def test_a_name_or_address_passes(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["..", ".", "a..b", "x" * 5000, "x" * 64 + ".example", "a b", "a/b", "a:b", "[::1"])
def test_another_is_refused(client: FlaskClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json == {"success": False, "msg": "the Host header must name this server"}
