"""Takes each post before it is tried, gives those that the server hasn't taken, after a restart too.

One thread does all that writes, so that a disk that is slow, full or hung delays neither reading nor live posts. What
it couldn't write yet is in memory, the newest ten minutes of it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from cluster_dash_mole.outbox_answers import Ack, Need, read_ack, read_needs
from cluster_dash_mole.outbox_files import OutboxFiles, Place
from cluster_dash_mole.refused import keep_refused
from cluster_dash_mole.segment import REFUSED, TAKEN, WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = "outbox"
"""In the mole's state folder."""
IN_MEMORY_S = 600.0
_IN_MEMORY_BYTES = 16 * 2**20
_SAY_DROPPED_S = 3600.0
_TRY_AGAIN_S = 5.0
_MOST_ORDERS = 1000
_MOST_HELD = 8  # runs that each post tells of
_LEVEL = 1  # of zlib: a quarter of the size for a quarter of the CPU that the usual level takes


class Letter:
    """A post on its way. `place` None: it isn't on the disk."""

    __slots__ = ("at_s", "body", "epoch", "is_dropped", "is_tried", "place", "seq", "state")

    def __init__(self, epoch: str, seq: int, body: bytes, at_s: float = 0.0, place: Place | None = None) -> None:
        self.epoch = epoch
        self.seq = seq
        self.body = body
        self.at_s = at_s
        self.place = place
        self.state = WAITING
        self.is_tried = self.is_dropped = False


class _Refusal(NamedTuple):
    """Never again."""

    letter: Letter
    status: int
    said: str


