"""A simulated fleet: the same from the same seed, of the mole's own shape, and what its truth says is in its posts."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster_dash_mole.simulate import scenario, truth
from cluster_dash_mole.simulate.fleet import Fleet
from cluster_dash_mole.simulate.truth import GpuTruth

BEGAN_AT = 1795308000.0
LATER = BEGAN_AT + 60
ROOT = Path(__file__).parents[2]
CONTRACT: dict[str, Any] = json.loads((ROOT / "tests/contract/mole_gpus.json").read_text("utf-8"))
WITHOUT_GPU: dict[str, Any] = json.loads((ROOT / "tests/contract/mole_no_gpu.json").read_text("utf-8"))
WITHOUT_DRIVER: dict[str, Any] = json.loads((ROOT / "tests/contract/mole_no_driver.json").read_text("utf-8"))
SEED_POST: dict[str, Any] = json.loads((ROOT / "etc/example_data1.json").read_text("utf-8"))
HASH = (
    "import hashlib; from cluster_dash_mole.simulate.fleet import Fleet; f = Fleet(began_at=1795308000.0)\n"
    "print(hashlib.sha256(''.join(f.body(h, n) for h in range(len(f)) for n in range(3)).encode()).hexdigest())"
)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(began_at=BEGAN_AT)


def index_of(fleet: Fleet, condition: str) -> int:
    """The first host of which that is true a minute after the start."""
    return next(host for host in range(len(fleet)) if condition in fleet.truth(host, LATER).conditions)


def post_of(fleet: Fleet, name: str) -> dict[str, Any]:
    return fleet.post(fleet.names.index(name), LATER)


def gpus_in(fleet: Fleet, state: str, at: float = LATER) -> list[GpuTruth]:
    return [gpu for host in range(len(fleet)) for gpu in fleet.truth(host, at).gpus if gpu.state == state]


# The same again


def test_a_seed_gives_the_same_bytes_in_another_process() -> None:
    fleet = Fleet(began_at=BEGAN_AT)
    bodies = [fleet.body(host, number) for host in range(len(fleet)) for number in range(3)]
    here = hashlib.sha256("".join(bodies).encode()).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", HASH],
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == here


def test_a_post_does_not_depend_on_those_before_it() -> None:
    forwards, backwards = Fleet(began_at=BEGAN_AT), Fleet(began_at=BEGAN_AT)
    numbers = [0, 1, 2, 40, 400, 4000]
    there = [[forwards.body(host, number) for host in range(24)] for number in numbers]
    back = [[backwards.body(host, number) for host in range(24)] for number in reversed(numbers)]
    assert there == list(reversed(back))


def test_another_seed_gives_another_fleet_under_the_same_names() -> None:
    one, other = Fleet(seed=1), Fleet(seed=2)
    assert one.names == other.names
    assert one.post(0, one.began_at)["gpu"].keys().isdisjoint(other.post(0, other.began_at)["gpu"])


def test_a_fleet_that_starts_anew_is_of_the_same_machines_and_counts_its_start(fleet: Fleet) -> None:
    again = Fleet(began_at=BEGAN_AT + 3600)
    first, second = fleet.post(0, LATER), again.post(0, LATER + 3600)
    assert first["mole"]["id"] == second["mole"]["id"]
    assert first["general"]["boot_id"] == second["general"]["boot_id"]
    starts = [int(post["mole"]["epoch"].rpartition(".")[2]) for post in (first, second)]
    assert starts[0] < starts[1]


def test_numbers_and_times_go_on_without_a_gap(fleet: Fleet) -> None:
    posts = [fleet.post(3, fleet.hosts[3].facts.sent_at(number)) for number in range(4)]
    assert [post["mole"]["seq"] for post in posts] == [1, 2, 3, 4]
    assert [round(post["timestamp"] - posts[0]["timestamp"], 3) for post in posts] == [0, 5, 10, 15]
    with pytest.raises(LookupError, match="has not posted yet"):
        fleet.post(3, BEGAN_AT - 1)


# The shape


def processes_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """On one GPU."""
    users: dict[str, dict[str, dict[str, Any]]] = entry.get("users") or {}
    return [process for processes in users.values() for process in processes.values()]


def shape(value: Any) -> Any:
    """Keys and kinds of values; a list by its first entry."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [shape(value[0])] if value else []  # pyright: ignore[reportUnknownArgumentType]
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def test_a_post_has_the_sections_and_the_order_of_a_real_one(fleet: Fleet) -> None:
    post = fleet.post(fleet.names.index("h100-02"), fleet.hosts[1].facts.sent_at(1))
    real = {key: value for key, value in CONTRACT.items() if key != "auth_code"}
    assert list(post) == list(real)
    for section in ("cpu", "memory", "general", "mole"):
        assert list(post[section]) == list(real[section])
        assert shape(post[section]) == shape(real[section])
    assert shape(post["disk"]["/"]) == shape(real["disk"]["/"])
    assert [event["kind"] for event in post["events"]] == ["xid", "gpu_lost"]
    assert shape(post["events"][1]) == shape(real["events"][0])


