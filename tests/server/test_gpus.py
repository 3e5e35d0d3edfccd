"""The `gpu` section: what is known, what isn't, and which GPU is free."""

from __future__ import annotations

import posts
import pytest

from cluster_dash_server.gpus import Gpu, condition_of, gpu_error_of, gpus_of


def test_gpus_come_by_index_and_not_by_name() -> None:
    post = {"gpu": {f"{index}_X_{index}": posts.gpu(index) for index in (10, 2, 0)}}
    assert [gpu.index for gpu in gpus_of(post)] == [0, 2, 10]


def test_the_original_error_entry_is_an_error_and_no_gpu() -> None:
    post = {"gpu": {"gpu_error": posts.GPU_ERROR}}
    assert gpus_of(post) == []
    assert gpu_error_of(post) == ("error", "NVML Shared Library Not Found")


def test_an_error_entry_is_known_by_its_id_or_by_its_name() -> None:
    for gpu_id, name in (("gpu_error", None), ("0", "error")):
        post: posts.Post = {"gpu": {gpu_id: {"name": name, "error": "no driver"}}}
        assert (gpus_of(post), gpu_error_of(post)) == ([], ("error", "no driver"))


def test_a_hung_driver_is_told_as_hung() -> None:
    assert gpu_error_of({"gpu": {"gpu_error": {**posts.GPU_ERROR, "state": "hung"}}}) == (
        "hung",
        "NVML Shared Library Not Found",
    )


def test_a_lost_gpu_has_no_values_whatever_its_entry_holds() -> None:
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, state="lost", error="GPU is lost")}})
    assert (gpu.state, gpu.error) == ("lost", "GPU is lost")
    assert (gpu.used_mib, gpu.util_percent, gpu.mem_percent, gpu.is_free) == (None, None, None, False)


def test_a_gpu_with_one_failing_call_keeps_its_other_values_and_is_not_free() -> None:
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, state="error", error="nvmlDeviceGetPowerUsage: Unknown Error")}})
    assert (gpu.used_mib, gpu.util_percent, gpu.is_free) == (400, 0, False)


@pytest.mark.parametrize(
    ("fields", "values", "words"),
    [
        ({"gpu_util": 4294967295}, (81920, 400, None), "utilisation of 4.29497e+09 %"),
        ({"gpu_util": 100.5}, (81920, 400, None), "utilisation of 100.5 %"),
        ({"used_mem": 1e15}, (81920, None, 0), "1e+15 MiB in use of 81920"),
        ({"used_mem": 81_922}, (81920, None, 0), "81922 MiB in use of 81920"),
        ({"total_mem": None, "used_mem": 1e15}, (None, None, 0), "1e+15 MiB in use"),
        ({"total_mem": 1e15}, (None, None, 0), "1e+15 MiB of memory"),
        ({"total_mem": 1e15, "gpu_util": 900}, (None, None, None), "1e+15 MiB of memory and utilisation of 900 %"),
    ],
)
def test_what_cannot_be_is_no_value_but_a_fault(
    fields: posts.Post, values: tuple[float | None, ...], words: str
) -> None:
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0) | fields}})
    assert (gpu.total_mib, gpu.used_mib, gpu.util_percent) == values
    assert (gpu.state, gpu.error) == ("error", f"it tells what can't be: {words}")
    assert not gpu.is_free
    assert not gpu.is_little_used


def test_what_is_rounded_can_be() -> None:
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, util=100, used_mib=81_920.5)}})
    assert (gpu.state, gpu.used_mib, gpu.mem_percent) == ("ok", 81_920.5, 100)


def test_a_fault_stands_beside_the_moles_own_and_a_lost_gpu_stays_lost() -> None:
    entries = {
        "a": posts.gpu(0, util=1e9, state="error", error="boom"),
        "b": posts.gpu(1, state="lost", total_mem=1e15),
    }
    first, second = gpus_of({"gpu": entries})
    assert first.error == "boom; it tells what can't be: utilisation of 1e+09 %"
    assert (second.state, second.total_mib) == ("lost", None)


def test_memory_of_an_instance_that_cannot_be_frees_nothing() -> None:
    instance = {"name": "1g.10gb", "uuid": "MIG-1", "total_mem": 9728.0}
    for used, condition in ((13.0, "free"), (1e15, "unknown")):
        (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, gpu_util=None, mig=[instance | {"used_mem": used}])}})
        assert condition_of(gpu) == condition


