"""Takes /sys, gives the NVIDIA GPUs that the PCI bus shows: what is there even when no driver tells."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

PCI_DEVICES = Path("/sys/bus/pci/devices")
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # class: VGA (0x0300) and 3D controllers (0x0302)


class PciGpu(NamedTuple):
    """`address` as NVML gives it too: 0000:3b:00.0. `is_for_nvml`: NVIDIA's driver has it, or nothing has it."""

    address: str
    is_for_nvml: bool


def read_gpus(devices: Path = PCI_DEVICES) -> list[PciGpu] | None:
    """By address. None where the bus can't be read, as in some containers: then nothing follows."""
    try:
        found = [device for device in devices.iterdir() if _is_nvidia_gpu(device)]
    except OSError:
        return None
    return sorted(PciGpu(device.name.lower(), _is_for_nvml(device)) for device in found)


def count_nvidia_gpus(devices: Path = PCI_DEVICES) -> int | None:
    """All of them, whoever has them; None where the bus can't be read."""
    gpus = read_gpus(devices)
    return None if gpus is None else len(gpus)


def read_gpus_for_nvml(devices: Path = PCI_DEVICES) -> list[str] | None:
    """Addresses of those that NVML should list. None where that can't be told: a container sees the host's bus, but
    only the GPUs that it was given.
    """
    if devices == PCI_DEVICES and any(mark.exists() for mark in _CONTAINER_MARKS):
        return None
    gpus = read_gpus(devices)
    return None if gpus is None else [gpu.address for gpu in gpus if gpu.is_for_nvml]


def _is_nvidia_gpu(device: Path) -> bool:
    try:
        return (device / "vendor").read_text().strip() == _NVIDIA and (
            (device / "class").read_text().startswith(_DISPLAY)
        )
    except OSError:  # unplugged in this moment
        return False


def _is_for_nvml(device: Path) -> bool:
    """Not what is given to a virtual machine or run by another driver, nor the virtual part of another GPU."""
    driver = device / "driver"
    is_taken = driver.is_symlink() and driver.readlink().name != "nvidia"
    return not is_taken and not (device / "physfn").exists()
