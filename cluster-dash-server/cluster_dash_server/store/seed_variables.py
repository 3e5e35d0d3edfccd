"""Takes the environment, gives the address of a ClickHouse server from the variables that earlier dashboards read:
CH_HOST, CH_PORT, CH_PROTOCOL, CH_DATABASE, CH_USER, CH_PASSWORD.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import quote

from .target import DATABASE, NAME

DEFAULTS = {
    "CH_HOST": "127.0.0.1",
    "CH_PORT": "8123",
    "CH_PROTOCOL": "http",
    "CH_DATABASE": DATABASE,
    "CH_USER": "default",
    "CH_PASSWORD": "",
}
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?")


def url_of(environ: Mapping[str, str]) -> str | None:
    """As `[store] url` takes it; None where none of them is set, an empty one being not set. One that is not set counts
    as in `DEFAULTS`. Raises ValueError, which names the variable and holds no secret.
    """
    given = {name: environ[name] for name in DEFAULTS if environ.get(name)}
    if not given:
        return None
    for name, value in given.items():
        if not value.isprintable():
            raise ValueError(f"{name} must be printable text in UTF-8")
    values = DEFAULTS | given
    host, port, protocol, database = (values[f"CH_{name}"] for name in ("HOST", "PORT", "PROTOCOL", "DATABASE"))
    if protocol not in ("http", "https"):
        raise ValueError(f"CH_PROTOCOL = {protocol!r}: must be http or https")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 2**16):
        raise ValueError(f"CH_PORT = {port!r}: must be a port between 1 and 65535, ClickHouse's for HTTP")
    if not NAME.fullmatch(database):
        raise ValueError(f"CH_DATABASE = {database!r}: must be letters, digits and _, no digit first")
    user = f"{quote(values['CH_USER'], safe='')}:{quote(values['CH_PASSWORD'], safe='')}"
    return f"{protocol}://{user}@{_in_url(host)}:{port}/{database}"


def _in_url(host: str) -> str:
    if _HOST.fullmatch(host):
        return host
    try:
        return f"[{ipaddress.IPv6Address(host.strip('[]'))}]"
    except ValueError:
        shown = "***" if "@" in host else repr(host)  # a password may stand before it
        raise ValueError(f"CH_HOST = {shown}: must be a name or an address alone, without http:// and port") from None