def on_gpu(**processes: posts.Post) -> Gpu:
    """By user, a process of each."""
    users = {user: {str(at): process} for at, (user, process) in enumerate(processes.items())}
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, used_mib=9000, users=users)}})
    return gpu


@pytest.mark.parametrize(
    ("process", "draws"),
    [
        ({"name": "Xorg", "mem": 41}, True),
        ({"name": "gnome-shell", "mem": 2000, "type": "C+G"}, True),
        ({"name": "firefox", "mem": 200, "type": "G"}, True),
        ({"name": None, "mem": None, "type": "G"}, True),
        ({"name": "renderer", "mem": 4000, "type": "G"}, False),
        ({"name": "isaac", "mem": 200, "type": "C+G"}, False),
        ({"name": "X", "mem": 200, "type": "C"}, False),
        ({"name": "python", "mem": 200}, False),
        ({"name": None, "mem": None}, False),
    ],
)
def test_who_only_draws_a_screen_holds_nothing(process: posts.Post, draws: bool) -> None:
    gpu = on_gpu(gdm=process)
    assert gpu.has_compute is not draws
    assert list(gpu.holder_mib()) == ([] if draws else ["gdm"])
    assert list(gpu.user_mib()) == ["gdm"]


def test_what_a_user_holds_is_without_the_screen_of_that_user() -> None:
    users = {"mira": {"1": {"name": "Xorg", "mem": 100}, "2": {"name": "python", "mem": 5000}}}
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, users=users)}})
    assert gpu.holder_mib() == {"mira": 5000}


def test_a_gpu_whose_memory_only_a_screen_takes_is_free() -> None:
    screen = {"name": "gnome-shell", "type": "G"}
    for mib, used, condition in ((1500, 1600, "free"), (1500, 9000, "held"), (1e15, 1600, "held")):
        users = {"gdm": {"1": {**screen, "mem": mib}}}
        (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, used_mib=used, users=users)}})
        assert condition_of(gpu) == condition


def test_a_users_memory_that_cannot_be_is_not_known() -> None:
    gpu = on_gpu(zoe={"name": "python", "mem": 1e15}, bob={"name": "python", "mem": 500})
    assert gpu.user_mib() == gpu.holder_mib() == {"zoe": None, "bob": 500}


def test_an_idle_gpu_is_free_and_zero_is_a_value() -> None:
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, util=0, used_mib=0)}})
    assert (gpu.util_percent, gpu.mem_percent, gpu.is_free) == (0, 0, True)


def test_a_gpu_that_holds_memory_or_works_is_not_free() -> None:
    for busy in (posts.gpu(0, used_mib=2000), posts.gpu(0, util=6), posts.gpu(0, total_mem=8000.0, used_mib=900)):
        (gpu,) = gpus_of({"gpu": {"a": busy}})
        assert not gpu.is_free


def test_a_gpu_of_unknown_use_is_not_free() -> None:
    for unknown in (posts.gpu(0, used_mem=None), posts.gpu(0, gpu_util=None), posts.gpu(0, total_mem=None)):
        (gpu,) = gpus_of({"gpu": {"a": unknown}})
        assert not gpu.is_free


def test_a_users_memory_is_the_sum_of_the_known_and_none_where_nothing_is_known() -> None:
    users = {
        "alice": {"1": {"mem": 100}, "2": {"mem": None}, "3": {"mem": 50.5}},
        "bob": {"4": {"mem": None, "time": None, "name": None}},
        "zero": {"5": {"mem": 0}},
    }
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, users=users)}})
    assert gpu.user_mib() == {"alice": 150.5, "bob": None, "zero": 0}


def test_a_gpu_that_only_the_pci_bus_shows_has_no_number() -> None:
    lost = {"index": None, "name": "GPU", "state": "lost", "error": "not listed by NVML"}
    first, last = gpus_of({"gpu": {"0000:03:00.0_GPU_unknown": lost, "0_X": posts.gpu(0)}})
    assert (first.number, last.number) == ("0", "?")


def test_an_entry_with_next_to_nothing_is_still_a_gpu() -> None:
    first, second = gpus_of({"gpu": {"x": {}, "y": {"name": None, "users": None}}})
    assert [first.index, second.index] == [0, 1]
    assert first.name == "unknown GPU"
    assert first.mem_percent is None