class Outbox:
    """What waits. `on_waiting` is called when there is something for the backlog to send."""

    def __init__(self, folder: Path, epoch: str, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._epoch = epoch
        self._clock = clock
        self.on_waiting: Callable[[], None] = lambda: None
        self._files = OutboxFiles(folder, most_bytes, clock)
        self._disk = threading.Lock()
        """Held while a file is read or written, never by who may not wait."""
        self._mail = threading.Condition()
        """Held for moments only."""
        self._unkept: deque[Letter] = deque()
        self._unkept_bytes = 0
        self._orders: deque[Letter | Ack | Need | _Refusal] = deque()
        self._live: dict[int, Letter] = {}
        self._sent: dict[str, int] = {}
        self.held: list[tuple[str, int, int]] = []
        """What is on the disk, taken or not, as epoch, first and last number; the newest such runs. Replaced whole."""
        self._trouble = ""
        self._lost_before = 0
        self._dropped_at_s = -math.inf
        self._is_told_wrong = False
        self._is_new = True
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Posts that the server hasn't taken, with those that are on their way."""
        with self._mail:
            return self._files.waiting + sum(letter.state == WAITING for letter in self._unkept)

    @property
    def dropped(self) -> int:
        """Posts that were lost since this installation began."""
        return self._files.tally.dropped

    def describe(self) -> str:
        """What is wrong, for a person; empty where nothing is."""
        lost, self._lost_before = self._lost_before, self._files.tally.dropped_since_start
        if lost != self._lost_before:
            self._dropped_at_s = self._clock()
        said = [self._trouble] if self._trouble else []
        if self._clock() - self._dropped_at_s < _SAY_DROPPED_S:
            said.append(f"posts were lost in the last hour, {self.dropped} in all")
        return "; ".join(said)

    def put(self, seq: int, body: bytes) -> Letter:
        """A new post, which the live sender is about to send. `body` is JSON without the auth_code."""
        letter = Letter(self._epoch, seq, body, self._clock())
        with self._mail:
            self._live[seq] = letter
            self._unkept.append(letter)
            self._unkept_bytes += len(body)
            self._drop_oldest(letter.at_s)
            self._mail.notify_all()
        return letter

    def _drop_oldest(self, now_s: float) -> None:
        """Of those in memory."""
        while self._unkept_bytes > _IN_MEMORY_BYTES or now_s - self._unkept[0].at_s > IN_MEMORY_S:
            if len(self._unkept) == 1:
                return
            letter = self._unkept.popleft()
            self._unkept_bytes -= len(letter.body)
            if letter.state == WAITING:
                letter.is_dropped = True
                self._files.tally.count(dropped=1)

    def wait_until_kept(self, letter: Letter, patience_s: float) -> None:
        """A moment for the disk, so that a post is kept before it is tried."""
        with self._mail:
            self._mail.wait_for(lambda: letter.is_tried or self._closed, patience_s)

    def note_sent(self, letters: Iterable[Letter]) -> None:
        """They are about to be sent: the server may say that it has them."""
        with self._mail:
            for letter in letters:
                self._sent[letter.epoch] = max(letter.seq, self._sent.get(letter.epoch, 0))

    def release(self, letter: Letter) -> None:
        """The live sender leaves it to the backlog."""
        with self._mail:
            self._live.pop(letter.seq, None)
            self._is_new = True
            self._mail.notify_all()

    def finish(self, letters: Sequence[Letter], state: bytes = TAKEN) -> None:
        """The server has taken them."""
        with self._mail:
            for letter in letters:
                letter.state = state
                if self._live.get(letter.seq) is letter:
                    del self._live[letter.seq]
                if letter.is_dropped:
                    self._files.tally.count(dropped=-1)
                if letter.place:
                    self._orders.append(letter)
            self._mail.notify_all()

    def refuse(self, letter: Letter, status: int, said: str) -> None:
        """The server will never take it: it is set aside."""
        self._files.tally.count(refused=1)
        with self._mail:
            self._orders.append(_Refusal(letter, status, said))
        self.finish([letter], REFUSED)

    def note_answer(self, said: dict[str, Any]) -> None:
        """What an answer says of other posts: `ack`, which ones the server has, and `need`, which it wants again."""
        orders: list[Ack | Need] = [*self._read_ack(said), *read_needs(said.get("need"))]
        with self._mail:
            if orders and len(self._orders) < _MOST_ORDERS:  # a disk that doesn't work takes none
                self._orders.extend(orders)
                self._mail.notify_all()

    def _read_ack(self, said: dict[str, Any]) -> list[Ack]:
        """None where it is of a start of which nothing was sent, or above what was."""
        ack = read_ack(said.get("ack"))
        newest = None if ack is None else self._sent.get(ack.epoch)
        if ack is None or newest is None:
            return []
        if ack.seq <= newest:
            return [ack]
        if not self._is_told_wrong:
            self._is_told_wrong = True
            log.error(
                "the server acknowledges post %d of %s, and %d is the newest that was sent: an error of the server's, "
                "which is ignored and said once", ack.seq, ack.epoch, newest,
            )  # fmt: skip
        return []

    def read_waiting(self, most: int, most_bytes: int) -> list[Letter]:
        """The oldest that wait, but for those that the live sender has. Empty where the disk is in trouble."""
        found: list[Letter] = []
        with self._disk:
            live = set(self._live)  # before what is known of posts is noted: one that is taken meanwhile isn't read
            if not self._obey():
                return []
            try:
                for place, record in self._files.read_waiting(
                    most, most_bytes, lambda epoch, seq: epoch == self._epoch and seq in live
                ):
                    body = zlib.decompress(record.packed)
                    found.append(Letter(record.epoch, record.seq, body, place=place))
                    most_bytes -= len(body)
                    if most_bytes <= 0:
                        break
            except OSError as error:
                self._note_trouble(error)
                with self._mail:
                    self._is_new = True  # a damaged file is looked through, and set aside, at once
                    self._mail.notify_all()
            with self._mail:
                for letter in self._unkept:
                    if len(found) < most and letter.state == WAITING and letter.seq not in self._live:
                        found.append(letter)
        return found

    def _run(self) -> None:
        while True:
            with self._mail:
                self._mail.wait_for(self._has_work, _TRY_AGAIN_S if self._trouble else None)
                is_last, self._is_new = self._closed, False
            with self._disk:
                try:
                    self._keep_all()
                except Exception as error:
                    log.exception("the outbox failed; live posts go on")
                    self._note_trouble(error)
                    self._note_tried()
                is_backlog = self.waiting > len(self._live)
            if is_backlog:
                self.on_waiting()
            if is_last:
                break
        with self._disk:
            self._files.close()

    def _has_work(self) -> bool:
        untried = bool(self._unkept) and not self._unkept[-1].is_tried
        return untried or self._is_new or self._closed or bool(self._orders and not self._trouble)

    def _keep_all(self) -> None:
        """What is in memory goes to the disk, in its order, and then what is known of posts there."""
        try:
            self._files.open()
            while self._unkept:
                letter = self._unkept[0]
                packed = zlib.compress(letter.body, _LEVEL)
                place = self._files.append(letter.epoch, letter.seq, packed, letter.state)
                self._note_kept(letter, place)
            self._files.expire()
            self._files.tally.save()
            self.held = self._files.held(_MOST_HELD)
        except OSError as error:
            self._note_trouble(error)
            self._note_tried()
        else:
            if self._obey() and self._trouble:
                log.info("the outbox in %s works again", self.folder)
                self._trouble = ""

    def _note_kept(self, letter: Letter, place: Place | None) -> None:
        with self._mail:
            if self._unkept and self._unkept[0] is letter:
                self._unkept.popleft()
                self._unkept_bytes -= len(letter.body)
            letter.place = place
            letter.is_tried = True
            if letter.state != WAITING and place:
                self._orders.append(letter)
            self._mail.notify_all()

    def _note_tried(self) -> None:
        with self._mail:
            for letter in self._unkept:
                letter.is_tried = True
            self._mail.notify_all()

    def _note_trouble(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        text = f"{self.folder} can't be used ({reason}): the newest {IN_MEMORY_S / 60:g} minutes are in memory"
        if text != self._trouble:
            log.warning("the outbox in %s", text)
        self._trouble = text

    def _obey(self) -> bool:
        """Note in the files what became of posts; whether all is noted. Until then none is read, to be sent again."""
        while self._orders:
            order = self._orders[0]
            try:
                self._obey_one(order)
            except OSError as error:
                self._note_trouble(error)
                return False
            with self._mail:
                self._orders.popleft()
        return True

    def _obey_one(self, order: Letter | Ack | Need | _Refusal) -> None:
        if isinstance(order, Ack):
            self._files.mark_up_to(order.epoch, order.seq)
            with self._mail:
                for letter in self._unkept:
                    if letter.epoch == order.epoch and letter.seq <= order.seq and letter.state == WAITING:
                        letter.state = TAKEN
        elif isinstance(order, Need):
            self._files.wait_again(order.epoch, order.first, order.last, order.last - order.first + 1)
        elif isinstance(order, _Refusal):
            keep_refused(self.folder, self._files.tally.refused, order.letter.body, order.status, order.said)
        elif order.place:
            self._files.mark(order.place, order.state)

    def close(self, patience_s: float = 0.2) -> None:
        """Stop, with a moment for what isn't on the disk yet."""
        with self._mail:
            self._closed = True
            self._mail.notify_all()
        self._thread.join(patience_s)
