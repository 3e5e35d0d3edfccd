"""Which file systems count as this host's disks."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_dash_mole.mounts import parse_mountinfo, select_mounts

ROOT = "20 1 8:2 / / rw - ext4 /dev/sda2 rw"


def select(*lines: str) -> list[str]:
    """The mount points that may be asked at once."""
    return [mount.mount_point for mount in select_mounts(parse_mountinfo("\n".join((ROOT, *lines)) + "\n")).local]


def select_remote(*lines: str, uid: int = 0) -> list[str]:
    mounts = parse_mountinfo("\n".join((ROOT, *lines)) + "\n")
    return [mount.mount_point for mount in select_mounts(mounts, uid).remote]


def test_two_mounts_of_one_device_count_once_at_the_shorter_path() -> None:
    again = "31 20 8:3 / /mnt/longer/again rw - xfs /dev/sda3 rw"
    assert select("30 20 8:3 / /data rw - xfs /dev/sda3 rw", again) == ["/", "/data"]


def test_a_bind_mount_of_a_part_gives_way_to_the_whole() -> None:
    assert select("30 20 8:3 /sub /a rw - xfs /dev/sda3 rw", "31 20 8:3 / /data rw - xfs /dev/sda3 rw") == [
        "/",
        "/data",
    ]


def test_images_memory_and_containers_are_left_out() -> None:
    assert select(
        "30 20 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro",
        "31 20 0:5 / /dev/shm rw - tmpfs tmpfs rw",
        "32 20 0:6 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw",
        "33 20 8:9 / /var/lib/kubelet/pods/x rw - ext4 /dev/sdc rw",
        "34 20 0:7 / /misc rw - autofs systemd-1 rw",
    ) == ["/"]


def test_a_disk_of_its_own_at_the_folder_of_docker_counts() -> None:
    assert select("30 20 8:3 / /var/lib/docker rw - xfs /dev/sda3 rw") == ["/", "/var/lib/docker"]


def test_network_file_systems_and_what_lies_below_them_are_remote() -> None:
    lines = (
        "30 20 0:40 / /home rw - nfs4 server:/home rw",
        "31 30 8:3 / /home/scratch rw - xfs /dev/sda3 rw",
        "32 20 0:41 / /fast rw - lustre mds@tcp:/fast rw",
        "33 20 0:42 / /ssh rw - fuse.sshfs host: rw,user_id=0,group_id=0,allow_other",
        "34 20 0:43 / /win rw - cifs //server/share rw",
        "35 20 0:44 / /new rw - somethingfs dev rw",
    )
    assert select(*lines) == ["/"]
    assert select_remote(*lines) == ["/fast", "/home", "/home/scratch", "/ssh", "/win"]


@pytest.mark.parametrize(
    "fs_type", ["nfs", "smb3", "ceph", "gpfs", "beegfs", "wekafs", "9p", "virtiofs", "fuse.glusterfs", "fuse.s3fs"]
)
def test_every_kind_of_network_file_system_counts(fs_type: str) -> None:
    assert select_remote(f"30 20 0:40 / /data rw - {fs_type} server rw,allow_other") == ["/data"]


def test_two_mounts_of_one_export_are_asked_once() -> None:
    again = "31 20 0:40 /a /home/a rw - nfs4 server:/home/a rw"
    assert select_remote(again, "30 20 0:40 / /home rw - nfs4 server:/home rw") == ["/home"]


def test_a_disk_that_is_also_reached_locally_is_asked_there() -> None:
    lines = (
        "30 20 0:40 / /n rw - nfs server:/n rw",
        "31 30 8:3 / /n/x rw - xfs /dev/sda3 rw",
        "32 20 8:3 / /mnt/long rw - xfs /dev/sda3 rw",
    )
    assert select(*lines) == ["/", "/mnt/long"]
    assert select_remote(*lines) == ["/n"]


def test_an_automount_point_is_left_alone_and_what_is_mounted_there_is_asked() -> None:
    trigger = "30 20 0:39 / /misc rw - autofs systemd-1 rw"
    assert select_remote(trigger) == []
    assert select_remote(trigger, "31 30 0:40 / /misc rw - nfs4 server:/misc rw") == ["/misc"]
    assert select(trigger, "31 30 8:3 / /misc rw - vfat /dev/sdb1 rw") == ["/", "/misc"]


def test_what_a_user_keeps_to_himself_is_left_alone() -> None:
    private = "30 20 0:40 / /home/a/mnt rw - fuse.sshfs host: rw,user_id=1000,group_id=1000"
    assert select_remote(private, uid=999) == []
    assert select_remote(private, uid=0) == []
    assert select_remote(private, uid=1000) == ["/home/a/mnt"]


def test_desktop_and_container_programs_are_no_disks() -> None:
    types = ("fuse.gvfsd-fuse", "fuse.portal", "fuse.lxcfs", "fuse.fuse-overlayfs", "fusectl", "nfsd", "rpc_pipefs")
    lines = [f"{30 + n} 20 0:{40 + n} / /m{n} rw - {kind} x rw,allow_other" for n, kind in enumerate(types)]
    assert select_remote(*lines) == []


def test_a_network_file_system_over_a_disk_hides_it() -> None:
    over = "31 30 0:40 / /data rw - nfs server:/data rw"
    lines = ("30 20 8:3 / /data rw - xfs /dev/sda3 rw", over)
    assert select(*lines) == ["/"]
    assert select_remote(*lines) == ["/data"]


def test_a_network_file_system_above_a_disk_hides_it_too() -> None:
    lines = (
        "30 20 8:3 / /data rw - xfs /dev/sda3 rw",
        "31 30 8:4 / /data/sub rw - xfs /dev/sda4 rw",
        "32 30 0:40 / /data rw - nfs server:/data rw",
    )
    assert select(*lines) == ["/"]
    assert select_remote(*lines) == ["/data"]


def test_a_table_without_a_root_as_in_a_chroot_is_understood() -> None:
    text = "30 20 8:3 / /data rw - xfs /dev/sda3 rw\n31 30 8:4 / /data/x rw - xfs /dev/sda4 rw\n"
    assert [mount.mount_point for mount in select_mounts(parse_mountinfo(text)).local] == ["/data", "/data/x"]


def test_a_table_that_goes_round_in_circles_ends() -> None:
    text = "30 1 8:3 / / rw - xfs a rw\n31 30 8:4 / / rw - xfs b rw\n30 31 8:5 / / rw - xfs c rw\n"
    assert [mount.mount_point for mount in select_mounts(parse_mountinfo(text)).local] == ["/"]


def test_in_a_container_the_overlay_at_the_root_counts() -> None:
    text = "20 1 0:50 / / rw - overlay overlay rw\n30 20 0:51 / /x rw - overlay overlay rw\n"
    assert [mount.mount_point for mount in select_mounts(parse_mountinfo(text)).local] == ["/"]


def test_blanks_and_optional_fields_are_understood() -> None:
    mounts = parse_mountinfo(r"30 20 8:3 / /my\040disk rw shared:1 master:2 - xfs /dev/sda3 rw" + "\nnonsense\n")
    assert [(mount.mount_point, mount.device, mount.fs_type) for mount in mounts] == [("/my disk", "/dev/sda3", "xfs")]


def test_this_host_can_be_read() -> None:
    assert parse_mountinfo(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
