"""Takes a request and the passcode that it sent; one that may not post is refused and told what to do."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping

from ..config import PASSCODE, PUBLISHED_PASSCODE, Access
from ..errors import Refusal

PROXY_HEADERS = {
    "HTTP_" + name.upper().replace("-", "_")
    for name in (
        *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-By", "Forwarded", "Via"),
        *("X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP"),
    )
}


class Gate:
    """Who may post: whoever knows the configured passcode; where none is, this machine with the published one."""

    def __init__(self, access: Access, default: str = PASSCODE) -> None:
        self.passcode = access.passcode or default
        self.is_published = self.passcode == PUBLISHED_PASSCODE
        self.loopback_only = self.is_published and access.passcode is None

    @property
    def warning(self) -> str | None:
        """For the log and every page."""
        if self.loopback_only:
            return (
                "No passcode is configured: posts are taken from this machine only. "
                "Set [access] passcode in the server's settings, or CLUSTER_DASH_PASSCODE, and the same in each mole."
            )
        if self.is_published:
            return "The passcode is the published one: whoever can reach this server can post. Choose another."
        return None

    def admit(self, auth_code: str, environ: Mapping[str, object]) -> None:
        """Raises Refusal(401). `environ` is the WSGI one."""
        if not hmac.compare_digest(auth_code.encode("utf-8", "replace"), self.passcode.encode()):
            raise Refusal(401, "wrong auth_code: it must be the passcode that the server is configured with")
        if self.loopback_only and not is_loopback(environ):
            raise Refusal(
                401,
                "this server has no passcode of its own and takes the published one from its own machine only: "
                "set CLUSTER_DASH_PASSCODE (or [access] passcode in its settings), and the same auth_code in the mole",
            )


def is_loopback(environ: Mapping[str, object]) -> bool:
    """Whether the request started on this machine: over loopback, for a loopback name, and passed on by no proxy.

    waitress drops X-Forwarded-* and Forwarded of a proxy that it wasn't told to trust, unless it is started with
    --no-clear-untrusted-proxy-headers. So the name counts too, which most proxies pass on, and the protocol: nginx
    passes on with HTTP/1.0 unless told otherwise. The name also shuts out a web page that had its own name point here.
    """
    if PROXY_HEADERS & environ.keys() or environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        return False
    host = str(environ.get("HTTP_HOST", ""))
    name = host[1 : host.find("]")] if host.startswith("[") else host.split(":")[0]
    return _is_loopback_address(str(environ.get("REMOTE_ADDR", ""))) and (
        name.lower() == "localhost" or _is_loopback_address(name)
    )


def _is_loopback_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