def test_its_gpus_have_the_fields_of_real_ones(fleet: Fleet) -> None:
    real = list(CONTRACT["gpu"].values())
    post = post_of(fleet, "h100-02")
    for entry in post["gpu"].values():
        model = real[5] if entry["state"] == "lost" else real[0]
        assert list(entry) == list(model)
        assert shape({**entry, "users": 0}) == shape({**model, "users": 0})
    processes = [process for entry in post["gpu"].values() for process in processes_of(entry)]
    known = real[0]["users"]["alice"]["4101"]
    assert processes
    assert all(shape({**p, "container": ""}) == shape({**known, "container": ""}) for p in processes)
    entries = [entry for host in range(24) for entry in fleet.post(host, LATER)["gpu"].values()]
    assert any("container" in process for entry in entries for process in processes_of(entry))


def test_its_metrics_are_those_of_a_real_host(fleet: Fleet) -> None:
    post = post_of(fleet, "h100-01")
    ours, real = post["metrics"], CONTRACT["metrics"]
    assert set(real) - set(ours) == {"sys.mem_hugepages_bytes", "sys.mem_hugepages_free_bytes"}
    assert set(ours) - set(real) == {"sys.time.skew_s"}
    for name in set(ours) & set(real):
        assert list(ours[name]) == list(real[name])
        assert ours[name]["unit"] == real[name]["unit"]
        assert type(ours[name]["value"][0]) in (int, float)
        assert len({len(column) for key, column in ours[name].items() if key != "unit"}) == 1
    assert len(ours["sys.cpu.core_percent"]["value"]) == post["cpu"]["num_cpus"]


def test_help_goes_with_the_first_post_and_every_ten_minutes(fleet: Fleet) -> None:
    with_help = [
        number for number in range(250) if "help" in json.loads(fleet.body(0, number))["metrics"]["sys.uptime_s"]
    ]
    assert with_help == [0, 120, 240]


def test_what_a_model_lacks_is_absent(fleet: Fleet) -> None:
    with_fan, with_links = post_of(fleet, "rtx-01")["metrics"], post_of(fleet, "h100-01")["metrics"]
    assert "sys.gpu.fan_percent" in with_fan
    assert not {"sys.gpu.ecc_corrected", "sys.gpu.nvlink_active", "sys.gpu.mig_mode"} & set(with_fan)
    assert "sys.gpu.fan_percent" not in with_links
    of_hopper = {"sys.gpu.tensor_active_percent", "sys.gpu.mem_temperature_c", "sys.gpu.temperature_slowdown_c"}
    assert of_hopper <= set(with_links)
    assert not of_hopper & {*with_fan, *post_of(fleet, "a100-01")["metrics"]}


# The scenario


def test_the_demo_has_24_hosts_and_every_trouble(fleet: Fleet) -> None:
    assert len(fleet) == scenario.DEMO_HOSTS == 24
    assert sum(len(fleet.truth(host, LATER).gpus) for host in range(24)) == 158
    conditions = [condition for host in range(24) for condition in fleet.truth(host, LATER).conditions]
    assert set(conditions) == set(scenario.CONDITIONS)
    assert {c: conditions.count(c) for c in scenario.CONDITIONS if c != scenario.UP} == dict.fromkeys(
        scenario.CONDITIONS[1:], 1
    )
    assert all(gpus_in(fleet, state) for state in truth.GPU_STATES)
    assert len({gpu.model for host in range(24) for gpu in fleet.truth(host, LATER).gpus}) == 7
    assert max(map(len, fleet.names)) > 60


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("minutes", [1, 20, 90])
def test_each_state_is_there_at_any_time_whatever_the_seed(seed: int, minutes: int) -> None:
    fleet = Fleet(seed=seed, began_at=BEGAN_AT)
    at = BEGAN_AT + 60 * minutes
    assert all(gpus_in(fleet, state, at) for state in truth.GPU_STATES)
    long_idle = [gpu for gpu in gpus_in(fleet, truth.HELD_IDLE, at) if gpu.since is not None and at - gpu.since > 600]
    assert long_idle


def test_a_host_that_is_down_posts_no_more(fleet: Fleet) -> None:
    host = index_of(fleet, scenario.DOWN)
    assert fleet.truth(host, BEGAN_AT + 9).conditions == {scenario.UP}
    assert fleet.truth(host, LATER).conditions == {scenario.DOWN}
    told = fleet.truth(host, LATER)
    assert fleet.post(host, LATER)["mole"]["seq"] == 2
    assert told.posted_at == pytest.approx(fleet.post(host, LATER)["timestamp"], abs=0.001)


