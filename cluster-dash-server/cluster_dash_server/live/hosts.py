"""Takes posts with their points, gives every host as it is now: its latest post, how old it is, its recent history."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..config import Live
from ..gpus import Gpu
from ..logs import quoted
from ..points import Points
from ..store import NotKept
from ..store.kept import Coming, Parts
from ..store.numbers import Numbers, number_of
from .budget import Budget
from .changes import Changes
from .claim import Arrival, Claim, NameTaken, NumberTaken, Rival, arrival_of
from .clock import NOTICED_S, Clock, OwnError, own_error
from .document import Document, document_of
from .events import Events, sleep_of
from .history import RecentHistory
from .host import Host, Latest, latest_of
from .identity import SOMEBODY, Sender, Verdict
from .portions import Post, portions
from .rows import Segment, SeriesColumns, columns
from .sequences import Seen
from .watch import NEARLY_FULL_PERCENT, Floors, GpuNow, Watch

log = logging.getLogger(__name__)

HOUR_S = 3600.0
GIVES_WAY_AFTER_S = 24 * HOUR_S
"""So long must a host be silent before another one may have its place."""
FULL_SHOWN_S = 600.0
MIB = 2**20
HOST = "host"
"""The kind of its changes."""
Keep = Callable[[Sequence[Coming]], None]
"""See `Store.keep`."""


Started = Callable[[str, str, str, float, float | None], None]
"""Gets the host's name, the epochs before and now, when that was, Unix seconds, and how long after the host's boot."""
Awoke = Callable[[str, float, float], None]
"""Gets the name of a host that was asleep, when it was awake again, Unix seconds by its clock, and its length."""


class HostsFull(Exception):
    """One more host than the settings allow; those that are known go on."""


REFUSALS = (HostsFull, NameTaken, NumberTaken)


def _keep_events(host: Host, post: dict[str, Any], arrival: Arrival, delay_s: float, told: str | None) -> None:
    """Each with its age when it came, for which the host's clock needn't be right."""
    if told:
        host.events.add(arrival.mono_s, {"kind": "machine", "text": told})
    for event in post.get("events", ()):
        ago_s = max(0.0, arrival.timestamp - event["time"]) + delay_s
        host.events.add(arrival.mono_s - ago_s, event)


class Kept(NamedTuple):
    """How far the history is promised to go back, what share of that there is memory for, and how much memory."""

    recent_s: float
    headline_s: float
    share: float
    memory_mib: int


class Hosts:
    def __init__(
        self,
        settings: Live,
        clock: Clock | None = None,
        keep: Keep | None = None,
        forget: Callable[[str], None] | None = None,
        knows_past: Callable[[], bool] = lambda: True,
        started: Started | None = None,
        awoke: Awoke | None = None,
    ) -> None:
        """`keep` returns when a post is on disk, and raises NotKept; `forget` gets the name of a host that shall not be
        back after a restart; `knows_past` says whether all was restored that was kept before the start; `started` is
        told of a mole's next start, `awoke` of a host's sleep. None where nothing is kept but in memory.
        """
        self._keep, self._forget_kept, self._knows_past = keep, forget, knows_past
        self._started, self._awoke = started, awoke
        self.clock = clock or Clock()
        self._settings = settings
        self._monotonic = self.clock.monotonic
        self._lock = threading.Lock()
        self._hosts: dict[str, Host] = {}
        self._budget = Budget(settings.memory_mib * MIB)
        self._refused_at_s: float | None = None
        self._no_room_before_s = -math.inf
        self._floors = Floors()
        self.changes = Changes(2 * settings.max_hosts + 1_000)
        """A host's name is noted under the kind `HOST` whenever anything of it changes."""

    def record(self, post: dict[str, Any], points: Points, sender: Sender = SOMEBODY) -> Seen:
        """Keeps a post, once; when it returns, it is on disk. Raises HostsFull, NameTaken, NumberTaken, NotKept."""
        [seen] = self.record_all([Post(post, points, sender)])
        if isinstance(seen, Exception):
            raise seen
        return seen

    def record_all(self, posts: Iterable[Post]) -> list[Seen | Exception]:
        """In their order. Gives of each what `record` would give or raise; they go to the disk together."""
        found: list[Seen | Exception] = []
        for portion in portions(posts):
            known = [(each, self._known(each)) for each in portion]
            refused = self._keep_all(known) if self._keep else {}
            found += [refused.get(at) or self._note(*each) for at, each in enumerate(known)]
        return found

    def _known(self, post: Post) -> tuple[Document, Arrival]:
        document = document_of(post.document)
        fingerprinted = document.near + document.far
        return document, arrival_of(post.document, fingerprinted, post.sender, self._monotonic())

    def _keep_all(self, known: Sequence[tuple[Post, tuple[Document, Arrival]]]) -> dict[int, Exception]:
        """By place why one is not kept.

        It comes before they count as seen: else the mole, told to come again, would hear that they are duplicates.
        What is not taken is not kept, so it is asked twice whether it is.
        """
        refused: dict[int, Exception] = {}
        coming: dict[int, Coming] = {}
        for at, (post, (document, arrival)) in enumerate(known):
            try:
                with self._lock:
                    _, seen, _ = self._admit(arrival, self._latest(post, document, arrival))
            except REFUSALS as error:
                refused[at] = error
                continue
            if seen is not Seen.DUPLICATE:
                parts, up_s = Parts(document.near, document.far), arrival.machine.up_s
                coming[at] = Coming(parts, post.points, arrival.number, seen is Seen.NEW, up_s)
        try:
            if coming and self._keep:
                self._keep(list(coming.values()))
        except NotKept as error:
            refused |= dict.fromkeys(coming, error)
        return refused

    def _note(self, coming: Post, known: tuple[Document, Arrival]) -> Seen | Exception:
        post, points, _ = coming
        document, arrival = known
        latest = self._latest(coming, document, arrival)
        with self._lock:
            try:
                host, seen, verdict = self._admit(arrival, latest)
            except REFUSALS as error:
                return error
            if seen is Seen.DUPLICATE:
                return seen
            if seen is Seen.NEW:
                host.history.append(arrival.mono_s, points, latest.stale_after_s)
            delay_s, told = host.claim.take(arrival, seen, verdict)
            slept = sleep_of(post)
            if slept and self._awoke:
                self._awoke(arrival.name, *slept)
            if seen is Seen.NEW:
                if verdict is Verdict.REPLACES:
                    latest = latest_of(post, document, arrival.mono_s, None)  # the GPUs of the one before aren't its
                    host.watch = self._new_watch()
                self._tell_start(host, latest, post)
                host.latest = latest = replace(latest, delay_s=delay_s) if delay_s >= 1 else latest
                gpus, metrics = latest.hidden_gpus or points.gpus, post.get("metrics", {})
                host.watch.see(
                    gpus,
                    metrics,
                    self._troubles(post, latest, len(points.gpus)),
                    arrival.mono_s,
                    latest.stale_after_s,
                    slept.slept_s if slept else 0.0,
                )
                self.changes.note(HOST, arrival.name)
            _keep_events(host, post, arrival, delay_s, told)
        return seen

    def _latest(self, post: Post, document: Document, arrival: Arrival) -> Latest:
        known = self._hosts.get(arrival.name)
        return latest_of(post.document, document, arrival.mono_s, known.latest if known else None)

    def _tell_start(self, host: Host, latest: Latest, post: dict[str, Any]) -> None:
        before = host.latest.epoch
        if self._started and before and latest.epoch and before != latest.epoch:
            self._started(host.name, before, latest.epoch, latest.timestamp, post["mole"].get("mono_s"))

    def _admit(self, arrival: Arrival, latest: Latest) -> tuple[Host, Seen, Verdict]:
        host = self._hosts.get(arrival.name) or self._add(arrival, latest)
        silent_s = arrival.mono_s - host.latest.received_mono_s
        try:
            return host, *host.claim.admit(arrival, silent_s, host.latest.stale_after_s)
        except (NameTaken, NumberTaken):
            self.changes.note(HOST, arrival.name)
            raise

    def asks(self, post: dict[str, Any], seen: Seen) -> dict[str, Any]:
        """What the mole of a post that was recorded is told of its other posts: `ack`, all up to there is on disk, and
        `need`, what is to be sent again. Empty where nothing is kept, and for a post without a number.
        """
        number = number_of(post)
        if self._keep is None or number is None:
            return {}
        with self._lock:
            if (host := self._hosts.get(post["hostname"])) is None:
                return {}
            asking = host.claim.asking
            answer = asking.ack(number)
            if seen is Seen.NEW and self._knows_past():
                answer |= {"need": asking.need(number, post["mole"], self._monotonic())}
        return answer

    def restore(self, post: dict[str, Any], received_s: float, numbers: Numbers) -> None:
        """A host as it was before a restart: what it posted last, when that came, Unix seconds, and which posts are
        kept. Whoever has posted since stays as he is, and where all places are taken there is none for it.
        """
        document = document_of(post)
        mono_s = min(self._monotonic(), received_s - self.clock.offset_s())
        arrival = arrival_of(post, document.near + document.far, SOMEBODY, mono_s)
        with self._lock:
            if (known := self._hosts.get(arrival.name)) is not None:
                known.claim.asking.numbers.merge(numbers)
            if known is not None or len(self._hosts) >= self._settings.max_hosts:
                return
            host = self._add(arrival, latest_of(post, document, mono_s, None))
            host.claim.take(arrival, Seen.NEW, Verdict.SAME)
            host.claim.asking.numbers.merge(numbers)
            self.changes.note(HOST, arrival.name)

    def _troubles(self, post: dict[str, Any], latest: Latest, gpus: int) -> list[str]:
        """As `Watch` keeps them; `gpus` is how many the post has."""
        troubles = [f"mole:{what}" for what in errors] if (errors := post.get("mole", {}).get("errors")) else []
        if abs(latest.skew_s(self.clock.offset_s())) >= NOTICED_S:
            troubles.append("clock")
        if len(post["gpu"]) != gpus:  # one entry only carries the error
            troubles.append("gpu")
        for key, disk in post.get("disk", {}).items():
            if (disk.get("percent_used") or 0) >= NEARLY_FULL_PERCENT:
                troubles.append(f"disk:{disk.get('mount_point') or key}")
        return troubles

    def _new_watch(self) -> Watch:
        return Watch(self._floors, self._settings.idle_after_minutes * 60)

    def _add(self, arrival: Arrival, latest: Latest) -> Host:
        if len(self._hosts) >= self._settings.max_hosts and not self._make_room(arrival.mono_s):
            self._refused_at_s = arrival.mono_s
            raise HostsFull(f"this server keeps {self._settings.max_hosts} hosts ([live] max_hosts) and has as many")
        history = RecentHistory(self._settings.recent_minutes * 60, self._settings.headline_hours * 3600)
        history.share = self._budget.share
        host = Host(arrival.name, latest, history, Claim(arrival), Events(), self._new_watch())
        self._hosts[arrival.name] = host
        return host

    def _make_room(self, mono_s: float) -> bool:
        """Forgets the host that has been silent the longest, where that is long enough."""
        after_s = min(GIVES_WAY_AFTER_S, self._settings.forget_hosts_after_h * HOUR_S)
        if not after_s or mono_s < self._no_room_before_s:
            return False
        oldest = min(self._hosts.values(), key=lambda host: host.latest.received_mono_s)
        self._no_room_before_s = oldest.latest.received_mono_s + after_s  # until then none can be silent for so long
        return mono_s > self._no_room_before_s and self._forget(oldest)

    def _forget(self, host: Host) -> bool:
        log.info("%s is forgotten: no post for %.0f hours", quoted(host.name), self.age_s(host.latest) / HOUR_S)
        self._drop(host)
        return True

    def _drop(self, host: Host) -> None:
        del self._hosts[host.name]
        if self._forget_kept is not None:
            self._forget_kept(host.name)
        self.changes.note(HOST, host.name)

    def remove(self, host: Host) -> bool:
        """Forgets a host and its history, unless it is up; whether it is gone. It is back with its next post."""
        with self._lock:
            if self._hosts.get(host.name) is not host or host.latest.status(self.age_s(host.latest)) == "up":
                return False
            self._drop(host)
        return True

    def warnings(self) -> list[str]:
        """For every page."""
        refused_at_s = self._refused_at_s
        if refused_at_s is None or self._monotonic() - refused_at_s > FULL_SHOWN_S:
            return []
        most = self._settings.max_hosts
        return [f"This server keeps {most} hosts and has as many: posts of others are refused. Raise [live] max_hosts."]

    def __len__(self) -> int:
        return len(self._hosts)

    def all(self) -> list[Host]:
        """By name."""
        with self._lock:
            return sorted(self._hosts.values(), key=lambda host: host.name)

    def get(self, name: str) -> Host | None:
        return self._hosts.get(name)

    def age_s(self, latest: Latest) -> float:
        """Since it came, by a clock that nobody sets."""
        return max(0.0, self._monotonic() - latest.received_mono_s)

    def own_error(self) -> OwnError | None:
        """Whether the server's clock is wrong, by those of the hosts that are up."""
        offset_s, mono_s = self.clock.offset_s(), self._monotonic()
        return own_error(
            [
                latest.skew_s(offset_s)
                for latest in [host.latest for host in list(self._hosts.values())]
                if mono_s - latest.received_mono_s <= latest.stale_after_s
            ]
        )

    def skew_s(self, latest: Latest, own: OwnError | None) -> float | None:
        """How far a host's clock is ahead of the server's, or of most hosts' where the server's is the wrong one; None
        while that is within what a post's way takes.
        """
        skew_s = latest.skew_s(self.clock.offset_s()) + (own.ahead_s if own else 0.0)
        return skew_s if abs(skew_s) >= NOTICED_S else None

    def rivals(self, host: Host) -> list[Rival]:
        """Who else posts under its name, the latest first."""
        if not host.claim.has_rivals:
            return []
        with self._lock:
            return host.claim.rivals(self._monotonic())

    def gpus_now(self, host: Host, gpus: list[Gpu]) -> tuple[float, list[GpuNow]]:
        """When that is, and what each of its GPUs does."""
        with self._lock:
            mono_s = self._monotonic()
            return mono_s, host.watch.gpus_now(gpus, mono_s)

    @property
    def mono_s(self) -> float:
        """Now, by the clock of all `*_mono_s`."""
        return self._monotonic()

    def ago_s(self, mono_s: float) -> float:
        return max(0.0, self._monotonic() - mono_s)

    def events(self, host: Host) -> list[dict[str, Any]]:
        """The newest first, each with its age as `ago_s`."""
        with self._lock:
            events = host.events.newest_first()
        return [{**event, "ago_s": self.ago_s(mono_s)} for mono_s, event in events]

    def series(self, host: Host, *metrics: str) -> list[SeriesColumns]:
        """Every series of these metrics in the last minutes, by metric, device, tags; rows belong together."""
        with self._lock:
            segments = host.history.recent_segments()
        return columns(segments, metrics, self.clock.offset_s())

    def headline(self, host: Host, *metrics: str) -> list[SeriesColumns]:
        """The same by the minute in the last hours, of the metrics in `minutes.HEADLINE`."""
        with self._lock:
            segments = host.history.minute_segments()
        return columns(segments, metrics, self.clock.offset_s())

    def minutes(self, host: Host) -> list[Segment]:
        """What `headline` is made of, oldest first, without the minute that goes on."""
        with self._lock:
            return host.history.minutes.segments()

    def kept(self, host: Host | None = None) -> Kept:
        """Of one host, or in general."""
        settings = self._settings
        share = host.history.share if host else self._budget.share
        return Kept(settings.recent_minutes * 60, settings.headline_hours * 3600, share, settings.memory_mib)

    def forget_silent_hosts(self) -> None:
        """Those that have posted nothing for `[live] forget_hosts_after_h`."""
        forget_after_s = self._settings.forget_hosts_after_h * HOUR_S or math.inf
        for host in self.all():
            with self._lock:
                if self.age_s(host.latest) > forget_after_s and self._hosts.get(host.name) is host:
                    self._forget(host)

    def keep_within_memory(self) -> None:
        """Forgets what is too old, and for want of memory what is less old."""
        self._budget.keep([host.history for host in self.all()], self._forget_history)

    def _forget_history(self, history: RecentHistory) -> None:
        with self._lock:
            history.forget(self._monotonic())
