"""Gives the table of what is read of each GPU: one row a number, with the call that has it, its unit and its help.

A new number is a new row here and nothing more. Both sides use it: the process that reads NVML knows what to ask, the
mole how to describe the answer. No imports: the process's memory counts.
"""

from __future__ import annotations

NO_VALUE = 2**32 - 1  # all bits of an unsigned int: what drivers have been seen to give for "no value"
BLANK = 10**18  # at and above lie the numbers that NVIDIA's tools write for "no value"


class Number:
    """One number of a call's result.

    A `name` that starts with "sys." is a metric, another a field of the GPU's entry. `pick` is where the result has it:
    a place, or a structure's field. What is more than `most` is no value. `place` is that in NUMBERS.
    """

    __slots__ = ("help", "most", "name", "pick", "place", "scale", "unit")

    def __init__(
        self,
        name: str,
        unit: str,
        help_text: str,
        pick: str | int = 0,
        scale: float = 1,
        most: int = BLANK - 1,
    ) -> None:
        self.name = name
        self.unit = unit
        self.help = help_text
        self.pick = pick
        self.scale = scale
        self.most = most
        self.place = -1


class Call:
    """A function of NVML with its arguments after the GPU, and the numbers in its result.

    An argument is the binding's constant of that name. `result` is "uint", "ulonglong" or the binding's name of a
    structure, which may need a `version`; of numbers the function fills `count`. `older` is asked where the library
    lacks the function. `rarely`: its numbers move in minutes at most, so they are read once a minute, and it may cost
    the driver more.
    """

    def __init__(
        self,
        function: tuple[str, ...],
        *numbers: Number,
        result: str = "uint",
        count: int = 1,
        version: str | None = None,
        older: Call | None = None,
        rarely: bool = False,
    ) -> None:
        self.function = function
        self.numbers = numbers
        self.result = result
        self.count = count
        self.version = version
        self.older = older
        self.rarely = rarely


_ECC = "nvmlDeviceGetTotalEccErrors"
_CORRECTED, _UNCORRECTED = "NVML_MEMORY_ERROR_TYPE_CORRECTED", "NVML_MEMORY_ERROR_TYPE_UNCORRECTED"

