"""Which file systems count as this host's disks."""

from __future__ import annotations

from pathlib import Path

from cluster_dash_mole.mounts import parse_mountinfo, read_mounts, select_local

ROOT = "20 1 8:2 / / rw - ext4 /dev/sda2 rw"


def select(*lines: str) -> list[str]:
    return [mount.mount_point for mount in select_local(parse_mountinfo("\n".join((ROOT, *lines)) + "\n"))]


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


def test_network_file_systems_and_what_lies_below_them_are_not_touched() -> None:
    assert select(
        "30 20 0:40 / /home rw - nfs4 server:/home rw",
        "31 30 8:3 / /home/scratch rw - xfs /dev/sda3 rw",
        "32 20 0:41 / /fast rw - lustre mds@tcp:/fast rw",
        "33 20 0:42 / /ssh rw - fuse.sshfs host: rw",
    ) == ["/"]


def test_a_network_file_system_over_a_disk_hides_it() -> None:
    over = "31 30 0:40 / /data rw - nfs server:/data rw"
    assert select("30 20 8:3 / /data rw - xfs /dev/sda3 rw", over) == ["/"]


def test_in_a_container_the_overlay_at_the_root_counts() -> None:
    text = "20 1 0:50 / / rw - overlay overlay rw\n30 20 0:51 / /x rw - overlay overlay rw\n"
    assert [mount.mount_point for mount in select_local(parse_mountinfo(text))] == ["/"]


def test_blanks_and_optional_fields_are_understood() -> None:
    mounts = parse_mountinfo(r"30 20 8:3 / /my\040disk rw shared:1 master:2 - xfs /dev/sda3 rw" + "\nnonsense\n")
    assert [(mount.mount_point, mount.device, mount.fs_type) for mount in mounts] == [("/my disk", "/dev/sda3", "xfs")]


def test_this_host_can_be_read() -> None:
    assert read_mounts(Path("/proc"))
