"""The fleet's rows: made when somebody looks, anew of what changed, and never of what didn't."""

from __future__ import annotations

import random
from typing import Any

import orjson
import posts
import pytest
from clock_standin import wall_beside

from cluster_dash_server.config import HostNames, Live
from cluster_dash_server.live.clock import Clock
from cluster_dash_server.live.hosts import Hosts
from cluster_dash_server.points import points_of_post
from cluster_dash_server.query import glance
from cluster_dash_server.views.fleet import model
from cluster_dash_server.views.fleet.gpu import Beside, document_of, entry_of
from cluster_dash_server.views.fleet.holes import Holes, Template, part
from cluster_dash_server.views.fleet.model import RESTS_AFTER_S, Fleet, Fleets, Look


class Site:
    def __init__(self, **names: Any) -> None:
        self.mono_s = 1e5
        self.hosts = Hosts(Live(), Clock(lambda: self.mono_s, wall_beside(lambda: self.mono_s)))
        self.names = HostNames(**names)
        self.fleet = Fleet(self.hosts, self.names)

    def post(self, name: str, **sections: Any) -> None:
        post = posts.host_post(name, **sections)
        post["timestamp"] = self.hosts.clock.wall()
        self.hosts.record(post, points_of_post(post))

    def rows(self, since: int | None = None) -> dict[str, Any]:
        return rows_of(self.fleet.look(since))


