"""Takes a host's facts, gives its post's sections beside GPUs and metrics, with slots for the numbers that change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster_dash_mole import __version__
from cluster_dash_mole.driver import Library, describe_mismatch
from cluster_dash_mole.gpu_data import error_entry, parse_event
from cluster_dash_mole.gpu_roster import describe_change
from cluster_dash_mole.nvml_process import HUNG, Report, format_time
from cluster_dash_mole.simulate import metrics as place
from cluster_dash_mole.simulate import scenario
from cluster_dash_mole.simulate.facts import DAY_S, FAULTS_FROM, NFS_SERVER, Facts
from cluster_dash_mole.simulate.gpu import DRIVER_VERSION, LOST_ERROR
from cluster_dash_mole.simulate.metrics import Shape
from cluster_dash_mole.simulate.template import Slot

if TYPE_CHECKING:
    from cluster_dash_mole.simulate.timing import Timing

_XID_LOST, _XID_REMAPPED = 79, 63
_NEW_LIBRARY = "550.90.07"
_HELP_EVERY_S = 600.0
_SYSTEM = {"kernel": "6.8.0-45-generic", "os": "Ubuntu 24.04.1 LTS", "cpu_model": "AMD EPYC 9654 96-Core Processor"}
_DISKS = (  # mount point, device, GiB, where its numbers are
    ("/", "/dev/nvme0n1p2", 892.0, place.ROOT_USED),
    ("/data", "/dev/md0", 14308.0, place.DATA_USED),
    ("/home", NFS_SERVER, 80000.0, place.HOME_USED),
)


def assemble_head(facts: Facts) -> dict[str, Any]:
    """What stands before the GPUs."""
    loads = [Slot(place.LOAD_1), Slot(place.LOAD_5), Slot(place.LOAD_15)]
    cpu = {"cpu_percent": Slot(place.CPU), "load_avgs": loads, "num_cpus": facts.plan.cpus}
    return {"hostname": facts.plan.name, "timestamp": Slot(place.TIMESTAMP, ".3"), "cpu": cpu}


def assemble_rest(facts: Facts, number: int) -> dict[str, Any]:
    """What stands after them, but for the metrics. The original's mole sent less."""
    rest = {"memory": _memory(facts), "general": _general(facts), "disk": _disk(facts)}
    if facts.has(scenario.SEED_FORMAT):
        return rest
    events = _events(facts) if number == FAULTS_FROM else []
    return {**rest, **({"events": events} if events else {}), "mole": _mole(facts, number)}


def shape_of(facts: Facts, number: int) -> Shape:
    """What its metrics depend on."""
    plan = facts.plan
    hides_all = facts.is_hung(number)
    return Shape(
        plan.cpus,
        plan.model,
        () if hides_all else tuple([gpu.index for gpu in facts.gpus if not facts.is_lost(gpu, number)]),
        plan.mig,
        plan.failing,
        facts.mounts[:2] if facts.has(scenario.NFS_DEAD) else facts.mounts,
        bool(plan.model and plan.model.links),
        has_help(facts.timing, number),
        number > 0,
    )


def has_help(timing: Timing, number: int) -> bool:
    """Whether the metrics of that post say what they mean."""
    return number % max(1, round(_HELP_EVERY_S / timing.interval_s)) == 0


def hung_entry(facts: Facts) -> dict[str, Any]:
    """In place of the GPUs."""
    report = Report("hung", None, _hung_error(facts), facts.faulty_since_told)
    return {"gpu_error": error_entry(report)}


def _hung_error(facts: Facts) -> str:
    return f"{HUNG} (since {format_time(facts.faulty_since_told)})"


def _memory(facts: Facts) -> dict[str, Any]:
    used = {"available_gb": Slot(place.AVAILABLE, ".3"), "used_gb": Slot(place.USED, ".3")}
    return {"total_gb": facts.plan.memory_gib, **used}


def _general(facts: Facts) -> dict[str, Any]:
    general = {
        "hostname": facts.plan.name,
        "system_time": Slot(place.SYSTEM_TIME, "text"),
        "boottime": format_time(facts.booted_at + facts.clock_ahead_s),
    }
    return general if facts.has(scenario.SEED_FORMAT) else {**general, "boot_id": facts.boot_id, **_SYSTEM}


def _disk(facts: Facts) -> dict[str, Any]:
    disks: dict[str, Any] = {}
    for mount, device, total, used in _DISKS:
        if mount not in facts.mounts:
            continue
        entry: dict[str, Any] = {"mount_point": mount, "device": device}
        if device == NFS_SERVER and facts.has(scenario.NFS_DEAD):
            entry.update(dict.fromkeys(("total_gb", "used_gb", "percent_used")))
            entry["stale_since"] = facts.stale_since_told
        else:
            entry.update({"total_gb": total, "used_gb": Slot(used, ".3"), "percent_used": Slot(used + 1)})
        disks[device if facts.has(scenario.SEED_FORMAT) else mount] = entry
    return disks


def _mole(facts: Facts, number: int) -> dict[str, Any]:
    return {
        "id": facts.mole_id,
        "version": __version__,
        "epoch": facts.epoch,
        "mono_s": Slot(place.MONO, ".3"),
        "cpu_s": Slot(place.MOLE_CPU, ".3"),
        "rss_bytes": Slot(place.MOLE_RSS, "int"),
        "errors": _errors(facts, number),
        "seq": Slot(place.SEQ, "int"),
        "interval_s": facts.timing.interval_s,
        "backlog": 0,
        "dropped": 0,
        "kept": [[facts.epoch, Slot(place.SEQ, "int"), Slot(place.SEQ, "int")]],  # this one only
    }


def _errors(facts: Facts, number: int) -> dict[str, str]:
    errors: dict[str, str] = {}
    if facts.is_hung(number):
        errors["nvml"] = _hung_error(facts)
    if facts.has(scenario.REBOOT_PENDING):
        library = Library(_NEW_LIBRARY, facts.timing.began_at - 3 * DAY_S)
        errors["driver"] = describe_mismatch(DRIVER_VERSION, library) or ""
    if facts.has(scenario.NFS_DEAD):
        since = format_time(facts.stale_since_told)
        errors["disk /home"] = f"no answer since {since}: see whether the server of {NFS_SERVER} is up"
    return errors


def _events(facts: Facts) -> list[dict[str, Any]]:
    """What its mole noticed when the faults came."""
    at = facts.faulty_since_told
    events: list[dict[str, Any]] = []
    for gpu in facts.gpus:
        xid = {"time": at, "kind": "xid", "count": 1, "index": gpu.index}
        if gpu.index in facts.plan.lost:
            lost = {"name": gpu.model.name, "uuid": gpu.uuid, "index": gpu.index, "state": "lost", "error": LOST_ERROR}
            events += [parse_event({**xid, "code": _XID_LOST}), describe_change(lost, at, at)]
        if gpu.index in facts.plan.failing:
            events.append(parse_event({**xid, "code": _XID_REMAPPED}))
    return events
