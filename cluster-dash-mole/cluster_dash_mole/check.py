"""Takes this host's settings, tells a person what its mole reads, what not and why, and whether the server takes it.

Nothing is changed here: no start is counted, no lock is taken, and the one post that is really sent has no id, so that
the server counts it for no mole.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_dash_mole import __version__
from cluster_dash_mole.backend import DeliveryError
from cluster_dash_mole.config import ConfigError, choose_config, load_config
from cluster_dash_mole.identity import Identity, read_host_key, state_folder
from cluster_dash_mole.lock import find_holder
from cluster_dash_mole.main import COLLECT_DURATION, build_runner
from cluster_dash_mole.table import render_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cluster_dash_mole.config import Config
    from cluster_dash_mole.main import MainRunner

_NOBODY = Identity("00000000-0000-0000-0000-000000000000", "check.0")
_GPUS_WITHIN_S = 35.0  # a sleeping driver takes up to 30 s to answer for the first time
_ROUNDS = 10
_BETWEEN_ROUNDS_S = 0.2
_OF_ONE_MOLE = ("id", "epoch", "seq", "mono_s")


class Measured(NamedTuple):
    """A post, and what a reading took: seconds, and seconds of CPU of all its processes."""

    post: dict[str, Any]
    wall_s: float
    cpu_s: float


def print_post(folder: Path, as_table: bool) -> int:
    """One post on stdout, without the auth_code, which is added on sending only."""
    config = _load(folder)
    if config is None:
        return 2
    post = read_once(config).post
    print(render_table(post, shutil.get_terminal_size().columns) if as_table else json.dumps(post, indent=2))
    return 0


def check(folder: Path) -> int:
    """0 = all is read and the server takes it, 1 = something is wrong, which is said, 2 = a setting is."""
    config = _load(folder)
    if config is None:
        return 2
    path = choose_config(folder, os.environ, socket.gethostname())
    _show("mole", f"{__version__}, Python {sys.version.split()[0]}")
    _show("settings", str(path or f"defaults, as {folder} has no config.toml"))
    host_key = read_host_key(socket.gethostname())
    _show("state", describe_state(state_folder(config.state.state_dir, os.environ, host_key)))
    _show("outbox", describe_outbox(config, state_folder(config.state.state_dir, os.environ, host_key)))
    holder = find_holder(config.json_sender.address_in) if config.json_sender.use else None
    _show("running", f"a mole reports to that server, {holder}" if holder else "no mole reports to that server yet")
    measured = read_once(config)
    wrong = show_reading(measured)
    if config.json_sender.use:
        wrong += not show_sending(config, measured.post)
    else:
        _show("server", "none: [Json_Sender_Logger] use = false")
    _show("result", f"{wrong} wrong" if wrong else "all is well")
    return 1 if wrong else 0


def _load(folder: Path) -> Config | None:
    try:
        return load_config(choose_config(folder, os.environ, socket.gethostname()), os.environ)
    except ConfigError as error:
        print(f"cluster-dash-mole: {error}", file=sys.stderr)
        return None


def _show(what: str, text: str) -> None:
    clean = "".join(letter if letter.isprintable() else "?" for letter in text)
    print(f"{what:<12}{clean}", flush=True)


def describe_state(folder: Path) -> str:
    """Whether the mole keeps its id there."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return f"{folder} can't be written: the mole's id would be new at each start"
    known = "has an id" if (folder / "mole.json").is_file() else "gets an id with the first start"
    return f"{folder}: the mole {known}"


def describe_outbox(config: Config, state: Path) -> str:
    """Where posts are that the server hasn't taken, and how many."""
    from cluster_dash_mole.outbox import FOLDER
    from cluster_dash_mole.outbox_scan import count_waiting

    if not config.outbox.max_mib:
        return "none: [Outbox] max_mib = 0"
    folder = state / FOLDER
    try:
        waiting = count_waiting(folder)
    except OSError as error:
        return f"{folder} can't be read: {error.strerror}"
    return f"{folder}: {waiting} posts wait, at most {config.outbox.max_mib:g} MiB"


def read_once(config: Config) -> Measured:
    """A reading as the running mole takes it: not the first, which opens NVML and looks up every user."""
    runner = build_runner(config, _NOBODY, [])
    try:
        time.sleep(runner.step())
        post = runner.collect()
        until = time.monotonic() + _GPUS_WITHIN_S
        while "NVML is starting" in json.dumps(post["mole"]["errors"]) and time.monotonic() < until:
            time.sleep(_BETWEEN_ROUNDS_S)
            post = runner.collect()
        return measure(runner)
    finally:
        runner.close()


