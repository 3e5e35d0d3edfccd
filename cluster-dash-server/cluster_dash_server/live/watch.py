"""Takes the GPUs of each post of a host, keeps since when each is in its condition, when it last worked, and how little
power it draws when nobody uses it; the same of the host's troubles.

Kept at the way in, so that "held without work for 3 hours" needs no walk through the history. All times are by a clock
that nobody sets. What was before the server's start isn't known: everything began at the first post, at the latest.

**Gaps.** The time that a host was away counts as nothing: marks move by its length, so that a GPU isn't idle for the
minutes in which its host was off the network. After AFRESH_AFTER_S everything begins anew: it may have done anything,
but not in the time that the host was asleep.

**Idle.** Held (memory above the free bound, utilisation under 5 %) for `[live] idle_after_minutes` without a break.
Where the floor of its power is known, a GPU that draws much more works, whatever the utilisation says: see `Floors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..gpus import FREE, HELD, OCCUPIED, SPLIT, WORKS, Gpu, condition_of
from ..plausible import SENSORS

AFRESH_AFTER_S = 600.0
NEARLY_FULL_PERCENT = 90
"""From here on a disk is a trouble."""
SETTLED_AFTER_S = 30.0
"""So long must a GPU be free before its power counts as its floor: clocks and fans take a while to come down."""
FLOOR_SHARE = 0.25
FLOOR_SLACK_W = 25.0
MOST_MODELS = 256
BUSY, IDLE = "busy", "idle"
POWER, POWER_LIMIT = "sys.gpu.power_w", "sys.gpu.power_limit_w"
MOST_WATTS = SENSORS[POWER].most
USED = frozenset((WORKS, HELD, OCCUPIED, SPLIT))


class Floors:
    """The least power that any GPU of a model was seen to draw while it was free, in watts, by the model's name.

    A GPU that was never seen free takes its model's; where that isn't known either, power decides nothing. Near the
    floor is up to a quarter of the way from there to the power limit, and 25 W at least: a process that only holds
    memory keeps the clocks up, which costs that much on its own; work in which a kernel runs for less than 5 % of the
    time does not come so far.
    """

    def __init__(self) -> None:
        self._by_model: dict[str, float] = {}

    def learn(self, model: str, watts: float) -> None:
        known = self._by_model.get(model)
        if known is None and len(self._by_model) >= MOST_MODELS:
            return
        if known is None or watts < known:
            self._by_model[model] = watts

    def of(self, model: str) -> float | None:
        return self._by_model.get(model)


def is_near(floor_w: float, watts: float, limit_w: float | None) -> bool:
    """Whether a GPU that draws so much does next to nothing. See `Floors`."""
    span_w = (limit_w - floor_w) * FLOOR_SHARE if limit_w is not None else floor_w
    return watts <= floor_w + max(FLOOR_SLACK_W, span_w)


class GpuNow(NamedTuple):
    """What a person is told of a GPU. Times by the monotonic clock."""

    what: str
    """free, busy, idle, lost, hung, error or unknown."""
    since_mono_s: float
    worked_mono_s: float | None
    """When it last worked; where it wasn't seen to, since when it is known not to. None where that says nothing."""
    until_mono_s: float | None
    """When it becomes idle unless something changes; None where time changes nothing."""


class _Marks:
    __slots__ = ("condition", "floor_w", "since", "used_since", "worked")

    def __init__(self, condition: str, mono_s: float) -> None:
        self.condition = condition
        self.since = mono_s
        self.used_since = mono_s
        """Since when somebody is on it without having been idle."""
        self.worked: float | None = None
        self.floor_w: float | None = None

    def change(self, condition: str, mono_s: float, idle_after_s: float) -> None:
        was_idle = self.condition == HELD and mono_s - self.since >= idle_after_s
        if was_idle or self.condition not in USED or condition not in USED:
            self.used_since = mono_s
        self.condition = condition
        self.since = mono_s

    def move(self, seconds: float) -> None:
        self.since += seconds
        self.used_since += seconds
        if self.worked is not None:
            self.worked += seconds

    def begin_anew(self, condition: str, mono_s: float) -> None:
        self.condition, self.since, self.used_since, self.worked = condition, mono_s, mono_s, None