def test_a_driver_that_hangs_hides_its_gpus(fleet: Fleet) -> None:
    host = index_of(fleet, scenario.DRIVER_HUNG)
    assert len(fleet.post(host, BEGAN_AT + 4)["gpu"]) == 8
    post = fleet.post(host, LATER)
    assert list(post["gpu"]) == ["gpu_error"]
    assert shape(post["gpu"]) == shape(WITHOUT_DRIVER["gpu"])
    assert post["gpu"]["gpu_error"]["state"] == "hung"
    assert post["mole"]["errors"]["nvml"] == post["gpu"]["gpu_error"]["error"]
    assert not [name for name in post["metrics"] if name.startswith("sys.gpu.")]
    assert {gpu.state for gpu in fleet.truth(host, LATER).gpus} == {truth.HUNG}


def test_a_lost_gpu_keeps_its_name_and_loses_its_values(fleet: Fleet) -> None:
    (lost,) = gpus_in(fleet, truth.LOST)
    entry = post_of(fleet, "h100-02")["gpu"][lost.id]
    assert (entry["state"], entry["used_mem"], entry["users"], lost.used_mib) == ("lost", None, None, None)
    assert lost.index not in post_of(fleet, "h100-02")["metrics"]["sys.gpu.power_w"]["device"]


def test_the_others_troubles_are_in_their_posts(fleet: Fleet) -> None:
    posts = {name: fleet.post(index_of(fleet, name), LATER) for name in scenario.CONDITIONS}
    full = posts[scenario.DISK_FULL]["disk"]["/data"]
    assert 97 < full["percent_used"] < 100
    stale = posts[scenario.NFS_DEAD]["disk"]["/home"]
    assert (stale["total_gb"], stale["percent_used"]) == (None, None)
    assert stale["stale_since"] < BEGAN_AT
    assert "no answer since" in posts[scenario.NFS_DEAD]["mole"]["errors"]["disk /home"]
    assert "reboot pending" in posts[scenario.REBOOT_PENDING]["mole"]["errors"]["driver"]
    assert shape(posts[scenario.NO_GPU]["gpu"]) == shape(WITHOUT_GPU["gpu"]) == {}
    wrong = fleet.truth(index_of(fleet, scenario.CLOCK_WRONG), LATER)
    assert wrong.posted_at is not None
    ahead = posts[scenario.CLOCK_WRONG]["timestamp"] - wrong.posted_at
    assert ahead == pytest.approx(wrong.clock_ahead_s, abs=0.001)
    assert ahead > 3600


def test_the_old_mole_sends_the_seeds_format(fleet: Fleet) -> None:
    post = fleet.post(index_of(fleet, scenario.SEED_FORMAT), LATER)
    assert set(post) == set(SEED_POST) - {"auth_code"}
    for section in ("general", "cpu", "memory"):
        assert set(post[section]) == set(SEED_POST[section])
    assert all(key == disk["device"] for key, disk in post["disk"].items())
    known = next(iter(SEED_POST["gpu"].values()))
    assert all(set(entry) == set(known) for entry in post["gpu"].values())


def test_a_split_gpu_has_instances_and_no_utilisation(fleet: Fleet) -> None:
    split = gpus_in(fleet, truth.MIG)[0]
    post = post_of(fleet, "a100-01")
    entry = post["gpu"][split.id]
    assert (entry["gpu_util"], split.util_percent) == (None, None)
    pids = {int(pid) for user in entry["users"].values() for pid in user}
    assert {pid for instance in entry["mig"] for pid in instance["pids"]} == pids
    assert sum(i["total_mem"] for i in entry["mig"]) <= entry["total_mem"]
    assert post["metrics"]["sys.gpu.mig_mode"]["value"][split.index] == 1
    assert split.index not in post["metrics"]["sys.gpu.util_max_percent"]["device"]
    assert split.index not in post["metrics"].get("sys.gpu.tensor_active_percent", {"device": []})["device"]


def test_a_hot_gpu_is_slowed_down_beside_its_siblings(fleet: Fleet) -> None:
    siblings = fleet.truth(fleet.names.index("a100-02"), LATER).gpus[4:]
    assert [bool((gpu.throttle or 0) & 0x20) for gpu in siblings] == [False, False, True, False]
    assert max(siblings, key=lambda gpu: gpu.temperature_c or 0).index == 6
    assert min(siblings, key=lambda gpu: gpu.power_w or 0).index == 6
    clocks = post_of(fleet, "a100-02")["metrics"]["sys.gpu.sm_clock_mhz"]["value"][4:]
    assert clocks.index(min(clocks)) == 2