def rows_of(look: Look) -> dict[str, Any]:
    return {row.name: orjson.loads(row.json.filled(look.mono_s)) for row in look.rows}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the hosts whose rows are made."""
    names: list[str] = []
    real = model.row_of

    def row_of(host: Any, *arguments: Any) -> Any:
        names.append(host.name)
        return real(host, *arguments)

    monkeypatch.setattr(model, "row_of", row_of)
    return names


def test_a_row_has_what_the_contract_says() -> None:
    site = Site(tags={"rack-3": ["gpu*"]})
    metrics = {
        "sys.gpu.power_w": {"device": [0, 1], "value": [412.4, 61.0]},
        "sys.gpu.power_limit_w": {"device": [0, 1], "value": [700, 700]},
        "sys.gpu.temperature_c": {"device": [0, 1], "value": [61, 30]},
        "sys.gpu.sm_active_percent": {"device": [0], "value": [95.5]},
        "sys.gpu.tensor_active_percent": {"device": [0], "value": [92.75]},
        "sys.gpu.dram_active_percent": {"device": [0], "value": [0]},
        "sys.net.recv_bytes_per_s": {"tags": [{"iface": "a"}, {"iface": "b"}], "value": [1e6, 5.0]},
        "sys.net.sent_bytes_per_s": {"tags": [{"iface": "a"}], "value": [7.0]},
    }
    site.post("gpu01", gpus=2, metrics=metrics)
    site.mono_s += 2.25
    before_s = site.hosts.clock.wall()
    row = site.rows()["gpu01"]
    assert row["gpus"] == [
        {
            "i": 0,
            "is": "busy",
            "util": 20,
            "mem": [40.0, 80.0],
            "power": [412, 700],
            "temp": 61,
            "throttled": [],
            "sm": 96,
            "tensor": 93,
            "dram": 0,
            "users": ["alice"],
            "since_s": 2,
        },
        {
            "i": 1,
            "is": "free",
            "util": 0,
            "mem": [0.4, 80.0],
            "power": [61, 700],
            "temp": 30,
            "throttled": [],
            "users": [],
            "since_s": 2,
            "uuid": "GPU-00000001-aaaa-bbbb-cccc-000000000000",
        },
    ]
    assert row["spark"] == [None] * 59 + [10]
    assert row["notes"] == [
        {
            "kind": "disk",
            "level": "warn",
            "text": "/data is 93 % full",
            "since_s": 2,
            "todo": "What is large: du -xh --max-depth=2 /data | sort -rh | head -20",
        }
    ]
    seen = row.pop("seen")
    assert before_s - 0.1 < seen + 2.25 < site.hosts.clock.wall() + 0.1
    del row["gpus"], row["spark"], row["notes"]
    assert row == {
        "name": "gpu01",
        "is": "up",
        "age_s": 2.2,
        "every_s": 5.0,
        "model": "NVIDIA A100 80GB",
        "tags": ["rack-3"],
        "cpu": 38,
        "cpus": 64,
        "load": 4.2,
        "mem": [96.4, 503.5],
        "net": [1000005, 7],
        "spark_of": "gpu",
        "disk": {"mount": "/data", "percent": 93, "stale": False},
    }


def test_totals_and_users_are_those_of_the_rows() -> None:
    site = Site(expected=("gpu03",))
    site.post("gpu01", gpus=4)
    site.post("gpu02", gpu={"0": posts.gpu(0, state="lost"), "1": posts.gpu(1, gpu_util=None)})
    look = site.fleet.look()
    assert look.totals == {
        "hosts": 3,
        "up": 2,
        "stale": 0,
        "offline": 0,
        "silent": 1,
        "gpus": 6,
        "busy": 2,
        "idle": 0,
        "free": 2,
        "off": 0,
        "bad": 1,
        "unknown": 1,
        "power_w": 520 + 1360,
    }
    assert look.users == [
        {"user": "alice", "gpus": 1, "mem_gib": 40.0, "util": 20, "idle": 0, "hosts": 1},
        {"user": "bob", "gpus": 1, "mem_gib": 40.0, "util": 40, "idle": 0, "hosts": 1},
    ]


def test_totals_by_addition_are_those_of_a_fresh_count() -> None:
    site = Site(expected=("h[0-9]",))
    chance = random.Random(7)
    for _ in range(300):
        name = f"h{chance.randrange(12)}"
        what = chance.random()
        if what < 0.6:
            gpus = [posts.busy_gpu(at, chance.choice("abc"), util=chance.randrange(100)) for at in range(3)]
            site.post(name, gpu={str(gpu["index"]): gpu for gpu in gpus[: chance.randrange(4)]})
        elif what < 0.8:
            site.mono_s += chance.choice((3, 20, 700))
        elif host := site.hosts.get(name):
            site.hosts.remove(host)
        look, fresh = site.fleet.look(), Fleet(site.hosts, site.names).look()
        assert (look.totals, look.users) == (fresh.totals, fresh.users)
        assert rows_of(look).keys() == rows_of(fresh).keys()


def test_a_look_after_a_version_gives_what_changed_since(made: list[str]) -> None:
    site = Site()
    for name in ("a", "b", "c"):
        site.post(name)
    first = site.fleet.look()
    assert (first.is_full, len(first.rows)) == (True, 3)
    made.clear()
    site.post("b")
    second = site.fleet.look(first.version)
    assert (second.is_full, [row.name for row in second.rows], second.gone) == (False, ["b"], [])
    assert made == ["b"]
    third = site.fleet.look(second.version)
    assert (third.rows, third.gone, third.version) == ([], [], second.version)
    assert [row.name for row in site.fleet.look(first.version).rows] == ["b"]
    assert made == ["b"]  # for both, once


def test_with_nobody_looking_no_row_is_made(made: list[str]) -> None:
    site = Site()
    for _ in range(20):
        site.post("a")
    assert made == []
    site.fleet.look()
    assert made == ["a"]


def test_what_time_alone_changes_is_told_too() -> None:
    site = Site()
    site.post("a", gpus=1)
    first = site.fleet.look()
    site.mono_s += 15
    assert site.fleet.look(first.version).rows == []
    site.mono_s += 1
    second = site.fleet.look(first.version)
    assert rows_of(second)["a"]["is"] == "stale"
    assert [gpu["is"] for gpu in rows_of(second)["a"]["gpus"]] == ["off"]
    assert (second.totals["stale"], second.totals["off"], second.totals["busy"]) == (1, 1, 0)
    site.mono_s += 585
    third = site.fleet.look(second.version)
    assert rows_of(third)["a"]["is"] == "offline"
    assert rows_of(third)["a"]["gpus"][0]["users"] == ["alice"]
    assert third.users == []


def test_idle_comes_by_time_alone_from_a_mole_that_posts_seldom() -> None:
    site = Site()
    held = {"0": posts.gpu(0, used_mib=40_960, users={"bob": {"1": {"mem": 40_960.0, "name": "python"}}})}
    site.post("a", gpu=held, mole={"interval_s": 3600.0})
    first = site.fleet.look()
    assert rows_of(first)["a"]["gpus"][0]["is"] == "busy"
    site.mono_s += 601
    gpu = rows_of(site.fleet.look(first.version))["a"]["gpus"][0]
    assert (gpu["is"], gpu["since_s"], gpu["idle_s"]) == ("idle", 1, 601)
    assert (gpu["why"], gpu["todo"]) == ("holds 40 GiB and does no work", "Ask bob whether it is still needed.")


def test_durations_go_on_in_a_row_that_is_kept(made: list[str]) -> None:
    site = Site()
    site.post("a", gpus=1)
    site.mono_s += 20
    assert site.rows()["a"]["age_s"] == 20.0
    site.mono_s += 7.5
    row = site.rows()["a"]
    assert (row["age_s"], row["gpus"][0]["since_s"]) == (27.5, 28)
    assert made == ["a"]


def test_a_removed_host_is_gone_and_an_expected_one_is_silent_again() -> None:
    site = Site(expected=("b",))
    site.post("a")
    site.post("b")
    first = site.fleet.look()
    site.mono_s += 700
    for host in site.hosts.all():
        assert site.hosts.remove(host)
    look = site.fleet.look(first.version)
    assert look.gone == ["a"]
    assert rows_of(look)["b"] == {
        "name": "b",
        "is": "silent",
        "tags": [],
        "notes": [],
        "gpus": [],
        "spark": [],
    }
    site.post("a")
    assert site.rows(look.version).keys() == {"a"}


def test_a_host_that_is_up_is_not_removed() -> None:
    site = Site()
    site.post("a")
    host = site.hosts.get("a")
    assert host is not None
    assert not site.hosts.remove(host)
    assert site.hosts.get("a") is host


def test_what_comes_while_the_rows_are_made_is_in_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    site.post("a")
    real, came = model.row_of, [False]

    def row_of(*arguments: Any) -> Any:
        row = real(*arguments)
        if not came[0]:
            came[0] = True
            site.post("a", gpus=1)  # after this row was read
            site.post("z")
        return row

    monkeypatch.setattr(model, "row_of", row_of)
    first = site.fleet.look()
    assert len(rows_of(first)["a"]["gpus"]) == 8
    after = site.rows(first.version)
    assert (len(after["a"]["gpus"]), after.keys()) == (1, {"a", "z"})


def test_a_version_that_is_forgotten_gives_everything() -> None:
    site = Site()
    site.hosts.changes._most = 2  # pyright: ignore[reportPrivateUsage]
    for name in ("a", "b", "c"):
        site.post(name)
    look = site.fleet.look(0)
    assert (look.is_full, len(look.rows)) == (True, 3)
    assert site.fleet.look(look.version + 5).is_full


def test_a_conflict_shows_at_once_and_ends_by_itself() -> None:
    site = Site()
    site.post("a")
    first = site.fleet.look()
    other = posts.host_post("a", gpu={}, general={"boot_id": "other"})
    other["mole"] |= {"id": "other", "epoch": "other.1"}
    with pytest.raises(Exception, match="another machine"):
        site.hosts.record(other, points_of_post(other))
    (note,) = [note for note in site.rows(first.version)["a"]["notes"] if note["kind"] == "conflict"]
    assert (note["level"], note["since_s"]) == ("bad", 0)
    for _ in range(130):
        site.mono_s += 5
        site.post("a")
    assert not [note for note in site.rows()["a"]["notes"] if note["kind"] == "conflict"]


def test_letters_stand_for_users_in_every_place_and_stay() -> None:
    site = Site(hide_users_in_kiosk=True)
    fleets = Fleets(site.hosts, site.names)
    held = {"0": posts.gpu(0, used_mib=40_960, users={"mira": {"1": {"mem": 40_960.0, "name": "python"}}})}
    site.post("a", gpu=held, mole={"interval_s": 3600.0})
    site.mono_s += 601
    look = fleets.shown(kiosk=True).look()
    text = orjson.dumps([look.users, rows_of(look)])
    assert b"mira" not in text
    assert look.users[0]["user"] == "A"
    site.post("a", gpu={"0": posts.busy_gpu(0, "anna"), "1": posts.busy_gpu(1, "mira")})
    users = {user["user"] for user in fleets.shown(kiosk=True).look().users}
    assert users == {"A", "B"}
    assert {user["user"] for user in fleets.shown(kiosk=False).look().users} == {"anna", "mira"}
    assert Fleets(site.hosts, HostNames()).shown(kiosk=True).look().users[0]["user"] == "anna"


def test_rows_that_nobody_looks_at_are_forgotten(made: list[str]) -> None:
    site = Site()
    site.post("a", mole={"interval_s": 86_400.0})
    version = site.fleet.look().version
    site.mono_s += RESTS_AFTER_S
    site.fleet.rest()
    site.mono_s += 1
    site.fleet.rest()
    assert site.fleet.look(version).rows == []
    assert made == ["a", "a"]


def test_both_ways_to_make_a_gpus_part_agree() -> None:
    site = Site()
    chance = random.Random(3)
    gpus = {
        str(at): posts.busy_gpu(at, chance.choice(("a%d", '"b"', "\x07\u202e")), util=chance.uniform(5, 100))
        if at % 3
        else posts.gpu(at, util=chance.uniform(0, 4.9), used_mib=chance.uniform(0, 900), name="100 %s")
        for at in range(60)
    }
    for gpu in gpus.values():
        gpu["throttle_reasons"] = chance.choice((0, 4, 0x44))
    metrics = {
        f"sys.gpu.{name}": {"device": list(range(60)), "value": [chance.uniform(-5, 800) for _ in range(60)]}
        for name in ("power_w", "power_limit_w", "temperature_c")
    }
    for name in ("tensor_active_percent", "sm_active_percent"):
        devices = chance.sample(range(60), 40)
        metrics[f"sys.gpu.{name}"] = {"device": devices, "value": [chance.uniform(0, 100) for _ in devices]}
    site.post("a", gpu=gpus, metrics=metrics)
    host = site.hosts.get("a")
    assert host is not None
    now = glance(site.hosts, host)
    beside = Beside(now.post)
    for gpu, each in zip(now.gpus, now.gpus_now, strict=True):
        plain, general = Holes(), Holes()
        text = Template(entry_of(gpu, each, gpu.name, beside, plain, ["100 %", '"']), plain).filled(2e5)
        document = document_of(gpu, each, gpu.name, beside, general, ["100 %", '"'])
        assert orjson.loads(text) == orjson.loads(Template(part(document), general).filled(2e5))


def test_a_gpus_work_is_of_who_computes_on_it_and_not_of_who_draws_the_screen() -> None:
    site = Site()
    screen = {"gdm": {"1": {"name": "Xorg", "mem": 41.0, "type": "G"}}}
    both = posts.busy_gpu(0, "mira", util=80)
    both["users"] |= screen
    site.post("a", gpu={"0": both, "1": posts.gpu(1, util=30, users=screen), "2": posts.gpu(2, users=screen)})
    first, second, third = site.rows()["a"]["gpus"]
    assert [(gpu["is"], gpu["users"]) for gpu in (first, second, third)] == [
        ("busy", ["mira"]),
        ("busy", []),
        ("free", []),
    ]
    assert second["why"] == "only a screen is drawn on it"
    assert [(user["user"], user["gpus"], user["util"]) for user in site.fleet.look().users] == [("mira", 1, 80)]


def test_users_that_are_shown_by_one_name_are_one() -> None:
    site = Site()
    users = {f"a{sign}": {str(at): {"name": "python", "mem": 1024.0}} for at, sign in enumerate("\u200b\u200c")}
    site.post("a", gpu={"0": posts.gpu(0, util=50, used_mib=2048, users=users)})
    assert [(user["user"], user["mem_gib"]) for user in site.fleet.look().users] == [("a\ufffd", 2)]


def test_what_cannot_be_is_in_no_sum_and_told_with_what_to_do() -> None:
    site = Site()
    columns = {"device": [0, 1, 2], "value": [100.0, 1e15, -5.0]}
    hot = {"device": [0, 1, 2], "value": [61, 1e9, 30]}
    users = {"zoe": {"9": {"name": "python", "mem": 1e15}}}
    gpus = {
        "0": posts.busy_gpu(0, "bob", util=80),
        "1": posts.gpu(1, used_mib=1e15, users=users, pci_bus_id="0000:17:00.0"),
        "2": posts.gpu(2, util=1e6, users=users),
    }
    site.post("a", gpu=gpus, metrics={"sys.gpu.power_w": columns, "sys.gpu.temperature_c": hot})
    row, look = site.rows()["a"], site.fleet.look()
    assert [gpu["is"] for gpu in row["gpus"]] == ["busy", "error", "error"]
    assert [gpu["mem"] for gpu in row["gpus"]] == [[40, 80], [None, 80], [0.4, 80]]
    assert [gpu["util"] for gpu in row["gpus"]] == [80, 0, None]
    assert [gpu["temp"] for gpu in row["gpus"]] == [61, None, 30]
    assert [gpu["power"][0] for gpu in row["gpus"]] == [100, None, None]
    assert look.totals["power_w"] == 100
    assert (look.totals["bad"], look.totals["free"]) == (2, 0)
    assert {user["user"]: user["mem_gib"] for user in look.users} == {"bob": 40, "zoe": None}
    told = {note["text"]: note["todo"] for note in row["notes"]}
    assert "nvidia-smi -q -i 0000:17:00.0" in told["GPU 1 error: it tells what can't be: 1e+15 MiB in use of 81920"]
    assert "nvidia-smi -q -i 2" in told["GPU 2 error: it tells what can't be: utilisation of 1e+06 %"]
    for text in ("GPU 1 tells what can't be: a power of 1e+15 W", "GPU 2 tells what can't be: a power of -5 W"):
        assert text in told
    assert "GPU 1 tells what can't be: a temperature of 1e+09 °C" in told


@pytest.mark.parametrize("value", [1e300, -1e300, 2**64 - 1, 1e15, 0, -0.0])
def test_numbers_beyond_all_sense_break_no_row(value: float) -> None:
    site = Site()
    columns = {"device": list(range(8)), "value": [value] * 8}
    names = ("power_w", "power_limit_w", "temperature_c", "tensor_active_percent")
    metrics: Any = {f"sys.gpu.{name}": columns for name in names}
    metrics |= {f"sys.net.{way}_bytes_per_s": {"value": [value, value]} for way in ("recv", "sent")}
    site.post("a", metrics=metrics)
    assert site.rows()["a"]["is"] == "up"
    assert site.fleet.look().totals["hosts"] == 1


def test_a_holes_bytes_in_a_name_are_text() -> None:
    holes = Holes()
    template = Template(part({"a": "\x00%s\x01%", "b": holes.since(5.0), "c": holes.age(5.5)}), holes)
    assert orjson.loads(template.filled(7.0)) == {"a": "\x00%s\x01%", "b": 2, "c": 1.5}
    assert orjson.loads(template.filled(0.0)) == {"a": "\x00%s\x01%", "b": 0, "c": 0.0}


def test_a_first_look_is_answered_in_portions_in_which_each_host_comes_once(made: list[str]) -> None:
    site = Site(expected=["never"])
    names = [f"gpu{number}" for number in range(10)]
    for name in reversed(names):
        site.post(name)
    looks = [site.fleet.look(None, 4)]
    while looks[-1].pending:
        looks.append(site.fleet.look(looks[-1].version, 4))
    assert [[row.name for row in look.rows] for look in looks[:1]] == [names[:4]]
    assert [sorted(row.name for row in look.rows) for look in looks] == [names[:4], names[4:8], [*names[8:], "never"]]
    assert [(look.totals["hosts"], look.pending, look.gone) for look in looks] == [(4, 7, []), (8, 3, []), (11, 0, [])]
    assert site.rows(looks[-1].version) == {}
    assert sorted(made) == names


def test_who_wants_all_gets_all_and_those_who_wait_for_the_rest_too() -> None:
    site = Site()
    for number in range(6):
        site.post(f"gpu{number}")
    first = site.fleet.look(None, 2)
    assert list(site.rows()) == [f"gpu{number}" for number in range(6)]
    rest = site.fleet.look(first.version, 2)
    assert (sorted(row.name for row in rest.rows), rest.pending) == (["gpu2", "gpu3", "gpu4", "gpu5"], 0)


def test_a_host_that_posts_or_goes_before_its_turn_is_told_right() -> None:
    site = Site()
    site.post("gpu4")
    site.mono_s += 3600
    for number in (0, 1, 2, 3, 5):
        site.post(f"gpu{number}")
    first = site.fleet.look(None, 2)
    site.post("gpu5")
    gone = site.hosts.get("gpu4")
    assert gone
    assert site.hosts.remove(gone)
    second = site.fleet.look(first.version, 2)
    assert sorted(row.name for row in second.rows) == ["gpu2", "gpu3", "gpu5"]
    assert (second.gone, second.pending) == (["gpu4"], 0)
    assert second.totals["hosts"] == 5


def test_who_comes_again_after_the_rows_were_forgotten_is_told_what_time_has_changed() -> None:
    site = Site()
    site.post("gpu0")
    site.post("gpu1")
    first = site.fleet.look()
    site.mono_s += 700
    site.fleet.rest()
    site.post("gpu1")
    shown = rows_of(site.fleet.look(first.version))
    assert {name: row["is"] for name, row in shown.items()} == {"gpu0": "offline", "gpu1": "up"}


def test_who_comes_after_minutes_in_which_nobody_looked_gets_portions_too(made: list[str]) -> None:
    site = Site()
    for number in range(6):
        site.post(f"gpu{number}")
    site.rows()
    site.mono_s += 120
    for number in range(6):
        site.post(f"gpu{number}", cpu={"cpu_percent": 77.0})
    made.clear()
    look = site.fleet.look(None, 4)
    assert {name: row["cpu"] for name, row in rows_of(look).items()} == {f"gpu{number}": 77 for number in range(4)}
    assert (look.pending, look.totals["hosts"], made) == (2, 4, ["gpu0", "gpu1", "gpu2", "gpu3"])
    rest = site.fleet.look(look.version, 4)
    assert sorted(row.name for row in rest.rows) == ["gpu4", "gpu5"]
