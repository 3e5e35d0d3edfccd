"""A host sleeps for an hour, as a workstation does: a real mole and a real server, of both of which the clocks do what
they do then (clock_standin.c). The hour is one gap that says so, and all else goes on as if it hadn't been.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from clock_standin import HOUR_S, ClockStandin
from nvml_standin import GIB, Gpu, NvmlStandin, compile_standin
from processes import LONG_S, ROOT, SERVE, Program, Server, until

pytestmark = pytest.mark.slow

MOLE = [sys.executable, str(ROOT / "cluster-dash-mole" / "smart_startup.py")]
HOSTNAME = os.uname().nodename
NEAR_S = 600.0
"""More than any machine takes for what the test does between two looks, and much less than the sleep."""
JUST_NOW = r"\d+ s|\d min"
MINUTE_S = 60.0
MOST_PER_S = 1e12
HELD = Gpu(util=0, used=20 * GIB, processes=[("compute", os.getpid(), 19 * GIB)])


def ask(server: Server, path: str, **asked: Any) -> Any:
    answer = requests.get(server.url + path, params=asked, timeout=LONG_S)
    return answer.json() if answer.ok else {"series": [], "events": []}


def values(server: Server, metric: str) -> list[tuple[float, float]]:
    found = ask(server, "/api/series", metric=metric, host=HOSTNAME, **{"from": 0, "to": 4e9})["series"]
    return [pair for each in found for pair in zip(each["time"], each["value"], strict=True)]


def events(server: Server, kind: str) -> list[Any]:
    asked = {"host": HOSTNAME, "from": 0, "to": 4e9}
    return [each for each in ask(server, "/api/events", **asked)["events"] if each["kind"] == kind]


def told_on_page(server: Server) -> dict[str, str]:
    """How long ago each kind of event was, in the words of the host's page."""
    rows = re.findall(
        r'<tr><td>([\w ]+)</td><td class="when-ago">([^<]*)</td>', server.get(f"/host/{HOSTNAME}", "text/html").text
    )
    return dict(reversed(rows))


def check_readings(server: Server, woke_at: float) -> None:
    """Nothing is filled in, and no value is of the hour in which nobody read."""
    ups = values(server, "sys.uptime_s")
    times = [time_s for time_s, _ in ups]
    assert not [time_s for time_s in times if woke_at - HOUR_S + MINUTE_S < time_s < woke_at - MINUTE_S]
    assert [up - time_s for time_s, up in ups] == pytest.approx([ups[0][1] - times[0]] * len(ups), abs=NEAR_S)
    assert max(up for _, up in ups) - ups[0][1] > HOUR_S
    for metric in [each["name"] for each in ask(server, "/api/metrics", host=HOSTNAME)["metrics"]]:
        found = [value for _, value in values(server, metric)]
        if metric.endswith("_per_s"):
            assert all(0 <= value < MOST_PER_S for value in found), metric
        elif metric.endswith("_percent"):
            assert all(0 <= value <= 100 for value in found), metric
        elif metric == "sys.time.skew_s":
            assert all(abs(value) < NEAR_S for value in found)


def test_an_hours_sleep_is_one_gap_and_moves_nothing(
    tmp_path: Path, clock: ClockStandin, tmp_path_factory: pytest.TempPathFactory
) -> None:
    standin = NvmlStandin(compile_standin(tmp_path_factory.mktemp("nvml")), tmp_path)
    standin.set(HELD)
    kept = {"STATE_DIRECTORY": str(tmp_path / "state"), "CLUSTER_DASH_STORE_URL": ""}
    with Server(tmp_path, kept | clock.env, command=SERVE) as server:
        settings = {
            "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.2",
            "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
            "JSON_SENDER_LOGGER_ADDRESS_IN": server.url + "/",
        }
        environ = {f"CLUSTER_DASH_MOLE_{name}": value for name, value in settings.items()}
        environ |= {"XDG_STATE_HOME": str(tmp_path)} | standin.env | clock.env
        with Program(MOLE, tmp_path / "mole.log", environ) as mole:
            until(lambda: len(values(server, "sys.uptime_s")) > 5)
            clock.sleep(HOUR_S)
            woke_at = clock.now()
            until(lambda: values(server, "sys.uptime_s")[-1][0] > woke_at)
            standin.set(HELD, faults=("gpu 0 fail * 15",))
            until(lambda: "GPU lost" in told_on_page(server))
            ago = told_on_page(server)
            assert all(re.fullmatch(JUST_NOW, ago[kind]) for kind in ("sleep", "GPU lost")), ago
            until(lambda: events(server, "host sleep"))
            assert mole.end()[0] == 0
            assert "Traceback" not in mole.log + server.log
        check_readings(server, woke_at)
        [slept] = events(server, "host sleep")
        assert (slept["host"], slept["time"]) == (HOSTNAME, pytest.approx(woke_at, abs=NEAR_S))
        assert slept["time"] - slept["data"]["off_since"] == pytest.approx(HOUR_S, abs=1)
        assert not events(server, "mole start") + events(server, "host boot")
        assert len(events(server, "server start")) == 1
        notes = [note["kind"] for note in ask(server, "/api/hosts")["hosts"][0]["notes"]]
        assert "clock" not in notes
