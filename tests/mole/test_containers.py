"""In which container a process is."""

from __future__ import annotations

import pytest

from cluster_dash_mole.containers import parse_container

ID = "3f4e1b2c9d8a" + "0" * 52


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", ID[:12]),
        (f"12:cpuset:/docker/{ID}\n11:memory:/docker/{ID}\n", ID[:12]),
        (f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n", ID[:12]),
        (f"1:name=systemd:/kubepods/besteffort/podaf14-11/{ID}\n", ID[:12]),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", ID[:12]),
        ("0::/kubepods/besteffort/pod1b4e28ba-2fa1-11d2-883f-0016d3cca427\n", "1b4e28ba-2fa"),
        ("0::/lxc.payload.trainer/user.slice\n", "trainer"),
        ("9:cpu:/lxc/trainer/init.scope\n", "trainer"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0\n", None),
        ("", None),
    ],
)
def test_a_container_is_known_by_its_control_group(cgroup: str, container: str | None) -> None:
    assert parse_container(cgroup) == container
