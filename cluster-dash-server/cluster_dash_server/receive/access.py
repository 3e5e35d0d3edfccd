"""Takes a request and the passcode or token in it, gives who sends it; one that may not post is refused."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..config import PASSCODE, PUBLISHED_PASSCODE, Access
from ..errors import Refusal
from ..live.identity import Sender
from .tokens import Tokens

log = logging.getLogger(__name__)

PROXY_HEADERS = {
    "HTTP_" + name.upper().replace("-", "_")
    for name in (
        *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-By", "Forwarded", "Via"),
        *("X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP"),
    )
}


WRONG = (
    "wrong auth_code: it must be the passcode that the server is configured with, or a token that it made for this "
    "host; either may come as the header Authorization: Bearer instead"
)
NO_PASSCODE = (
    "No passcode is configured: posts are taken from this machine only. "
    "Set [access] passcode in the server's settings, or CLUSTER_DASH_PASSCODE, and the same in each mole."
)
TELL_EVERY_S = 60.0


class Gate:
    """Who may post: a host with its token, and whoever knows the configured passcode; where none is configured, this
    machine with the published one.
    """

    def __init__(
        self,
        access: Access,
        tokens: Tokens | None = None,
        default: str = PASSCODE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        passcode = access.passcode or default
        self.is_published = passcode == PUBLISHED_PASSCODE
        self.loopback_only = self.is_published and access.passcode is None
        self._passcode = None if access.require_tokens else passcode.encode()
        self._tokens = tokens
        self._monotonic = monotonic
        self._told_at_s: dict[str, float] = {}

    def warnings(self) -> list[str]:
        """For the log and every page."""
        about_passcode = self._about_passcode()
        return [*([about_passcode] if about_passcode else []), *self.troubles()]

    def troubles(self) -> list[str]:
        """What is wrong with the token file."""
        trouble = self._tokens.trouble if self._tokens is not None else None
        return [trouble] if trouble else []

    def _about_passcode(self) -> str | None:
        has_tokens = bool(self._tokens)
        if self._passcode is None:
            return None if has_tokens else "No host has a token and the passcode is off: nobody can post."
        if self.loopback_only:
            return None if has_tokens else NO_PASSCODE
        if self.is_published:
            return "The passcode is the published one: whoever can reach this server can post. Choose another."
        return None

    def admit(self, auth_code: object, environ: Mapping[str, object]) -> Sender:
        """By the Authorization header where it is a Bearer's, else by `auth_code`. Raises Refusal(401), always the same
        but for the published passcode from elsewhere. `environ` is the WSGI one.
        """
        credential = bearer(environ)
        if credential is None and isinstance(auth_code, str):
            credential = auth_code
        address = str(environ.get("REMOTE_ADDR", ""))
        host = self._tokens.host_of(credential) if self._tokens is not None and credential else None
        if host is not None:
            return Sender(address, host)
        if not self._is_passcode(credential or ""):
            raise Refusal(401, WRONG)
        if self.loopback_only and not is_loopback(environ):
            raise Refusal(
                401,
                "this server has no passcode of its own and takes the published one from its own machine only: "
                "set CLUSTER_DASH_PASSCODE (or [access] passcode in its settings), and the same auth_code in the mole",
            )
        return Sender(address)

    def admit_removal(self, auth_code: str, host: str, environ: Mapping[str, object]) -> None:
        """Who may have a host forgotten: whoever may post under its name, and where the passcode counts for nobody a
        request from this machine. Raises Refusal(401, 403).
        """
        if self._passcode is None and not auth_code and is_loopback(environ):
            return
        sender = self.admit(auth_code, environ)
        if sender.token_host is not None and sender.token_host != host:
            raise Refusal(403, "this token is another host's: each host has its own, by the name that it posts")

    def _is_passcode(self, credential: str) -> bool:
        sent = credential.encode("utf-8", "replace")
        return self._passcode is not None and hmac.compare_digest(sent, self._passcode)

    def check_name(self, sender: Sender, post: Mapping[str, Any]) -> None:
        """A token speaks for its host only. Raises Refusal(403)."""
        name = post.get("hostname")
        if sender.token_host is None or not isinstance(name, str) or name == sender.token_host:
            return
        now_s = self._monotonic()
        if now_s - self._told_at_s.get(sender.token_host, -TELL_EVERY_S) >= TELL_EVERY_S:
            self._told_at_s[sender.token_host] = now_s  # one of each token's host: no sender makes it grow
            log.warning(
                "a post as %r came from %s with the token of %r: refused; told once a minute",
                name[:256], sender.address, sender.token_host,
            )  # fmt: skip
        raise Refusal(403, "this token is another host's: each host has its own, by the name that it posts")


def bearer(environ: Mapping[str, object]) -> str | None:
    """None where there is no Authorization header, or another's, as that of a proxy in front."""
    scheme, _, credential = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


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
