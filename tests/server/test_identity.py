"""Whether a post comes from the machine that has the name: the rule as a table."""

from __future__ import annotations

import posts
import pytest

from cluster_dash_server.live.identity import Machine, Verdict, judge, machine_of, merge

STALE_S = 15.0
GPUS, OTHER_GPUS = frozenset(["GPU-1", "GPU-2"]), frozenset(["GPU-8", "GPU-9"])
FIRST = Machine("mole-1", "boot-1", GPUS, 5000.0)
BARE = Machine("mole-1", "boot-1", frozenset(), 5000.0)
"""The same without GPUs."""
BY_HAND = Machine()
"""What curl sends: nothing to know a machine by."""
OLD_MOLE = Machine(gpu_uuids=GPUS)

TABLE = [
    # what happened; known, new, seconds of silence; verdict
    ("the next post", FIRST, FIRST._replace(up_s=5005.0), 5, Verdict.SAME),
    ("a reinstalled mole, no reboot", FIRST, FIRST._replace(mole_id="mole-2"), 5, Verdict.SAME),
    ("a reinstalled system", FIRST, Machine("mole-2", "boot-2", GPUS, 60.0), 900, Verdict.SAME),
    ("a reboot", FIRST, FIRST._replace(boot_id="boot-2", up_s=40.0), 60, Verdict.SAME),
    ("a reboot without GPUs", BARE, BARE._replace(boot_id="boot-2", up_s=40.0), 60, Verdict.SAME),
    ("a reboot faster than any", BARE, BARE._replace(boot_id="boot-2", up_s=7.0), 8, Verdict.SAME),
    ("a reboot, its last post late", BARE, BARE._replace(boot_id="boot-2", up_s=9.0), 5, Verdict.SAME),
    ("a reboot after which the driver fails", FIRST, BARE._replace(boot_id="boot-2", up_s=9.0), 10, Verdict.SAME),
    ("a GPU was exchanged", FIRST, Machine("mole-1", "boot-2", frozenset(["GPU-1", "GPU-7"]), 40.0), 60, Verdict.SAME),
    ("a GPU was lost", FIRST, FIRST._replace(gpu_uuids=frozenset(["GPU-2"])), 5, Verdict.SAME),
    ("the driver hangs", FIRST, BARE, 5, Verdict.SAME),
    ("`check` on this machine", FIRST, Machine(None, "boot-1", GPUS), 5, Verdict.SAME),
    ("an old mole beside it on this machine", FIRST, OLD_MOLE, 5, Verdict.SAME),
    ("an upgrade of an old mole", OLD_MOLE, FIRST, 5, Verdict.SAME),
    ("an old mole's next post", OLD_MOLE, OLD_MOLE, 300, Verdict.SAME),
    ("curl and again curl", BY_HAND, BY_HAND, 5, Verdict.SAME),
    ("curl for a host of an old mole", OLD_MOLE, BY_HAND, 5, Verdict.SAME),
    ("old moles on two machines", OLD_MOLE, Machine(gpu_uuids=OTHER_GPUS), 5, Verdict.SAME),
    ("a second machine of the same name", FIRST, Machine("mole-2", "boot-2", OTHER_GPUS, 900.0), 5, Verdict.REFUSED),
    ("a second one, without GPUs", FIRST, Machine("mole-2", "boot-2", up_s=900.0), 5, Verdict.REFUSED),
    ("a copy of its disk", FIRST, Machine("mole-1", "boot-2", OTHER_GPUS, 900.0), 5, Verdict.REFUSED),
    ("a copy of its disk, without GPUs", BARE, BARE._replace(boot_id="boot-2", up_s=900.0), 5, Verdict.REFUSED),
    ("a copy of its disk, just started", FIRST, Machine("mole-1", "boot-2", OTHER_GPUS, 20.0), 5, Verdict.REFUSED),
    ("curl for a host that a mole reports", FIRST, BY_HAND, 5, Verdict.REFUSED),
    ("an old mole on another machine", FIRST, Machine(gpu_uuids=OTHER_GPUS), 5, Verdict.REFUSED),
    ("as silent as it may be", FIRST, Machine("mole-2", "boot-2", OTHER_GPUS, 900.0), STALE_S, Verdict.REFUSED),
    ("the machine was replaced", FIRST, Machine("mole-2", "boot-2", OTHER_GPUS, 900.0), 15.1, Verdict.REPLACES),
    ("its copy, after it has gone", FIRST, Machine("mole-1", "boot-2", OTHER_GPUS, 900.0), 16, Verdict.REPLACES),
    ("curl, after its mole has gone", FIRST, BY_HAND, 16, Verdict.REPLACES),
    ("a mole after curl", BY_HAND, FIRST, 1, Verdict.REPLACES),
    ("a mole after another machine's old mole", Machine(gpu_uuids=OTHER_GPUS), FIRST, 1, Verdict.REPLACES),
]


@pytest.mark.parametrize(("known", "new", "silent_s", "verdict"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_who_has_the_name(known: Machine, new: Machine, silent_s: float, verdict: Verdict) -> None:
    assert judge(known, new, silent_s, STALE_S) is verdict


def test_a_post_tells_of_its_machine() -> None:
    post = posts.host_post("gpu01", gpus=2, general={"boot_id": "boot-1"})
    machine = machine_of(post)
    assert (machine.mole_id, machine.boot_id) == (post["mole"]["id"], "boot-1")
    assert len(machine.gpu_uuids) == 2
    assert machine.up_s == post["mole"]["mono_s"]


@pytest.mark.parametrize("boot_id", [None, 5, "", "x" * 65, ["x"]])
def test_a_boot_id_that_is_none_and_a_gpu_that_failed_tell_nothing(boot_id: object) -> None:
    post = posts.example() | {"general": {"boot_id": boot_id}, "gpu": {"gpu_error": posts.GPU_ERROR, "x": {}}}
    assert machine_of(post) == Machine()


def test_what_one_post_lacks_is_still_known_from_those_before() -> None:
    assert merge(FIRST, Machine(None, None, frozenset(), 7.0)) == FIRST._replace(up_s=7.0)
