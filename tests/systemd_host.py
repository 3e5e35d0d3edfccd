"""A GPU host with a systemd of its own, on this machine: see boot_systemd.sh. For tests, and by hand, as root:

    .venv/bin/python tests/systemd_host.py [COMMAND ...]

boots it, installs server and mole from this checkout and runs the command there (a shell when none is given), in
/opt/cluster-dash/checkout. What setup.md tells for systemd can be tried there line by line. All of it is gone at the
end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = Path(__file__).with_name("boot_systemd.sh")
SYSTEMD = Path("/usr/lib/systemd/systemd")
AT = Path("/opt/cluster-dash")
TOOLS = ("unshare", "nsenter", "setpriv", "pivot_root", "mount", "ip", "curl", "systemctl")
BOOT_S, STEP_S = 60.0, 120.0
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
ENVIRON = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}

# As setup.md's pip lines leave it, with the libraries of the tests' environment: no network is needed. pyenv's Python
# would look for its own library where it was built, and only root may look there.
INSTALL = f"""
set -eu
echo {AT}/python/lib > /etc/ld.so.conf.d/000-here.conf
ldconfig
install_one() {{
    {AT}/python/bin/{PYTHON} -m venv --without-pip {AT}/$1
    printf '%s\\n' {AT}/libraries {AT}/checkout/cluster-dash-$1 > {AT}/$1/lib/{PYTHON}/site-packages/here.pth
    printf '%s\\n' '#!{AT}/'$1/bin/python3 "from cluster_dash_$1.cli import main" 'raise SystemExit(main())' \
        > {AT}/$1/bin/cluster-dash-$1
    chmod 755 {AT}/$1/bin/cluster-dash-$1
}}
install_one server
install_one mole
"""


class CannotBoot(Exception):
    """What this machine lacks."""


class SystemdHost:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cluster-dash-host-"))
        self._log = self.folder.with_suffix(".log")
        self._outer: subprocess.Popen[bytes] | None = None
        self._init = 0

    def start(self) -> SystemdHost:
        """Raises CannotBoot."""
        lacks = what_is_missing()
        if lacks:
            raise CannotBoot(lacks)
        words = ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "private", "sh", str(SCRIPT)]
        words += [str(self.folder), str(ROOT), sys.base_prefix, sysconfig.get_path("purelib")]
        with self._log.open("wb") as log:
            self._outer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + BOOT_S
        while not self._has_booted():
            if self._outer.poll() is not None or time.monotonic() > deadline:
                raise CannotBoot(f"no systemd starts here: {self._log.read_text('utf-8', 'replace')[-500:]}")
            time.sleep(0.1)
        self.run(INSTALL)
        return self

    def _has_booted(self) -> bool:
        assert self._outer
        self._init = self._init or find_init(self._outer.pid)
        return self._init > 0 and self._try("systemctl is-active multi-user.target").returncode == 0

    def words(self, *command: str) -> list[str]:
        """The command as it is run there, in the checkout."""
        environ = [f"{name}={value}" for name, value in ENVIRON.items()]
        entered = ["nsenter", f"--target={self._init}", "--all", "--root", "--wd", "env", "-i", *environ]
        return [*entered, "sh", "-c", f'cd {AT}/checkout && exec "$@"', "sh", *command]

    def _try(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words("sh", "-euc", script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_S,
            check=False,
        )

    def run(self, script: str) -> str:
        """What it printed; that is the error when a line of it fails."""
        done = self._try(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def until(self, script: str, within_s: float = 60.0) -> str:
        """What it printed once all of its lines succeeded."""
        deadline = time.monotonic() + within_s
        while (done := self._try(script)).returncode:
            assert time.monotonic() < deadline, f"{script}\n{done.stdout}"
            time.sleep(0.2)
        return done.stdout

    def close(self) -> None:
        if self._outer:
            self._outer.terminate()
            try:
                self._outer.wait(60)
            except subprocess.TimeoutExpired:
                self._outer.kill()
                self._outer.wait(60)
        self.folder.rmdir()
        self._log.unlink(missing_ok=True)

    def __enter__(self) -> SystemdHost:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


def what_is_missing() -> str:
    """Empty where nothing is."""
    if os.getuid() != 0:
        return "only root can boot a second systemd"
    tools = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"not installed: {', '.join(tools)}" if tools else "" if SYSTEMD.exists() else f"no {SYSTEMD}"


def find_init(outer: int) -> int:
    """The process below `outer` that is the first of its own namespace and is systemd by now; 0 = none yet."""
    for child in psutil.Process(outer).children(recursive=True):
        try:
            namespaced = [
                line for line in Path(f"/proc/{child.pid}/status").read_text().splitlines() if "NSpid" in line
            ]
            if child.exe() == str(SYSTEMD) and namespaced[0].split()[-1] == "1":
                return child.pid
        except (OSError, psutil.Error):
            continue
    return 0


def main(command: list[str]) -> int:
    with SystemdHost() as host:
        print(f"a host with systemd; {AT}/checkout is {ROOT}", file=sys.stderr)
        return subprocess.run(host.words(*(command or ["bash"])), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
