"""Takes a post, gives the few lines that a person reads on a terminal."""

from __future__ import annotations

from typing import Any

_MIB_PER_GIB = 1024


def render_table(post: dict[str, Any], width: int = 80) -> str:
    """The host, then a line for each GPU; a dash is a value that could not be read. No line is wider than `width`."""
    lines = [_render_host(post), *(_render_gpu(gpu) for gpu in post["gpu"].values())]
    return "\n".join(_fit(line, width) for line in lines)


def _render_host(post: dict[str, Any]) -> str:
    cpu, memory = post["cpu"], post.get("memory", {})
    load = (cpu.get("load_avgs") or [None])[0]
    parts = [
        _pad(post["hostname"], 16),
        f"cpu {_number(cpu.get('cpu_percent'), 5, 1)} %",
        f"load {_number(load, 6, 2)}",
        f"mem {_number(memory.get('used_gb'), 6, 1)} / {_number(memory.get('total_gb'), 6, 1)} GiB",
    ]
    return "  ".join([*parts, *_fullest_disk(post.get("disk", {}))])


def _fullest_disk(disks: dict[str, Any]) -> list[str]:
    known = [disk for disk in disks.values() if disk["percent_used"] is not None]
    if not known:
        return []
    fullest = max(known, key=lambda disk: disk["percent_used"])
    return [f"{fullest['percent_used']:.0f} % of {fullest['mount_point']}"]


def _render_gpu(gpu: dict[str, Any]) -> str:
    if gpu["state"] != "ok":
        return f"{_index(gpu)}  {_pad(gpu['name'], 22)}  {gpu['state']}: {gpu['error']}"
    memory = f"{_gib(gpu['used_mem'])} / {_gib(gpu['total_mem'])} GiB"
    users = " ".join(gpu["users"] or {})
    return f"{_index(gpu)}  {_pad(gpu['name'], 22)}  {_number(gpu['gpu_util'], 3, 0)} %  {memory}  {users}"


def _index(gpu: dict[str, Any]) -> str:
    """A GPU that only the PCI bus shows has none."""
    return f"{'-' if gpu['index'] is None else gpu['index']:>3}"


def _gib(mib: float | None) -> str:
    return _number(None if mib is None else mib / _MIB_PER_GIB, 5, 1)


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def _pad(text: str, width: int) -> str:
    return f"{text[:width]:<{width}}"


def _fit(line: str, width: int) -> str:
    # Names come from processes and drivers: what isn't printable could move the cursor or recolour the terminal.
    clean = "".join(letter if letter.isprintable() else "?" for letter in line).rstrip()
    return clean if len(clean) <= width else clean[: width - 1] + "…"
