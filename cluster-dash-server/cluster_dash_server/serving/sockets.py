"""Takes the addresses to listen on, gives listening sockets; and raises the limit of descriptors for them."""

from __future__ import annotations

import contextlib
import resource
import socket

RESERVE = 128
"""Descriptors for what is no connection: the log, files, the store."""
LEAST_CONNECTIONS = 8
BACKLOG = 4096
HIGHEST_PORT = 65535


class CannotListen(ValueError):
    """Says which address, why, and what would be right."""


def split_address(text: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port`, `:port` or `*:port` for all of IPv4 and IPv6. Raises CannotListen."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > HIGHEST_PORT:
        raise CannotListen(f"{text!r} is no address to listen on: write host:port, as 127.0.0.1:8080 or *:8080")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise CannotListen(f"{text!r}: an IPv6 address stands in brackets, as [::1]:8080")
    return ("" if host == "*" else host), int(port)


def listen(text: str) -> socket.socket:
    """Raises CannotListen."""
    host, port = split_address(text)
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"can't listen on {text}: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    words = (error.strerror or str(error)).lower()
    if isinstance(error, PermissionError):
        return f"{words} (ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE, or a proxy in front)"
    return f"{words}; another server may run there already: choose another port" if "in use" in words else words


def address_of(sock: socket.socket) -> str:
    """As a person types it into a browser on this machine."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def allow_descriptors(connections: int) -> int:
    """Raises the soft limit as far as needed and allowed; returns how many connections fit in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVE
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    if soft == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(LEAST_CONNECTIONS, soft - RESERVE if soft > 2 * RESERVE else soft // 2))
