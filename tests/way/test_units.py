"""The units under a real systemd, installed by setup.md's own lines: a second one, which boots on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from processes import until
from systemd_host import ROOT, CannotBoot, SystemdHost

pytestmark = pytest.mark.slow
SETUP = (ROOT / "setup.md").read_text("utf-8")
PASSCODE = "choose-a-long-one"
UNITS = ("cluster-dash-server", "cluster-dash-mole")
MAIN_PID = "systemctl show -p MainPID --value"


@pytest.fixture(scope="module")
def host() -> Iterator[SystemdHost]:
    try:
        with SystemdHost() as booted:
            yield booted
    except CannotBoot as error:
        pytest.skip(str(error))


def lines_below(start: str) -> str:
    """The lines of setup.md that are indented, from the first ones below the paragraph that starts so."""
    found = re.search(rf"^{re.escape(start)}[\s\S]*?\n\n((?: {{4}}.*\n)+)", SETUP, re.MULTILINE)
    assert found, f"setup.md has no lines below {start!r}"
    return re.sub(r"^ {4}", "", found.group(1), flags=re.MULTILINE)


def drop_in(unit: str, lines: str) -> str:
    """What `systemctl edit` does, with the restart that it leaves to the person."""
    folder = f"/etc/systemd/system/{unit}.service.d"
    return f"mkdir -p {folder}; printf '%s' '{lines}' > {folder}/override.conf\n{again(unit)}"


def without_drop_in(unit: str) -> str:
    return f"rm -r /etc/systemd/system/{unit}.service.d\n{again(unit)}"


def again(unit: str) -> str:
    return f"systemctl daemon-reload; systemctl restart {unit}"


def posts(host: SystemdHost, words: str, port: int = 8080) -> None:
    """The fleet's table comes to show such a line."""
    host.until(f"curl -sS -m 5 http://127.0.0.1:{port}/ | grep -E '{words}'")


def journal(host: SystemdHost) -> str:
    return host.run("journalctl --no-pager -o cat -u cluster-dash-server -u cluster-dash-mole")


def test_setup_mds_lines_start_both(host: SystemdHost) -> None:
    host.run(lines_below("On the server, as root:"))
    host.run(lines_below("On each GPU host, as root, in the checkout:"))
    host.run(f"""sed -i 's/^auth_code = .*/auth_code = "{PASSCODE}"/; s/= 5\\.0/= 1.0/' /etc/cluster-dash/mole.toml""")
    host.run(lines_below("Set the address and the passcode in `/etc/cluster-dash/mole.toml`, then"))
    posts(host, "^gpu01 +up ")
    assert host.run(f"systemctl is-active {' '.join(UNITS)}").split() == ["active", "active"]
    assert "/run/credentials/cluster-dash-mole.service/mole.toml" in journal(host)
    assert host.run("stat -c '%a %U' /etc/cluster-dash/mole.toml /etc/cluster-dash/server.env") == "600 root\n" * 2


def test_neither_asks_for_what_its_sandbox_refuses(host: SystemdHost) -> None:
    """With this line a refused system call ends the program."""
    for unit in UNITS:
        host.run(drop_in(unit, "[Service]\nSystemCallErrorNumber=kill\n"))
    started = [host.run(f"{MAIN_PID} {unit}") for unit in UNITS]
    posts(host, "^gpu01 +up ")
    host.run(
        "for path in '' health gpu-data cpu-data history host/gpu01; do"
        " curl -sS -m 60 --retry 60 --retry-delay 1 -f -o /dev/null -H 'Accept: text/html' http://127.0.0.1:8080/$path;"
        " done"
    )
    host.run("hostname gpu02")
    posts(host, "^gpu02 +up ")
    host.run("hostname gpu01")
    assert [host.run(f"{MAIN_PID} {unit}") for unit in UNITS] == started
    for unit in UNITS:
        host.run(without_drop_in(unit))
    assert "Traceback (most" not in journal(host)  # the engine tells of its own, where it finds no cgroup


