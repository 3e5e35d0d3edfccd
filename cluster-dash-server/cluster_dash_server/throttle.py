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


def reasons_of(mask: float | None) -> list[str]:
    """Of a whole number, which JSON may write as 4.0; a bit without a name is given by its number.

    Empty where nothing throttles and where it isn't known.
    """
    known = int(mask or 0)
    bits = (1 << place for place in range(known.bit_length()))
    return [REASONS.get(bit, f"reason {bit:#x}") for bit in bits if known & bit and bit != IDLE]
