"""Takes the bit mask of a GPU's throttle reasons, gives their names (nvml.h, nvmlClocksEventReasons)."""

from __future__ import annotations

REASONS = {
    0x2: "clocks set by an administrator",
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x10: "in step with a slower GPU",
    0x20: "too hot (software)",
    0x40: "too hot (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
}
IDLE = 0x1
"""Low clocks because there is nothing to do, which is no throttling."""


def reasons_of(mask: int | None) -> list[str]:
    """Empty where nothing throttles and where it isn't known; a bit without a name is given by its number."""
    bits = (1 << place for place in range((mask or 0).bit_length()))
    return [REASONS.get(bit, f"reason {bit:#x}") for bit in bits if (mask or 0) & bit and bit != IDLE]