def test_each_is_started_again_and_keeps_its_folder(host: SystemdHost) -> None:
    folders = "/var/lib/private/cluster-dash /var/lib/private/cluster-dash-mole"
    before = json.loads(host.until("cat /var/lib/cluster-dash-mole/mole.json"))
    for unit in UNITS:
        killed = host.run(f"{MAIN_PID} {unit}").strip()
        host.run(f"kill -KILL {killed}")
        host.until(f"test $({MAIN_PID} {unit}) != {killed}; systemctl is-active {unit}")
    posts(host, "^gpu01 +up ")

    def mole() -> dict[str, Any]:
        return json.loads(host.run("cat /var/lib/cluster-dash-mole/mole.json"))

    until(lambda: mole()["starts"] > before["starts"])
    assert mole()["id"] == before["id"]
    assert host.run(f"stat -c '%a %U' {folders}").split() == ["700", UNITS[0], "700", UNITS[1]]
    host.run(
        f"pid=$({MAIN_PID} {UNITS[0]})\n"
        "nsenter -t $pid -m setpriv --reuid $(stat -c %u /proc/$pid) --clear-groups --inh-caps=-all --bounding-set=-all"
        " sh -c 'echo kept > /var/lib/cluster-dash/probe && ! touch /opt/cluster-dash/probe 2>/dev/null'"
    )
    host.run(f"systemctl restart {UNITS[0]}; test $(cat /var/lib/cluster-dash/probe) = kept")


def test_a_silent_server_is_ended_with_word_of_its_threads(host: SystemdHost) -> None:
    host.run(drop_in(UNITS[0], "[Service]\nWatchdogSec=6\n"))
    silent = host.run(f"{MAIN_PID} {UNITS[0]}").strip()
    host.run("sleep 7")
    assert host.run(f"{MAIN_PID} {UNITS[0]}").strip() == silent
    host.run(f"kill -STOP {silent}")
    host.until(f"test $({MAIN_PID} {UNITS[0]}) != {silent}; systemctl is-active {UNITS[0]}")
    host.run(without_drop_in(UNITS[0]))
    assert "Watchdog timeout" in journal(host)
    assert "serving/loop.py" in journal(host)


def test_a_low_port_needs_what_setup_md_says(host: SystemdHost) -> None:
    listen = "Environment=CLUSTER_DASH_SERVE_LISTEN=*:80\n"
    host.run(drop_in(UNITS[0], f"[Service]\n{listen}") + " && exit 1 || true")
    assert "can't listen on *:80: permission denied; a port below 1024 needs" in journal(host)
    host.run(drop_in(UNITS[0], lines_below("For a port below 1024") + listen))
    host.run("curl -sS -m 60 -f http://127.0.0.1/health")
    host.run(without_drop_in(UNITS[0]))


def test_without_any_file_their_defaults_hold(host: SystemdHost) -> None:
    host.run(f"mv /etc/cluster-dash /etc/aside; systemctl restart {' '.join(UNITS)}")
    posts(host, "^No passcode is configured")
    posts(host, "^gpu01 +up ")
    host.run(f"mv /etc/aside /etc/cluster-dash; systemctl restart {' '.join(UNITS)}")


def test_the_servers_own_file_can_be_roots_alone(host: SystemdHost) -> None:
    host.run("umask 077; echo '[serve]\nlisten = [\"127.0.0.1:8099\"]' > /etc/cluster-dash/server.toml")
    host.run(
        f"systemctl restart {UNITS[0]}; curl -sS -m 60 -f http://127.0.0.1:8099/health\n"
        "rm /etc/cluster-dash/server.toml"
    )
    host.run(f"systemctl restart {UNITS[0]}")


def test_both_end_at_once_and_in_order(host: SystemdHost) -> None:
    host.run(f"timeout 60 systemctl stop {' '.join(UNITS)}")
    for unit in UNITS:
        assert host.run(f"systemctl show -p Result,ExecMainStatus --value {unit}").split() == ["success", "0"]


def test_setup_mds_lines_remove_a_mole(host: SystemdHost) -> None:
    host.run(lines_below("Removal of a mole:"))
    left = host.run(
        "find /etc /opt/cluster-dash/mole /var/lib -name '*mole*' -path '*cluster-dash*' 2>/dev/null || true"
    )
    assert left == ""
