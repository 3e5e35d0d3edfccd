"""Takes /sys, gives how many NVIDIA GPUs the PCI bus shows: what is there even when no driver tells."""

from __future__ import annotations

from pathlib import Path

PCI_DEVICES = Path("/sys/bus/pci/devices")
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # class: VGA (0x0300) and 3D controllers (0x0302)


def count_nvidia_gpus(devices: Path = PCI_DEVICES) -> int | None:
    """None where the bus can't be read, as in some containers: then nothing follows."""
    try:
        return sum(_is_nvidia_gpu(device) for device in devices.iterdir())
    except OSError:
        return None


def _is_nvidia_gpu(device: Path) -> bool:
    try:
        return (device / "vendor").read_text().strip() == _NVIDIA and (
            (device / "class").read_text().startswith(_DISPLAY)
        )
    except FileNotFoundError:  # unplugged in this moment
        return False
