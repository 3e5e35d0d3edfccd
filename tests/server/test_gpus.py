"""The `gpu` section: what is known, what isn't, and which GPU is free."""

from __future__ import annotations

import posts

from cluster_dash_server.gpus import gpu_error_of, gpus_of


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


def test_a_share_beyond_100_means_nothing() -> None:
    (gpu,) = gpus_of({"gpu": {"a": posts.gpu(0, util=4294967295)}})
    assert (gpu.util_percent, gpu.used_mib, gpu.is_free) == (None, 400, False)


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
