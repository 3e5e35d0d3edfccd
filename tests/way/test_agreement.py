"""A simulated lab at rest on a real server: every place that tells of it tells the same, and what is true."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from posts import PASSCODE
from processes import Server

from cluster_dash_mole.simulate import truth
from cluster_dash_mole.simulate.fleet import Fleet
from cluster_dash_mole.simulate.truth import GpuTruth, HostTruth
from cluster_dash_server.views.wording import mib_as_gib

Json = dict[str, Any]

INTERVAL_S = 210.0
"""None of the hosts gets stale while the test reads."""
SHOWN_AS = {truth.FREE: "free", truth.LOST: "lost", truth.HUNG: "hung"}
"""All else is in use: it takes ten minutes to be held without work."""
TILES = {"free": ".", "busy": "#", "lost": "!", "hung": "!"}
MISSING = "–"


@dataclass
class Told:
    truths: list[HostTruth]
    """In the order of the hosts' names, as a person counts."""
    hosts: list[Json]
    totals: Json
    users: list[Json]
    gpus: list[Json]
    free: list[Json]
    free_text: str
    text: list[str]
    pages: dict[str, str]
    original: Json
    """`/api/dashboard-data`"""
    summary: dict[str, list[str]]
    """The original's table without its colours, by host."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """After one round of posts, and before it one in which nothing was wrong yet: a hung driver hides what was seen."""
    folder: Path = tmp_path_factory.mktemp("agreement")
    now = time.time()
    fleet = Fleet(began_at=now - 5 * INTERVAL_S, interval_s=INTERVAL_S, spread=False)
    with Server(folder) as server:
        for at in (fleet.began_at, now):
            for host in range(len(fleet)):
                server.post({**fleet.post(host, at), "auth_code": PASSCODE}).raise_for_status()
        answer = server.get("/api/hosts").json()
        names = [host["name"] for host in answer["hosts"]]
        summary = re.sub("\033\\[\\d+m", "", server.get("/api/gpu-summary").text).splitlines()[1:]
        yield Told(
            [fleet.truth(fleet.names.index(name), now) for name in names],
            answer["hosts"],
            answer["totals"],
            answer["users"],
            server.get("/api/gpus").json()["gpus"],
            server.get("/api/free").json()["hosts"],
            server.get("/free.txt").text,
            server.get("/").text.splitlines(),
            {name: server.get(f"/host/{name}", "text/html").text for name in names},
            server.get("/api/dashboard-data").json()["servers"],
            {line.split("\t")[0]: line.split("\t")[1:] for line in summary},
        )


def without_durations(gpu: Json) -> Json:
    return {key: value for key, value in gpu.items() if key not in ("since_s", "idle_s")}


def shown_as(gpu: GpuTruth) -> str:
    return SHOWN_AS.get(gpu.state, "busy")


def rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def gib(mib: float | None) -> float | None:
    return None if mib is None else round(mib / 1024, 1)


def test_the_json_of_hosts_tells_what_is_true_of_each_gpu(told: Told) -> None:
    assert len(told.hosts) == 24
    for host, true in zip(told.hosts, told.truths, strict=True):
        assert len(host["gpus"]) == len(true.gpus)
        for shown, gpu in zip(host["gpus"], true.gpus, strict=True):
            is_gone = gpu.state in (truth.LOST, truth.HUNG)
            assert (shown["i"], shown["is"]) == (gpu.index, shown_as(gpu))
            assert shown["util"] == rounded(gpu.util_percent)
            assert shown["mem"][0] == gib(gpu.used_mib)
            assert shown["mem"][1] == gib(gpu.total_mib) or is_gone
            assert (shown["power"] or [None])[0] == rounded(gpu.power_w)
            assert shown["temp"] == gpu.temperature_c
            assert tuple(shown["users"]) == gpu.users
            assert shown.get("model", host["model"]) == gpu.model


def test_the_json_of_gpus_is_that_of_the_hosts(told: Told) -> None:
    of_hosts = [
        {"host": host["name"], "model": host["model"], **without_durations(gpu)}
        for host in told.hosts
        for gpu in host["gpus"]
    ]
    assert list(map(without_durations, told.gpus)) == of_hosts


def test_totals_and_users_are_the_sums_of_what_is_true(told: Told) -> None:
    gpus = [(true.name, gpu) for true in told.truths for gpu in true.gpus]
    kinds = [shown_as(gpu) for _, gpu in gpus]
    assert (told.totals["gpus"], told.totals["free"]) == (len(gpus), kinds.count("free"))
    assert (told.totals["busy"], told.totals["idle"]) == (kinds.count("busy"), 0)
    assert told.totals["bad"] == kinds.count("lost") + kinds.count("hung")
    watts = sum(gpu.power_w or 0 for _, gpu in gpus)
    assert told.totals["power_w"] == pytest.approx(watts, abs=len(told.hosts))
    for user in told.users:
        own = [(host, gpu) for host, gpu in gpus if user["user"] in gpu.users]
        utils = [gpu.util_percent for _, gpu in own if gpu.util_percent is not None]
        assert (user["gpus"], user["hosts"]) == (len(own), len({host for host, _ in own}))
        assert user["util"] == (pytest.approx(sum(utils) / len(utils), abs=1) if utils else None)
    assert {user["user"] for user in told.users} == {user for _, gpu in gpus for user in gpu.users}


def test_the_text_table_tells_the_same(told: Told) -> None:
    totals = told.totals
    said = f"24 of 24 hosts up, {totals['free']} of {totals['gpus']} GPUs free, {totals['bad']} lost, hung or error"
    assert told.text[0] == said
    for line, host, true in zip(told.text[3:27], told.hosts, told.truths, strict=True):
        _, state, _, tiles, util, memory, cpu, *_ = line.split()
        kinds = [shown_as(gpu) for gpu in true.gpus]
        assert state == ("fault" if {"lost", "hung"} & set(kinds) else "up")
        assert tiles == ("".join(TILES[kind] for kind in kinds) or MISSING)
        assert cpu == f"{host['cpu']}%"
        assert_mean(util, [gpu.util_percent for gpu in true.gpus])
        assert_mean(memory, [share_of(gpu) for gpu in true.gpus])
    users = told.text[[line.split()[:2] for line in told.text].index(["USER", "GPUS"]) + 1 :]
    for line, user in zip(users, told.users, strict=False):
        if line.startswith("and "):
            break
        assert line.split()[:3] == [user["user"], str(user["gpus"]), str(user["idle"])]


def share_of(gpu: GpuTruth) -> float | None:
    if gpu.used_mib is None or not gpu.total_mib:
        return None
    return gpu.used_mib / gpu.total_mib * 100


def assert_mean(shown: str, values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    if not known:
        assert shown == MISSING
    else:
        assert float(shown.rstrip("%")) == pytest.approx(sum(known) / len(known), abs=1)


def test_each_hosts_page_tells_the_same(told: Told) -> None:
    for host, true in zip(told.hosts, told.truths, strict=True):
        page = text_of(told.pages[host["name"]])
        free = [shown_as(gpu) for gpu in true.gpus].count("free")
        assert f"GPUs free {free} of {len(true.gpus)}" in page or (not true.gpus and f"GPUs free {MISSING}" in page)
        for note in host["notes"]:
            since = r"(?: \((?:since|for) [^)]*\))?"
            assert len(re.findall(f"{re.escape(note['text'])}{since} {re.escape(note['todo'])}", page)) == 1, note
        told_of = re.findall(r'<p class="note', told.pages[host["name"]])
        assert len(told_of) == len(host["notes"]), host["notes"]
        rows = list(map(text_of, re.findall(r"<tr[^>]*>(.*?)</tr>", told.pages[host["name"]], re.DOTALL)))
        for gpu in true.gpus:
            (row,) = [row for row in rows if row.startswith(f"{gpu.index} · {gpu.model} GPU-")]
            if gpu.state in (truth.LOST, truth.HUNG):
                assert gpu.state in row
                continue
            util = MISSING if gpu.util_percent is None else f"{gpu.util_percent:.0f} %"
            assert f" {util} " in row
            assert f"{mib_as_gib(gpu.used_mib)} of " in row
            assert all(f" {user} " in row for user in gpu.users)
            assert not any(f" {user} " in row for user in gpu.screens)


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_what_is_free_is_offered_and_nothing_else(told: Told) -> None:
    whole = {host["host"]: host["free"] for host in told.free if host["gpus"][0]["mig"] is None}
    free = {true.name: [gpu for gpu in true.gpus if shown_as(gpu) == "free"] for true in told.truths}
    assert whole == {name: len(gpus) for name, gpus in free.items() if gpus}
    for offer in told.free:
        for gpu in offer["gpus"] if offer["host"] in whole and offer["gpus"][0]["mig"] is None else ():
            (true,) = [each for each in free[offer["host"]] if each.index == gpu["i"]]
            assert true.used_mib is not None
            assert true.total_mib is not None
            assert gpu["mem_free_gib"] == gib(true.total_mib - true.used_mib)
    assert f"{len(told.free)} places" in told.free_text.splitlines()[0]
    lines = [line for line in told.free_text.splitlines() if line.startswith(("ssh", "CUDA"))]
    best = told.free[:10]
    assert lines[::2] == [f"ssh {offer['host']}" for offer in best]
    assert lines[1::2] == [f"CUDA_VISIBLE_DEVICES={offer['cuda_visible_devices']}" for offer in best]


def test_the_originals_addresses_tell_the_same(told: Told) -> None:
    for true in told.truths:
        shown = told.original[true.name]
        readable = [gpu for gpu in true.gpus if gpu.state not in (truth.LOST, truth.HUNG)]
        if any(gpu.state == truth.HUNG for gpu in true.gpus):
            assert (shown["gpus"], told.summary[true.name][0]) == ([], "0")
            continue
        told_of = [gpu for gpu in shown["gpus"] if gpu["used_mem_mb"] is not None]
        assert [(gpu["index"], gpu["used_mem_mb"], gpu["gpu_util"]) for gpu in told_of] == [
            (gpu.index, rounded(gpu.used_mib), gpu.util_percent) for gpu in readable
        ]
        assert shown["summary"]["total_gpus"] == len(true.gpus) == int(told.summary[true.name][0])
        assert shown["summary"]["free_gpus"] == int(told.summary[true.name][1])
