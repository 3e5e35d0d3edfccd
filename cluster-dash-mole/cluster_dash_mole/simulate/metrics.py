"""Takes what a host has, gives the `metrics` of its post with slots for what changes.

Names, units and helps are those that the mole's collectors declare. Hosts that are alike share one template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_dash_mole import cpu_data, disk_io, disks, general_machine_data, main, memory, network, pressure
from cluster_dash_mole.nvml_values import NUMBERS
from cluster_dash_mole.simulate import gpu
from cluster_dash_mole.simulate.template import Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_dash_mole.nvml_values import Number
    from cluster_dash_mole.reading import Metric
    from cluster_dash_mole.simulate.gpu_model import GpuModel

# Where a host's numbers are among all of its post; its GPUs' come after them.
(
    TIMESTAMP, CPU, LOAD_1, LOAD_5, LOAD_15, AVAILABLE, USED, SYSTEM_TIME, SEQ, MONO, MOLE_CPU, MOLE_RSS,
    IOWAIT, RUNNING, BLOCKED, CORES, SOME_CPU, SOME_IO, FULL_IO, SHARED, CACHED, READ, WRITTEN, BUSY,
    RECEIVED, SENT, IB_RECEIVED, IB_SENT, UPTIME, SKEW, SHM, SHM_PERCENT,
    ROOT_USED, ROOT_PERCENT, DATA_USED, DATA_PERCENT, HOME_USED, HOME_PERCENT,
) = range(38)  # fmt: skip
HOST_PLACES = 38

COLLECTORS = ("cpu", "pressure", "memory", "disk_io", "network", "general", "disk", "gpu")
_DURATIONS_S = (0.0004, 0.0001, 0.0002, 0.0001, 0.0002, 0.0001, 0.0003, 0.0011)
_GIB = 2**30


class Shape(NamedTuple):
    """All that the metrics of a host depend on, but for the values. GPUs are indices: `told` can be read, `split` have
    MIG. `failing` ones have memory errors.
    """

    cpus: int
    model: GpuModel | None
    told: tuple[int, ...]
    split: tuple[int, ...]
    failing: tuple[int, ...]
    mounts: tuple[str, ...]
    has_infiniband: bool
    has_help: bool
    knows_skew: bool


def gpu_base(index: int) -> int:
    """Where the numbers of that GPU begin."""
    return HOST_PLACES + index * gpu.PLACES


def assemble(shape: Shape) -> dict[str, Any]:
    """The post's `metrics`, in the mole's order."""
    columns = {**_cpu_columns(shape), **_memory_columns(), **_traffic_columns(shape), **_disk_columns(shape)}
    columns.update(_gpu_columns(shape))
    if not shape.has_help:
        for column in columns.values():
            del column["help"]
    return columns


def _column(metric: Metric, values: Sequence[Any] | Slot, tag: str = "", tags: Sequence[str] = ()) -> dict[str, Any]:
    told: dict[str, Any] = {"unit": metric.unit, "help": metric.help, "value": values}
    return {metric.name: {**told, "tags": [{tag: each} for each in tags]} if tag else told}


def _cpu_columns(shape: Shape) -> dict[str, Any]:
    cores = [str(core) for core in range(shape.cpus)]
    return {
        **_column(cpu_data.IOWAIT, [Slot(IOWAIT)]),
        **_column(cpu_data.STEAL, [0.0]),
        **_column(cpu_data.RUNNING, [Slot(RUNNING, "int")]),
        **_column(cpu_data.BLOCKED, [Slot(BLOCKED, "int")]),
        **_column(cpu_data.CORE, Slot(CORES, "json"), "core", cores),
        **_column(main.COLLECT_DURATION, _DURATIONS_S, "collector", COLLECTORS),
        **_column(main.COLLECT_OK, [1] * len(COLLECTORS), "collector", COLLECTORS),
        **_column(pressure.SOME, [Slot(SOME_CPU), 0.0, Slot(SOME_IO)], "resource", ("cpu", "memory", "io")),
        **_column(pressure.FULL, [0.0, Slot(FULL_IO)], "resource", ("memory", "io")),
    }


def _memory_columns() -> dict[str, Any]:
    return {
        **_column(memory.SHARED, [Slot(SHARED, "int")]),
        **_column(memory.BUFFERS, [1073741824]),
        **_column(memory.CACHED, [Slot(CACHED, "int")]),
        **_column(memory.SWAP_USED, [268435456]),
        **_column(memory.SWAP_TOTAL, [8 * _GIB]),
        **_column(memory.SWAP_IN, [0.0]),
        **_column(memory.SWAP_OUT, [0.0]),
    }


def _traffic_columns(shape: Shape) -> dict[str, Any]:
    columns = {
        **_column(disk_io.READ, [Slot(READ)], "disk", ("nvme0n1",)),
        **_column(disk_io.WRITTEN, [Slot(WRITTEN)], "disk", ("nvme0n1",)),
        **_column(disk_io.BUSY, [Slot(BUSY)], "disk", ("nvme0n1",)),
        **_column(network.RECEIVED, [Slot(RECEIVED)], "iface", ("eno1",)),
        **_column(network.SENT, [Slot(SENT)], "iface", ("eno1",)),
        **_column(network.ERRORS, [0.0], "iface", ("eno1",)),
        **_column(network.DROPS, [0.0], "iface", ("eno1",)),
    }
    if shape.has_infiniband:
        columns.update(_column(network.IB_RECEIVED, [Slot(IB_RECEIVED)], "port", ("mlx5_0/1",)))
        columns.update(_column(network.IB_SENT, [Slot(IB_SENT)], "port", ("mlx5_0/1",)))
    columns.update(_column(general_machine_data.UPTIME, [Slot(UPTIME)]))
    if shape.knows_skew:
        columns.update(_column(general_machine_data.SKEW, [Slot(SKEW, ".3")]))
    return columns


def _disk_columns(shape: Shape) -> dict[str, Any]:
    inodes = [3.9, 11.4, 27.2][: len(shape.mounts)]
    shm = ("/dev/shm",)  # noqa: S108  a name, no file is made
    return {
        **_column(disks.INODES, inodes, "mount", shape.mounts),
        **_column(disks.SHM_USED, [Slot(SHM, "int")], "mount", shm),
        **_column(disks.SHM_PERCENT, [Slot(SHM_PERCENT, ".3")], "mount", shm),
    }


_CHANGING = {
    "sys.gpu.mem_free_bytes": Slot(gpu.FREE_BYTES, "int"),
    "sys.gpu.temperature_c": Slot(gpu.TEMPERATURE, "int"),
    "sys.gpu.energy_j": Slot(gpu.ENERGY, ".3"),
    "sys.gpu.sm_clock_mhz": Slot(gpu.SM_CLOCK, "int"),
    "sys.gpu.mem_clock_mhz": Slot(gpu.MEM_CLOCK, "int"),
    "sys.gpu.pcie_generation": Slot(gpu.PCIE, "int"),
    "sys.gpu.util_max_percent": Slot(gpu.UTIL_MAX, "int"),
    "sys.gpu.mem_util_max_percent": Slot(gpu.MEM_UTIL_MAX, "int"),
    "sys.gpu.power_w": Slot(gpu.POWER),
    "sys.gpu.power_max_w": Slot(gpu.POWER_MAX),
}
_ACTIVITY = {
    "sys.gpu.sm_active_percent": Slot(gpu.SM, ".3"),
    "sys.gpu.sm_occupancy_percent": Slot(gpu.OCCUPANCY, ".3"),
    "sys.gpu.tensor_active_percent": Slot(gpu.TENSOR, ".3"),
    "sys.gpu.dram_active_percent": Slot(gpu.DRAM, ".3"),
    "sys.gpu.pcie_recv_bytes_per_s": Slot(gpu.PCIE_IN),
    "sys.gpu.pcie_sent_bytes_per_s": Slot(gpu.PCIE_OUT),
    "sys.gpu.nvlink_recv_bytes_per_s": Slot(gpu.NVLINK),
    "sys.gpu.nvlink_sent_bytes_per_s": Slot(gpu.NVLINK),
}
_OF_HOPPER = {
    **_ACTIVITY,
    "sys.gpu.mem_temperature_c": Slot(gpu.MEM_TEMPERATURE, "int"),
    "sys.gpu.power_capped_s": Slot(gpu.CAPPED_S, ".3"),
    "sys.gpu.heat_slowed_s": 0,
    "sys.gpu.heat_braked_s": 0,
    "sys.gpu.power_braked_s": 0,
    "sys.gpu.recovery_action": 0,
    "sys.gpu.temperature_max_c": 87,
    "sys.gpu.temperature_slowdown_c": 89,
    "sys.gpu.temperature_shutdown_c": 95,
    "sys.gpu.mem_temperature_max_c": 95,
}
_TOLD = {**_CHANGING, **_OF_HOPPER}
_NOT_OF_SPLIT = ("sys.gpu.util_max_percent", "sys.gpu.mem_util_max_percent", *_ACTIVITY)
_ECC = ("sys.gpu.ecc_", "sys.gpu.remapped_")
_FAILING = {
    "sys.gpu.ecc_corrected": 1187,
    "sys.gpu.ecc_uncorrected": 2,
    "sys.gpu.ecc_corrected_lifetime": 1206,
    "sys.gpu.ecc_uncorrected_lifetime": 2,
    "sys.gpu.remapped_rows_uncorrectable": 2,
    "sys.gpu.remapped_rows_pending": 1,
}


def _gpu_columns(shape: Shape) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for number in NUMBERS if shape.model else ():
        values = {index: _value(number, shape, index) for index in shape.told}
        known = [index for index in shape.told if values[index] is not None]
        if number.name.startswith("sys.") and known:
            told = {"unit": number.unit, "help": number.help}
            columns[number.name] = {**told, "value": [values[index] for index in known], "device": known}
    return columns


def _value(number: Number, shape: Shape, index: int) -> Any:
    """A number, the slot of one that changes, None where this GPU has none."""
    name, model = number.name, shape.model
    if model is None or (name in _NOT_OF_SPLIT and index in shape.split):
        return None
    if name in _OF_HOPPER and not model.is_hopper:
        return None
    told = _TOLD.get(name)
    if isinstance(told, Slot):
        return Slot(gpu_base(index) + told.place, told.form)
    if told is not None:
        return told
    if name.startswith(_ECC):
        return (_FAILING.get(name, 0) if index in shape.failing else 0) if model.has_ecc else None
    if name.startswith("sys.gpu.nvlink_"):
        return (model.links if name == "sys.gpu.nvlink_active" else 0) if model.links else None
    if name == "sys.gpu.fan_percent":
        return Slot(gpu_base(index) + gpu.FAN, "int") if model.has_fan else None
    return _fixed(name, model, index in shape.split)


def _fixed(name: str, model: GpuModel, is_split: bool) -> Any:
    return {
        "sys.gpu.mem_reserved_bytes": int(model.reserved_mib * 2**20),
        "sys.gpu.encoder_percent": 0,
        "sys.gpu.decoder_percent": 0,
        "sys.gpu.power_limit_w": model.limit_w,
        "sys.gpu.persistence_mode": 1,
        "sys.gpu.mig_mode": (1 if is_split else 0) if model.has_ecc else None,
        "sys.gpu.pcie_max_generation": model.pcie_generation,
        "sys.gpu.pcie_width": 16,
        "sys.gpu.pcie_max_width": 16,
    }.get(name)