def test_network_homes_are_one_for_all(fleet: Fleet) -> None:
    posts = [fleet.post(host, LATER) for host in range(len(fleet))]
    homes = [post["disk"]["/home"]["percent_used"] for post in posts if "/home" in post["disk"]]
    assert len({share for share in homes if share is not None}) == 1


# What is told is what is sent


@pytest.mark.parametrize("minutes", [0.5, 7, 33])
def test_the_truth_is_what_the_posts_say(fleet: Fleet, minutes: float) -> None:
    at = BEGAN_AT + 60 * minutes
    for host in range(len(fleet)):
        told, post = fleet.truth(host, at), fleet.post(host, at)
        assert told.name == post["hostname"]
        for gpu in told.gpus:
            if gpu.state != truth.HUNG:
                check_gpu(gpu, post["gpu"][gpu.id], post.get("metrics", {}))


def check_gpu(gpu: GpuTruth, entry: dict[str, Any], metrics: dict[str, Any]) -> None:
    assert (gpu.index, gpu.model, gpu.used_mib) == (entry["index"], entry["name"], entry["used_mem"])
    assert gpu.util_percent == entry["gpu_util"]
    assert sorted(gpu.users + gpu.screens) == sorted(entry["users"] or ())
    assert gpu.throttle == entry.get("throttle_reasons")
    assert gpu.power_w == of_device(metrics, "sys.gpu.power_w", gpu.index)
    assert gpu.temperature_c == of_device(metrics, "sys.gpu.temperature_c", gpu.index)
    check_state(gpu)
    check_activity(gpu, [of_device(metrics, f"sys.gpu.{part}_active_percent", gpu.index) for part in ("sm", "tensor")])


def check_activity(gpu: GpuTruth, told: list[float | None]) -> None:
    """A GPU that nothing works on shows so, whatever its utilisation."""
    sm, tensor = told
    if sm is None or tensor is None:
        assert (sm, tensor, "H100" in gpu.model and gpu.state not in (truth.LOST, truth.MIG)) == (None, None, False)
    elif gpu.state in (truth.FREE, truth.HELD_IDLE):
        assert (sm, tensor) == (0, 0)
    elif gpu.state == truth.SPINNING:
        assert (sm < 3, tensor < 1) == (True, True)
    else:
        assert 0 <= tensor <= sm <= (gpu.util_percent or 0)


def check_state(gpu: GpuTruth) -> None:
    """By the words of users.md: free, held idle and a hang are what the values say."""
    if gpu.state in (truth.LOST, truth.MIG):
        return
    assert gpu.used_mib is not None
    assert gpu.total_mib is not None
    assert gpu.util_percent is not None
    share = 100 * gpu.used_mib / gpu.total_mib
    if gpu.state == truth.FREE:
        assert (gpu.used_mib < 1024, share < 5, gpu.util_percent) == (True, True, 0)
    if gpu.state == truth.HELD_IDLE:
        assert (gpu.used_mib > 1024, share > 5, gpu.util_percent) == (True, True, 0)
        assert gpu.since is not None
    if gpu.state == truth.SPINNING and gpu.power_w is not None and gpu.util_percent > 50:
        assert (gpu.util_percent, gpu.power_w < 250) == (100, True)


def of_device(metrics: dict[str, Any], name: str, device: int) -> Any:
    column = metrics.get(name, {"device": [], "value": []})
    return dict(zip(column["device"], column["value"])).get(device)


def test_memory_of_the_processes_fits_in_what_is_used(fleet: Fleet) -> None:
    for host in range(len(fleet)):
        for entry in fleet.post(host, LATER)["gpu"].values():
            assert sum(process["mem"] for process in processes_of(entry)) <= (entry["used_mem"] or 0)
            assert (entry["used_mem"] or 0) <= (entry["total_mem"] or 0)


# The plain one


def test_a_plain_fleet_has_nothing_wrong_and_any_size() -> None:
    fleet = Fleet(300, seed=4, scenario="plain", gpus_per_host=2, speed=1)
    assert (len(set(fleet.names)), len(fleet)) == (300, 300)
    told = [fleet.truth(host, fleet.began_at + 100) for host in range(300)]
    assert {condition for host in told for condition in host.conditions} == {scenario.UP}
    assert {len(host.gpus) for host in told} == {2}
    assert {gpu.state for host in told for gpu in host.gpus} <= {
        truth.FREE,
        truth.IN_USE,
        truth.HELD_IDLE,
        truth.SPINNING,
    }
    bare = Fleet(3, scenario="plain", gpus_per_host=0)
    assert bare.post(1, bare.began_at + 100)["gpu"] == {}


def test_a_larger_demo_goes_on_with_plain_hosts() -> None:
    fleet = Fleet(30)
    assert fleet.names[:24] == Fleet().names
    assert len(set(fleet.names)) == 30
    assert Fleet(5).names == fleet.names[:5]
