"""Takes an event of the driver, gives what it means in plain words."""

from __future__ import annotations

_XIDS = {
    8: "the GPU stopped working on a program's commands",
    13: "a program's error on the GPU (graphics engine exception)",
    31: "a program used GPU memory that isn't its own (memory page fault)",
    32: "damaged commands reached the GPU",
    38: "driver firmware error",
    43: "a program's work on the GPU was stopped after an error of its own",
    45: "a program's work on the GPU was ended, often after another XID",
    48: "memory error that could not be corrected (double bit)",
    61: "internal controller of the GPU: breakpoint or warning",
    62: "internal controller of the GPU halted",
    63: "a faulty memory row was marked for replacement",
    64: "a faulty memory row could not be marked for replacement",
    68: "video processor exception",
    69: "a program's error on the GPU (graphics engine class)",
    74: "NVLink error",
    79: "the GPU has fallen off the bus",
    92: "many corrected memory errors",
    94: "memory error that hit one program only",
    95: "memory error that may have hit every program: the GPU needs a reset",
    109: "the GPU did not change between programs in time",
    119: "the GPU's system processor (GSP) does not answer",
    120: "error of the GPU's system processor (GSP)",
    121: "corrected error on the link to the CPU",
    140: "memory error that could not be corrected",
    143: "the GPU could not be initialised",
    145: "NVLink error (RLW)",
    149: "NVLink error (NETIR)",
    154: "the GPU asks for a recovery action",
}
_KINDS = {
    "ecc_double_bit": "memory error that could not be corrected",
    "ecc_single_bit_storm": "very many corrected memory errors",
    "mig_config": "the MIG instances have changed",
    "dram_retirement": "a faulty memory page was retired",
    "dram_retirement_failed": "a faulty memory page could not be retired",
    "poison_nonfatal": "damaged data was met and contained",
    "poison_fatal": "damaged data was met: the GPU needs a reset",
    "gpu_unavailable": "the GPU is not available",
    "recovery_action": "the GPU asks for a recovery action",
}


def describe(kind: str, code: int) -> str:
    """`XID 79: the GPU has fallen off the bus`."""
    if kind == "xid":
        return f"XID {code}: {_XIDS.get(code, 'see NVIDIA’s list of XIDs')}"
    return _KINDS.get(kind, f"event of the driver ({kind})")
