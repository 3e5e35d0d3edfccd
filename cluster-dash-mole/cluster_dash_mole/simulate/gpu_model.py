"""Gives the GPU models that simulated hosts have, as their drivers describe them."""

from __future__ import annotations

from typing import NamedTuple


class GpuModel(NamedTuple):
    """Of a model what its posts show. Memory in MiB as NVML has it; `links` are NVLinks, 0 = it has none. `is_hopper`:
    its driver tells how busy its parts are, and what it can stand.
    """

    name: str
    total_mib: float
    reserved_mib: float
    limit_w: float
    idle_w: float
    sm_mhz: int
    mem_mhz: int
    pcie_generation: int
    vbios: str
    links: int = 0
    has_ecc: bool = True
    has_fan: bool = False
    is_hopper: bool = False


H100 = GpuModel(
    "NVIDIA H100 80GB HBM3", 81559.0, 551.0, 700, 71, 1980, 2619, 5, "96.00.89.00.01", links=18, is_hopper=True
)
A100_80 = GpuModel("NVIDIA A100-SXM4-80GB", 81920.0, 766.0, 400, 58, 1410, 1593, 4, "92.00.45.00.03", links=12)
A100_40 = GpuModel("NVIDIA A100-SXM4-40GB", 40960.0, 598.0, 400, 53, 1410, 1215, 4, "92.00.19.00.01", links=12)
L40S = GpuModel("NVIDIA L40S", 46068.0, 622.0, 350, 34, 2520, 9001, 4, "95.02.66.00.02")
V100 = GpuModel("Tesla V100-SXM2-32GB", 32768.0, 268.0, 300, 41, 1530, 877, 3, "88.00.43.00.03", links=6)
RTX_4090 = GpuModel(
    "NVIDIA GeForce RTX 4090", 24564.0, 400.0, 450, 19, 2520, 10501, 4, "95.02.18.80.5f", has_ecc=False, has_fan=True
)
RTX_3090 = GpuModel(
    "NVIDIA GeForce RTX 3090", 24576.0, 300.0, 350, 23, 1695, 9751, 4, "94.02.42.00.a9", has_ecc=False, has_fan=True
)
MODELS = (H100, A100_80, A100_40, L40S, V100, RTX_4090, RTX_3090)
