"""A server whose clock goes as fast as a test wants: `clocked_server.py PORT FOLDER`.

FOLDER/ahead holds the seconds by which its monotonic clock is ahead; FOLDER/asked gets a line for each request of the
stream. Everything else is the server as it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cluster_dash_server import create_app
from cluster_dash_server.config import Serve, read_config
from cluster_dash_server.serving import server, sockets


def main(port: int, folder: Path) -> None:
    ahead, asked = folder / "ahead", folder / "asked"
    app = create_app(read_config(), guarded=True, monotonic=lambda: time.monotonic() + float(ahead.read_text()))

    def counted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/stream":
            with asked.open("a") as log:
                log.write(environ.get("QUERY_STRING", "") + "\n")
        return app(environ, start_response)

    listening = sockets.listen(f"127.0.0.1:{port}")
    print(sockets.address_of(listening), flush=True)
    server.Server(counted, [listening], Serve(), max_connections=200, max_body_bytes=2**20).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
