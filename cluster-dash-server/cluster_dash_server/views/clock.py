"""Takes the server's clock and its hosts, gives what to tell of that clock: on every page, and in /health."""

from __future__ import annotations

from ..live.clock import OwnError, Step
from ..live.hosts import Hosts
from .wording import duration

LOOK = "look at its timedatectl, chrony or ntpd"


def clock_warnings(hosts: Hosts) -> list[str]:
    step, own = hosts.clock.look(), hosts.own_error()
    warnings = [_of_error(own)] if own else []
    return [*warnings, _of_step(step, hosts)] if step else warnings


def clock_facts(hosts: Hosts) -> dict[str, object]:
    """`ahead_of_hosts_s` is null where most hosts' clocks agree with the server's, or too few tell."""
    step, own = hosts.clock.look(), hosts.own_error()
    return {
        "time": hosts.clock.wall(),
        "steps": hosts.clock.steps,
        "last_step_s": round(step.by_s, 1) if step else None,
        "last_step_ago_s": round(hosts.ago_s(step.mono_s), 1) if step else None,
        "ahead_of_hosts_s": round(own.ahead_s, 1) if own else None,
    }


def _of_error(own: OwnError) -> str:
    off = f"{duration(abs(own.ahead_s))} {'ahead' if own.ahead_s > 0 else 'behind'}"
    who = f"by the clocks of {own.agree} of the {own.hosts} hosts that are up"
    return f"This server's own clock is {off} {who}: {LOOK}."


def _of_step(step: Step, hosts: Hosts) -> str:
    how = f"{'forward' if step.by_s > 0 else 'back'} by {duration(abs(step.by_s))}"
    return f"This server's clock was set {how}, {duration(hosts.ago_s(step.mono_s))} ago."
