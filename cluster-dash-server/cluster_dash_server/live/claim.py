"""Takes every post that comes under a host's name, holds which machine has that name, and who else wants it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..store.numbers import Number, number_of
from .asking import Asking
from .identity import Machine, Sender, Verdict, judge, machine_of, merge
from .sequences import Seen, Sequences, fingerprint

log = logging.getLogger(__name__)

MAX_RIVALS = 4
RIVAL_SHOWN_S = 600.0
"""A mole that is refused tries again within a minute."""
SHORT_ID = 8
UNKNOWN = "unknown address"


class NameTaken(Exception):
    """Another machine has the name and is alive; the text is for whoever runs the one that is refused."""


class NumberTaken(Exception):
    """A post of this mole and number is here, with other content."""


class Arrival(NamedTuple):
    """A post at the door: all of it that decides whether it is taken."""

    name: str
    machine: Machine
    number: Number | None
    content: int
    timestamp: float
    sender: Sender
    mono_s: float


def arrival_of(post: Mapping[str, Any], document: bytes, sender: Sender, mono_s: float) -> Arrival:
    """`document` is the post as JSON."""
    number = number_of(post)
    content = fingerprint(document) if number else 0
    return Arrival(post["hostname"], machine_of(post), number, content, float(post["timestamp"]), sender, mono_s)


@dataclass(slots=True)
class Rival:
    """Who else posts under the name, and is refused."""

    machine: Machine
    address: str
    by_number: bool
    """Refused as its posts have the numbers of others; else as another machine."""
    since_mono_s: float
    last_mono_s: float
    posts: int = 1

    @property
    def label(self) -> str:
        return label(self.machine, self.address)


class Claim:
    """One host's. Not safe for threads by itself; `Hosts` holds its lock."""

    def __init__(self, first: Arrival) -> None:
        self.machine = first.machine
        self.address = first.sender.address
        self.since_mono_s = first.mono_s
        self.duplicates = 0
        self.asking = Asking()
        self._sequences = Sequences()
        self._rivals: dict[tuple[bool, str | None, str | None], Rival] = {}

    def admit(self, arrival: Arrival, silent_s: float, stale_after_s: float) -> tuple[Seen, Verdict]:
        """Changes nothing but what is told of those that are refused. Raises NameTaken, NumberTaken."""
        seen = Seen.NEW
        if arrival.number:
            seen = self._sequences.look_up(arrival.number, arrival.content, arrival.timestamp)
        if seen is Seen.DUPLICATE:
            self.duplicates += 1
            return seen, Verdict.SAME
        if seen is Seen.CHANGED:
            self._note_rival(arrival, by_number=True)
            raise NumberTaken(
                f"a post with this number ({arrival.number.seq if arrival.number else ''}) and other content is here "
                "already, and the first is kept: where two moles run with one id, from a copied disk or state folder, "
                "delete mole.json in the copy's and restart that mole"
            )
        verdict = judge(self.machine, arrival.machine, silent_s, stale_after_s)
        if verdict is Verdict.REFUSED:
            self._note_rival(arrival, by_number=False)
            raise NameTaken(self._word_refusal(arrival, stale_after_s))
        return seen, verdict

    def take(self, arrival: Arrival, seen: Seen, verdict: Verdict) -> tuple[float, str | None]:
        """What was admitted and is kept: (seconds that it was on its way, what a new machine is told with)."""
        delay_s, told = 0.0, None
        if seen is Seen.NEW:
            told = self._hand_over(arrival) if verdict is Verdict.REPLACES else None
            self.machine = arrival.machine if told else merge(self.machine, arrival.machine)
            self.address = arrival.sender.address
        if arrival.number:
            is_newest = seen is Seen.NEW
            self.asking.numbers.add(arrival.number)
            self._sequences.add(arrival.number, arrival.content, arrival.timestamp, is_newest=is_newest)
            delay_s = self._sequences.delay_s(arrival.number, arrival.machine.up_s, arrival.mono_s)
        return delay_s, told

    @property
    def has_rivals(self) -> bool:
        """That tried lately, or longer ago."""
        return bool(self._rivals)

    def rivals(self, mono_s: float) -> list[Rival]:
        """Those that tried lately, the latest first; copies."""
        recent = [replace(rival) for rival in self._rivals.values() if mono_s - rival.last_mono_s <= RIVAL_SHOWN_S]
        return sorted(recent, key=lambda rival: -rival.last_mono_s)

    def _hand_over(self, arrival: Arrival) -> str:
        before, now = label(self.machine, self.address), label(arrival.machine, arrival.sender.address)
        log.warning("another machine reports as %r: %r, before it %r", arrival.name, now, before)
        self.since_mono_s = arrival.mono_s
        self._rivals.clear()
        what = "another machine" if self.machine.mole_id else "a mole with an id"
        return f"{what}: since then {now}, before it {before}"

    def _note_rival(self, arrival: Arrival, *, by_number: bool) -> None:
        key = (by_number, arrival.machine.mole_id, arrival.machine.boot_id)
        known = self._rivals.get(key)
        if known and arrival.mono_s - known.last_mono_s <= RIVAL_SHOWN_S:
            known.machine, known.address, known.last_mono_s = arrival.machine, arrival.sender.address, arrival.mono_s
            known.posts += 1
            return
        rival = Rival(arrival.machine, arrival.sender.address, by_number, arrival.mono_s, arrival.mono_s)
        if not self.rivals(arrival.mono_s):
            log.warning(
                "two senders report as %r: %r has the name, %r is refused",
                arrival.name, label(self.machine, self.address), rival.label,
            )  # fmt: skip
        self._rivals[key] = rival
        if len(self._rivals) > MAX_RIVALS:
            del self._rivals[min(self._rivals, key=lambda each: self._rivals[each].last_mono_s)]

    def _word_refusal(self, arrival: Arrival, stale_after_s: float) -> str:
        """Without what changes from post to post: a mole logs each text once. It cuts texts at 300 characters."""
        first = label(self.machine, self.address)
        if arrival.sender.token_host is not None:
            return (
                f"this token is in use on another machine, {first}: give this one a name and a token of its own "
                "(hostnamectl set-hostname NAME; on the server: cluster-dash-server token NAME)"
            )
        return (
            f"another machine reports under this name, {first}: give one of the two another name (hostnamectl "
            f"set-hostname NAME), or end that mole: after {stale_after_s:.0f} s without it this one is taken"
        )


def label(machine: Machine, address: str) -> str:
    """`10.0.0.5 (mole 6f1c0f6e, boot 1a2b3c4d)`."""
    return f"{address or UNKNOWN} ({ids_of(machine)})"


def ids_of(machine: Machine) -> str:
    """Short; the boot tells copies of one disk apart."""
    ids = [f"mole {machine.mole_id[:SHORT_ID]}"] if machine.mole_id else ["no mole's id"]
    ids += [f"boot {machine.boot_id[:SHORT_ID]}"] if machine.boot_id else []
    return ", ".join(ids)