def measure(runner: MainRunner) -> Measured:
    """The last of some readings, and what one took on average: the kernel counts a child's CPU in steps of 10 ms."""
    children_s = -_children_cpu_s(runner.collect())
    own_s = -time.process_time()
    wall_s = 0.0
    post: dict[str, Any] = {}
    for _ in range(_ROUNDS):
        time.sleep(_BETWEEN_ROUNDS_S)
        wall_s -= time.monotonic()
        post = runner.collect()
        wall_s += time.monotonic()
    own_s += time.process_time()
    children_s += _children_cpu_s(post)
    return Measured(post, wall_s / _ROUNDS, (own_s + max(0.0, children_s)) / _ROUNDS)


def _children_cpu_s(post: Mapping[str, Any]) -> float:
    return post["mole"]["cpu_s"] - sum(os.times()[:2])


def show_reading(measured: Measured) -> int:
    """The host, its GPUs and each collector; how many things are wrong."""
    post = measured.post
    _show("host", describe_host(post))
    for gpu in post["gpu"].values():
        _show("gpu", describe_gpu(gpu))
    durations = post["metrics"].get(COLLECT_DURATION.name, {"tags": [], "value": []})
    for tags, seconds in zip(durations["tags"], durations["value"]):
        _show("collector", f"{tags['collector']:<10}{seconds * 1000:>8.1f} ms")
    errors: Mapping[str, str] = post["mole"]["errors"]
    for source, text in errors.items():
        _show("not read", f"{source}: {text}")
    _show("reading", f"{measured.wall_s * 1000:.1f} ms, {measured.cpu_s * 1000:.1f} ms of CPU")
    return len(errors) + sum(gpu.get("state", "ok") != "ok" for gpu in post["gpu"].values())


def describe_host(post: Mapping[str, Any]) -> str:
    """What there is to see."""
    cpu, memory, disks = post["cpu"], post.get("memory", {}), post.get("disk", {})
    total = memory.get("total_gb")
    parts = [
        f"{cpu['num_cpus']} CPUs" if cpu.get("num_cpus") else "CPUs not read",
        "memory not read" if total is None else f"{total:.1f} GiB of memory",
        f"{len(disks)} file systems",
        f"{len(post['gpu'])} GPUs",
        f"{len(post['metrics'])} metrics",
    ]
    return f"{post['hostname']}: {', '.join(parts)}"


def describe_gpu(gpu: Mapping[str, Any]) -> str:
    """Its name, and its trouble or what of it isn't told."""
    name = f"{'-' if gpu.get('index') is None else gpu['index']}  {gpu.get('name')}"
    if gpu.get("state", "ok") != "ok":
        return f"{name}: {gpu['state']}: {gpu.get('error')}"
    missing = [key for key in ("used_mem", "total_mem", "gpu_util", "memory_util", "users") if gpu.get(key) is None]
    return f"{name}: {'not told: ' + ', '.join(missing) if missing else 'ok'}"


def show_sending(config: Config, post: dict[str, Any]) -> bool:
    """Send the post once, as the mole would, and tell what that costs; whether the server takes it."""
    from cluster_dash_mole.comms import JsonSenderLogger, add_auth_code, encode_post

    settings = config.json_sender
    sent = {**post, "mole": {key: value for key, value in post["mole"].items() if key not in _OF_ONE_MOLE}}
    body = add_auth_code(encode_post(sent), settings.auth_code)
    seconds = max(settings.min_interval_in_secs, config.poll.poll_interval_in_secs)
    a_day = len(body) * 86400 / seconds / 1e6
    _show("post", f"{len(body)} bytes, {len(gzip.compress(body, 6))} gzipped; {a_day:.1f} MB a day each {seconds:g} s")
    sender = JsonSenderLogger(settings, config.poll.poll_interval_in_secs)
    started, cpu_s = time.monotonic(), time.process_time()
    try:
        sender.deliver(sent)
    except DeliveryError as error:
        _show("server", f"{sender.target} {error}")
        return False
    finally:
        sender.close()
    wall_ms, cpu_ms = (time.monotonic() - started) * 1000, (time.process_time() - cpu_s) * 1000
    _show("server", f"{sender.target} takes it: {wall_ms:.1f} ms, {cpu_ms:.1f} ms of CPU")
    return True
