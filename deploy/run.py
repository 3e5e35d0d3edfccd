"""`make run` and `make demo`: starts the server and a mole on this host, or with `--demo` a simulated fleet instead;
prints the address once it answers, ends both on Ctrl-C.

All are the real programs, as a cluster runs them; only the mole's pace (2 s) and its server's address are set here, and
for the demo the server's settings in demo.toml.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
POLL_S = 2
DEMO_SPEED = 60  # a day in 24 minutes, the week in less than 3 hours
DEMO_SETTINGS = ROOT / "deploy" / "demo.toml"
ANSWER_WITHIN_S = 30
END_WITHIN_S = 5

LOWEST_PORT, HIGHEST_PORT = 1, 65535
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Child = subprocess.Popen[bytes]


def main() -> int:
    parser = argparse.ArgumentParser(description="Start the server and a mole on this host.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--demo", action="store_true", help="a simulated fleet in place of the mole")
    asked = parser.parse_args()
    is_demo: bool = asked.demo
    port: int = asked.port
    if not LOWEST_PORT <= port <= HIGHEST_PORT:
        print(f"PORT={port} is no port: choose one from {LOWEST_PORT} to {HIGHEST_PORT}", file=sys.stderr)
        return 1
    for end in ENDINGS:
        signal.signal(end, _interrupt)
    if not _is_free(port):
        other = port + 1 if port < HIGHEST_PORT else 8080
        target = "demo" if is_demo else "run"
        print(f"Port {port} of {HOST} is taken. Choose another: make {target} PORT={other}", file=sys.stderr)
        return 1
    children: list[Child] = []
    # A lab that never was leaves nothing behind.
    folder = tempfile.TemporaryDirectory(prefix="cluster-dash-demo-") if is_demo else None
    try:
        children.append(_start_server(port, Path(folder.name) if folder else None))
        url = f"http://{HOST}:{port}/"
        if not _wait_for_answer(url + "health", children[0]):
            print("The server did not start; its output above says why.", file=sys.stderr)
            return 1
        children.append(_start_fleet(url) if is_demo else _start_mole(url, port))
        print(f"\n  cluster-dash: {url}   (Ctrl-C ends it)\n", flush=True)
        if is_demo:
            print(f"  A simulated lab, of whose week an hour goes by each minute. Try also: curl {url}\n", flush=True)
        return _watch(children)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(children)
        if folder:
            folder.cleanup()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """The first signal ends all; a second one must not leave a child behind, whenever it comes."""
    for end in ENDINGS:
        signal.signal(end, signal.SIG_IGN)
    raise KeyboardInterrupt


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _start_server(port: int, demo_folder: Path | None) -> Child:
    """With a history of its own, so that it runs beside this host's server and beside another one of these."""
    serve = [sys.executable, "-m", "cluster_dash_server", "serve", "--listen", f"{HOST}:{port}"]
    folder = demo_folder or Path(sys.prefix, f"server-{port}").absolute()
    environ = {"CLUSTER_DASH_STORE_URL": f"chdb://{folder}", **os.environ}
    return _start(serve, {**environ, "CLUSTER_DASH_CONFIG": str(DEMO_SETTINGS)} if demo_folder else environ)


def _start_fleet(url: str) -> Child:
    """Its settings are all given here, so that those of a mole on this host don't count."""
    words = ["-m", "cluster_dash_mole", "simulate", "--server", url, "--interval", "5", "--speed", str(DEMO_SPEED)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLUSTER_DASH_MOLE_")}
    environ["CLUSTER_DASH_MOLE_CONFIG"] = os.devnull
    return _start([sys.executable, *words], {**environ, **_passcode()})


def _start_mole(url: str, port: int) -> Child:
    environ = {
        "CLUSTER_DASH_MOLE_POLL_SETTINGS_POLL_INTERVAL_IN_SECS": str(POLL_S),
        "CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        "CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_ADDRESS_IN": url,
        # Its own, so that it runs beside this host's mole and beside another `make run`.
        "CLUSTER_DASH_MOLE_STATE_STATE_DIR": str(Path(sys.prefix, f"mole-{port}").absolute()),
    }
    script = ROOT / "cluster-dash-mole" / "smart_startup.py"
    return _start([sys.executable, str(script)], {**os.environ, **environ, **_passcode()})


def _passcode() -> dict[str, str]:
    """The server's own, as the sender's setting."""
    passcode = os.environ.get("CLUSTER_DASH_PASSCODE")
    return {"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_AUTH_CODE": passcode} if passcode else {}


def _start(command: list[str], environ: dict[str, str]) -> Child:
    """In a session of its own: Ctrl-C comes to this program alone, which ends its children in order."""
    return subprocess.Popen(command, env=environ, cwd=ROOT, start_new_session=True)


def _wait_for_answer(url: str, server: Child) -> bool:
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  our own address
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def _watch(children: list[Child]) -> int:
    """Until one of them ends by itself, which is a failure."""
    while True:
        for name, child in zip(("server", "sender"), children, strict=True):
            if child.poll() is not None:
                print(f"The {name} ended with exit code {child.returncode}.", file=sys.stderr)
                return 1
        time.sleep(0.5)


def _end(children: list[Child]) -> None:
    """The mole first, so that it finds its server to the last."""
    for end in ENDINGS:
        signal.signal(end, signal.SIG_IGN)
    for child in reversed(children):
        child.terminate()
        try:
            child.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


if __name__ == "__main__":
    sys.exit(main())
