"""What the PCI bus shows."""

from __future__ import annotations

from pathlib import Path

from cluster_dash_mole.pci import count_nvidia_gpus


def write_devices(folder: Path, *devices: tuple[str, str]) -> Path:
    """(vendor, class) of each."""
    folder.mkdir()
    for place, (vendor, kind) in enumerate(devices):
        add_device(folder, place, vendor, kind)
    return folder


def add_device(folder: Path, place: int, vendor: str, kind: str) -> Path:
    """At 0000:<place>:00.0."""
    device = folder / f"0000:{place:02x}:00.0"
    device.mkdir()
    (device / "vendor").write_text(vendor + "\n")
    (device / "class").write_text(kind + "\n")
    return device


def test_gpus_are_counted_and_their_sound_and_other_makers_are_not(tmp_path: Path) -> None:
    nvidia, other = "0x10de", "0x1002"
    devices = [(nvidia, "0x030000"), (nvidia, "0x030200"), (nvidia, "0x040300"), (other, "0x030000")]
    assert count_nvidia_gpus(write_devices(tmp_path / "pci", *devices)) == 2


def test_a_device_that_goes_meanwhile_is_none(tmp_path: Path) -> None:
    folder = write_devices(tmp_path / "pci", ("0x10de", "0x030000"))
    (folder / "0000:09:00.0").mkdir()
    assert count_nvidia_gpus(folder) == 1


def test_a_bus_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert count_nvidia_gpus(tmp_path / "none") is None