CALLS = (
    Call(  # version 2 counts what the driver keeps for itself apart; the older call has it within `used`
        ("nvmlDeviceGetMemoryInfo_v2",),
        Number("total", "B", "", "total"),
        Number("used", "B", "", "used"),
        Number("sys.gpu.mem_free_bytes", "B", "GPU memory that a program can still get", "free"),
        Number(
            "sys.gpu.mem_reserved_bytes", "B", "GPU memory that driver and firmware keep for themselves", "reserved"
        ),
        result="c_nvmlMemory_v2_t",
        version="nvmlMemory_v2",
        older=Call(("nvmlDeviceGetMemoryInfo",), result="c_nvmlMemory_t"),
    ),
    Call(
        ("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
        Number("sys.gpu.temperature_c", "°C", "temperature of the GPU's core"),
    ),
    Call(
        ("nvmlDeviceGetTotalEnergyConsumption",),
        Number("sys.gpu.energy_j", "J", "energy used since the driver was loaded", scale=1e-3),
        result="ulonglong",
    ),
    Call(
        ("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
        Number("sys.gpu.sm_clock_mhz", "MHz", "clock of the multiprocessors now"),
    ),
    Call(
        ("nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"),
        Number("sys.gpu.mem_clock_mhz", "MHz", "clock of the GPU's memory now"),
    ),
    Call(
        ("nvmlDeviceGetCurrentClocksEventReasons",),
        Number("throttle_reasons", "", ""),
        result="ulonglong",
        older=Call(("nvmlDeviceGetCurrentClocksThrottleReasons",), result="ulonglong"),
    ),
    Call(
        ("nvmlDeviceGetEncoderUtilization",),
        Number("sys.gpu.encoder_percent", "%", "how busy the video encoder is", most=100),
        count=2,
    ),
    Call(
        ("nvmlDeviceGetDecoderUtilization",),
        Number("sys.gpu.decoder_percent", "%", "how busy the video decoder is", most=100),
        count=2,
    ),
    Call(
        ("nvmlDeviceGetEnforcedPowerLimit",),
        Number("sys.gpu.power_limit_w", "W", "power that the board may take, by all limits in force", scale=1e-3),
        rarely=True,
    ),
    Call(
        ("nvmlDeviceGetFanSpeed",),
        Number("sys.gpu.fan_percent", "%", "fan speed that is asked for; may pass 100", most=1000),
        rarely=True,
    ),
    Call(
        ("nvmlDeviceGetPersistenceMode",),
        Number("sys.gpu.persistence_mode", "", "1 = the driver stays loaded while nothing uses the GPU"),
        rarely=True,
    ),
    Call(
        ("nvmlDeviceGetMigMode",),
        Number("sys.gpu.mig_mode", "", "1 = the GPU is split into MIG instances"),
        count=2,
        rarely=True,
    ),
    Call(
        (_ECC, _CORRECTED, "NVML_VOLATILE_ECC"),
        Number("sys.gpu.ecc_corrected", "errors", "corrected memory errors since the driver was loaded"),
        result="ulonglong",
        rarely=True,
    ),
    Call(
        (_ECC, _UNCORRECTED, "NVML_VOLATILE_ECC"),
        Number("sys.gpu.ecc_uncorrected", "errors", "uncorrected memory errors since the driver was loaded"),
        result="ulonglong",
        rarely=True,
    ),
    Call(
        (_ECC, _CORRECTED, "NVML_AGGREGATE_ECC"),
        Number("sys.gpu.ecc_corrected_lifetime", "errors", "corrected memory errors in the GPU's life"),
        result="ulonglong",
        rarely=True,
    ),
    Call(
        (_ECC, _UNCORRECTED, "NVML_AGGREGATE_ECC"),
        Number("sys.gpu.ecc_uncorrected_lifetime", "errors", "uncorrected memory errors in the GPU's life"),
        result="ulonglong",
        rarely=True,
    ),
    Call(
        ("nvmlDeviceGetRemappedRows",),
        Number("sys.gpu.remapped_rows_correctable", "rows", "memory rows replaced after corrected errors", 0),
        Number("sys.gpu.remapped_rows_uncorrectable", "rows", "memory rows replaced after uncorrected errors", 1),
        Number("sys.gpu.remapped_rows_pending", "", "1 = a row waits to be replaced: the GPU needs a reset", 2),
        Number("sys.gpu.remapped_rows_failed", "", "1 = a row could not be replaced: the GPU needs replacement", 3),
        count=4,
        rarely=True,
    ),
    Call(
        ("nvmlDeviceGetCurrPcieLinkGeneration",),
        Number("sys.gpu.pcie_generation", "", "PCIe generation of the link now; idle GPUs go down"),
        rarely=True,
    ),
    Call(
        ("nvmlDeviceGetMaxPcieLinkGeneration",),
        Number("sys.gpu.pcie_max_generation", "", "PCIe generation that GPU and slot can have"),
        rarely=True,
    ),
    Call(
        ("nvmlDeviceGetCurrPcieLinkWidth",),
        Number("sys.gpu.pcie_width", "lanes", "PCIe lanes of the link now"),
        rarely=True,
    ),
    Call(
        ("nvmlDeviceGetMaxPcieLinkWidth",),
        Number("sys.gpu.pcie_max_width", "lanes", "PCIe lanes that GPU and slot can have"),
        rarely=True,
    ),
)

# Sampled every second: `mean` and `most` are over the samples since the answer before.
SAMPLED = (
    (
        Call(("nvmlDeviceGetUtilizationRates",), result="c_nvmlUtilization_t"),
        (
            (
                Number("gpu_util", "%", "", "gpu", most=100),
                Number("sys.gpu.util_max_percent", "%", "highest of the 1 s samples of the GPU's utilisation"),
            ),
            (
                Number("memory_util", "%", "", "memory", most=100),
                Number("sys.gpu.mem_util_max_percent", "%", "highest of the 1 s samples of the memory's utilisation"),
            ),
        ),
    ),
    (
        Call(("nvmlDeviceGetPowerUsage",)),
        (
            (
                Number("sys.gpu.power_w", "W", "power of the board, mean of 1 s samples", scale=1e-3),
                Number("sys.gpu.power_max_w", "W", "power of the board, highest of 1 s samples", scale=1e-3),
            ),
        ),
    ),
)

# Read with calls of their own kind, see nvml_gpu.
NVLINK_ACTIVE = Number("sys.gpu.nvlink_active", "links", "NVLinks that are up")
NVLINK_ERRORS = (  # by the binding's name of the field
    (
        "NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL",
        Number("sys.gpu.nvlink_crc_errors", "errors", "NVLink data checksum errors, all links"),
    ),
    (
        "NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL",
        Number("sys.gpu.nvlink_replay_errors", "errors", "NVLink transfers that were repeated, all links"),
    ),
    (
        "NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL",
        Number("sys.gpu.nvlink_recovery_errors", "errors", "NVLinks that went down and came back, all links"),
    ),
)


def _list_numbers() -> list[Number]:
    pairs = [pair for _, pairs in SAMPLED for pair in pairs]
    numbers = [number for call in CALLS for number in call.numbers] + [number for pair in pairs for number in pair]
    numbers += [NVLINK_ACTIVE, *(number for _, number in NVLINK_ERRORS)]
    for place, number in enumerate(numbers):
        number.place = place
    return numbers


# Every number that an answer can have; the answer has their values in this order, without the names.
NUMBERS = _list_numbers()
PLACES = {number.name: number.place for number in NUMBERS}
