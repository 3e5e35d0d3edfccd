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


class Field:
    """A number that nvmlDeviceGetFieldValues has, by the binding's name of its field; `rarely` as of a Call."""

    def __init__(self, name: str, number: Number, rarely: bool = False) -> None:
        self.name = name
        self.number = number
        self.rarely = rarely


_ECC = "nvmlDeviceGetTotalEccErrors"
_THRESHOLD = "nvmlDeviceGetTemperatureThreshold"
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
        (_THRESHOLD, "NVML_TEMPERATURE_THRESHOLD_GPU_MAX"),
        Number("sys.gpu.temperature_max_c", "°C", "highest temperature of the core that is meant for long work"),
        rarely=True,
    ),
    Call(
        (_THRESHOLD, "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN"),
        Number("sys.gpu.temperature_slowdown_c", "°C", "temperature of the core at which the hardware slows it down"),
        rarely=True,
    ),
    Call(
        (_THRESHOLD, "NVML_TEMPERATURE_THRESHOLD_SHUTDOWN"),
        Number("sys.gpu.temperature_shutdown_c", "°C", "temperature of the core at which the GPU switches itself off"),
        rarely=True,
    ),
    Call(
        (_THRESHOLD, "NVML_TEMPERATURE_THRESHOLD_MEM_MAX"),
        Number("sys.gpu.mem_temperature_max_c", "°C", "highest temperature of the memory that is meant for long work"),
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

FIELDS = (
    Field("NVML_FI_DEV_MEMORY_TEMP", Number("sys.gpu.mem_temperature_c", "°C", "temperature of the GPU's memory")),
    Field(
        "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP",
        Number(
            "sys.gpu.power_capped_s",
            "s",
            "time slowed to stay within the power limit, since the driver was loaded",
            scale=1e-9,
        ),
        rarely=True,
    ),
    Field(
        "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN",
        Number(
            "sys.gpu.heat_slowed_s",
            "s",
            "time slowed by the driver as it was hot, since the driver was loaded",
            scale=1e-9,
        ),
        rarely=True,
    ),
    Field(
        "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN",
        Number(
            "sys.gpu.heat_braked_s",
            "s",
            "time slowed by the hardware as it was far too hot, since the driver was loaded",
            scale=1e-9,
        ),
        rarely=True,
    ),
    Field(
        "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN",
        Number(
            "sys.gpu.power_braked_s",
            "s",
            "time slowed by the host's power supply, since the driver was loaded",
            scale=1e-9,
        ),
        rarely=True,
    ),
    Field(
        "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION",
        Number(
            "sys.gpu.recovery_action",
            "",
            "what the driver asks for: 0 = nothing, 1 = a reset of the GPU, 2 = a reboot, more: see NVIDIA's list",
        ),
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
NVLINK_ERRORS = (
    Field(
        "NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL",
        Number("sys.gpu.nvlink_crc_errors", "errors", "NVLink data checksum errors, all links"),
    ),
    Field(
        "NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL",
        Number("sys.gpu.nvlink_replay_errors", "errors", "NVLink transfers that were repeated, all links"),
    ),
    Field(
        "NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL",
        Number("sys.gpu.nvlink_recovery_errors", "errors", "NVLinks that went down and came back, all links"),
    ),
)

# GPM, see nvml_gpm; by the binding's name of the metric. The library gives MiB/s.
_MOST_MIB_PER_S = 10**7  # no link carries 10 TiB/s
GPM = (
    (
        "NVML_GPM_METRIC_SM_UTIL",
        Number("sys.gpu.sm_active_percent", "%", "multiprocessors that worked, mean of all", most=100),
    ),
    (
        "NVML_GPM_METRIC_SM_OCCUPANCY",
        Number("sys.gpu.sm_occupancy_percent", "%", "warps on the multiprocessors, of those that fit", most=100),
    ),
    (
        "NVML_GPM_METRIC_ANY_TENSOR_UTIL",
        Number("sys.gpu.tensor_active_percent", "%", "how busy the tensor cores were", most=100),
    ),
    (
        "NVML_GPM_METRIC_DRAM_BW_UTIL",
        Number("sys.gpu.dram_active_percent", "%", "bandwidth of the GPU's memory that was used", most=100),
    ),
    (
        "NVML_GPM_METRIC_PCIE_RX_PER_SEC",
        Number(
            "sys.gpu.pcie_recv_bytes_per_s",
            "B/s",
            "what the GPU received by PCIe, with PCIe's own bytes",
            scale=2**20,
            most=_MOST_MIB_PER_S,
        ),
    ),
    (
        "NVML_GPM_METRIC_PCIE_TX_PER_SEC",
        Number(
            "sys.gpu.pcie_sent_bytes_per_s",
            "B/s",
            "what the GPU sent by PCIe, with PCIe's own bytes",
            scale=2**20,
            most=_MOST_MIB_PER_S,
        ),
    ),
)
GPM_OF_NVLINK = (
    (
        "NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC",
        Number(
            "sys.gpu.nvlink_recv_bytes_per_s",
            "B/s",
            "what the GPU received by all NVLinks",
            scale=2**20,
            most=_MOST_MIB_PER_S,
        ),
    ),
    (
        "NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC",
        Number(
            "sys.gpu.nvlink_sent_bytes_per_s",
            "B/s",
            "what the GPU sent by all NVLinks",
            scale=2**20,
            most=_MOST_MIB_PER_S,
        ),
    ),
)


def _list_numbers() -> list[Number]:
    pairs = [pair for _, pairs in SAMPLED for pair in pairs]
    numbers = [number for call in CALLS for number in call.numbers] + [number for pair in pairs for number in pair]
    numbers += [field.number for field in FIELDS]
    numbers += [NVLINK_ACTIVE, *(field.number for field in NVLINK_ERRORS)]
    numbers += [number for _, number in (*GPM, *GPM_OF_NVLINK)]
    for place, number in enumerate(numbers):
        number.place = place
    return numbers


# Every number that an answer can have; the answer has their values in this order, without the names.
NUMBERS = _list_numbers()
PLACES = {number.name: number.place for number in NUMBERS}
