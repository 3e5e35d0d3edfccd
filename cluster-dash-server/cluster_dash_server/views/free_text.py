"""Takes offers of free GPUs, gives lines for a terminal: those for a person begin with #, the rest is for a shell."""

from __future__ import annotations

import re

from .fleet.free import QUIET_S, Asked, Offer
from .wording import duration, number, printable

MOST_OFFERS = 10
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
"""What a shell and ssh take as it is. A host may report under any other name, too."""
RULE = f"best first: free for {QUIET_S / 60:.0f} min, then the fewest GPUs left over, then free for the longest"


def free_text(asked: Asked, found: list[Offer], closest: str, mono_s: float) -> str:
    if not found:
        return f"# Nobody has {wanted(asked)} right now.\n# {closest}\n"
    hosts = "1 place" if len(found) == 1 else f"{len(found)} places"
    lines = [f"# {wanted(asked)}: {hosts}; {RULE}"]
    for offer in found[:MOST_OFFERS]:
        lines += ["", *_lines(offer, mono_s)]
    if len(found) > MOST_OFFERS:
        lines += ["", f"# and {len(found) - MOST_OFFERS} more: /api/free"]
    return "\n".join(lines) + "\n"


def wanted(asked: Asked) -> str:
    """2 free GPUs with 40 GiB each of “h100” on one host tagged rack-3."""
    text = "1 free GPU" if asked.gpus == 1 else f"{asked.gpus} free GPUs"
    if asked.mem_gib:
        text += f" with {asked.mem_gib:g} GiB" + (" each" if asked.gpus > 1 else "")
    if asked.model:
        text += f" of “{printable(asked.model)}”"
    if asked.gpus > 1:
        text += " on one host"
    return text + (f" tagged {printable(asked.tag)}" if asked.tag else "")


def closest_text(most: tuple[str, int], idle: int) -> str:
    """What comes nearest to it."""
    host, count = most
    nearest = f"The most on one host are {count}, on {printable(host)}." if count else "No GPU that fits is free."
    if idle:
        nearest += f" {idle} {'is' if idle == 1 else 'are'} held idle: curl / says by whom."
    return nearest


def _lines(offer: Offer, mono_s: float) -> list[str]:
    return [
        f"# {printable(offer.host)}: {_gpus(offer)}, {_since(offer, mono_s)}",
        _ssh(offer.host),
        devices_line(offer),
    ]


def _gpus(offer: Offer) -> str:
    first = offer.gpus[0]
    names = " and ".join(
        filter(None, (", ".join(str(gpu.index) for gpu in offer.gpus[:-1]), str(offer.gpus[-1].index)))
    )
    what = f"GPU{'s' if len(offer.gpus) > 1 else ''} {names}, {printable(first.model)}"
    if first.instance is not None:
        what += f", its instance {printable(first.instance)}"
    least = min(gpu.mem_free_mib for gpu in offer.gpus) / 1024
    return f"{what}, {number(least)} GiB free" + (" each" if len(offer.gpus) > 1 else "")


def _since(offer: Offer, mono_s: float) -> str:
    return f"for {duration(max(0.0, mono_s - offer.free_since_mono_s))}; {offer.left or 'none'} left over"


def _ssh(host: str) -> str:
    return f"ssh {host}" if _HOST.fullmatch(host) else "# (its name isn't one for ssh)"


def devices_line(offer: Offer) -> str:
    """For a shell."""
    order = "" if offer.has_uuids else " CUDA_DEVICE_ORDER=PCI_BUS_ID"
    return f"CUDA_VISIBLE_DEVICES={offer.cuda_visible_devices}{order}"