class Watch:
    """One host's. Not safe for threads by itself; `Hosts` holds its lock."""

    __slots__ = ("_floors", "_idle_after_s", "_marks", "_seen_mono_s", "_troubles")

    def __init__(self, floors: Floors, idle_after_s: float) -> None:
        self._floors, self._idle_after_s = floors, idle_after_s
        self._marks: dict[str, _Marks] = {}
        """By UUID, else by id: an index moves when a GPU is lost."""
        self._troubles: dict[str, float] = {}
        self._seen_mono_s: float | None = None

    def see(
        self,
        gpus: Sequence[Gpu],
        metrics: Mapping[str, Any],
        troubles: Iterable[str],
        mono_s: float,
        gap_after_s: float,
        slept_s: float = 0.0,
    ) -> None:
        """A post's GPUs, its `metrics`, and what else is wrong with the host, each as a short key. `slept_s`: how long
        the host was asleep since the post before.
        """
        if self._seen_mono_s is not None and mono_s - self._seen_mono_s > gap_after_s:
            gap_s = mono_s - self._seen_mono_s
            self._leave_out(gap_s, afresh=gap_s - slept_s > AFRESH_AFTER_S)
        self._seen_mono_s = mono_s
        before, marks = self._marks, {}
        power = None
        for gpu in gpus:
            condition = condition_of(gpu)
            key = gpu.uuid or gpu.id
            known = before.get(key)
            if known is None:
                known = _Marks(condition, mono_s)
            marks[key] = known
            if condition is FREE or condition is HELD:
                if power is None:
                    power = _by_device(metrics, POWER)
                watts = power.get(gpu.index)
                if watts is not None and self._works(gpu, known, condition, watts, mono_s, metrics):
                    condition = WORKS
            if condition != known.condition:
                known.change(condition, mono_s, self._idle_after_s)
            if condition is WORKS:
                known.worked = mono_s
        self._marks = marks
        if self._troubles or troubles:
            self._troubles = {what: self._troubles.get(what, mono_s) for what in troubles}

    def _leave_out(self, gap_s: float, *, afresh: bool) -> None:
        for marks in self._marks.values():
            if afresh:
                marks.begin_anew("", self._seen_mono_s or 0.0)
            else:
                marks.move(gap_s)
        self._troubles = {} if afresh else {what: since + gap_s for what, since in self._troubles.items()}

    def _works(
        self, gpu: Gpu, marks: _Marks, condition: str, watts: float, mono_s: float, metrics: Mapping[str, Any]
    ) -> bool:
        """Whether its power says so; a free one's power is learnt from instead."""
        if not 0 <= watts <= MOST_WATTS:
            return False
        if condition is FREE:
            settled = marks.condition is FREE and mono_s - marks.since >= SETTLED_AFTER_S
            if settled and watts > 0 and (marks.floor_w is None or watts < marks.floor_w):
                marks.floor_w = watts
                self._floors.learn(gpu.name, watts)
            return False
        floor_w = marks.floor_w if marks.floor_w is not None else self._floors.of(gpu.name)
        return floor_w is not None and not is_near(floor_w, watts, _by_device(metrics, POWER_LIMIT).get(gpu.index))

    def gpus_now(self, gpus: Sequence[Gpu], mono_s: float) -> list[GpuNow]:
        """What each of the host's GPUs does."""
        found: list[GpuNow] = []
        for gpu in gpus:
            marks = self._marks.get(gpu.uuid or gpu.id)
            if marks is None:  # the next post came while this one is looked at
                found.append(GpuNow(_told(condition_of(gpu)), mono_s, None, None))
            elif marks.condition == HELD:
                found.append(_held(marks, mono_s, self._idle_after_s))
            elif marks.condition in USED:
                found.append(GpuNow(BUSY, marks.used_since, marks.worked, None))
            else:
                found.append(GpuNow(marks.condition, marks.since, marks.worked, None))
        return found

    def trouble_since(self, what: str) -> float | None:
        """By the monotonic clock; None where it isn't known."""
        return self._troubles.get(what)


def _held(marks: _Marks, mono_s: float, idle_after_s: float) -> GpuNow:
    worked = marks.since if marks.worked is None else marks.worked
    idle_at = marks.since + idle_after_s
    return GpuNow(IDLE, idle_at, worked, None) if mono_s >= idle_at else GpuNow(BUSY, marks.used_since, worked, idle_at)


def _told(condition: str) -> str:
    return BUSY if condition in USED else condition


def _by_device(metrics: Mapping[str, Any], metric: str) -> dict[int, float]:
    """The values of a metric by GPU index."""
    posted = metrics.get(metric)
    return dict(zip(posted.get("device") or (), posted["value"], strict=False)) if posted else {}
