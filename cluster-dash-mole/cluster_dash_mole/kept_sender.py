"""Takes posts, keeps each in the outbox, then sends the newest at its time; what it missed is the backlog's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cluster_dash_mole.backlog import SET_ASIDE, Backlog
from cluster_dash_mole.comms import JsonSenderLogger, add_auth_code, encode_post

if TYPE_CHECKING:
    from cluster_dash_mole.backend import DeliveryError
    from cluster_dash_mole.config import JsonSenderLoggerSettings
    from cluster_dash_mole.outbox import Letter, Outbox

log = logging.getLogger(__name__)

_KEPT_WITHIN_S = 0.2  # a disk that takes longer doesn't hold a live post up


class KeptSender(JsonSenderLogger):
    """The server's backend with an outbox. A post's JSON is made once: it is what is sent, kept and sent again."""

    gives_up = "this post is set aside, the next one is tried"

    def __init__(
        self, settings: JsonSenderLoggerSettings, poll_interval_s: float, outbox: Outbox, posts_per_s: float
    ) -> None:
        self._outbox = outbox
        super().__init__(settings, poll_interval_s)
        self._backlog = Backlog(outbox, settings, posts_per_s, self.interval_s, self.word)

    def prepare(self, post: dict[str, Any]) -> Letter | None:
        """The post with what it says of the outbox, which has it from now on."""
        box = self._outbox
        mole: dict[str, Any] = {**post["mole"], "backlog": box.waiting, "dropped": box.dropped, "kept": box.held}
        trouble = self._outbox.describe()
        if trouble:
            mole["errors"] = {**mole.get("errors", {}), "outbox": trouble}
        try:
            body = encode_post({**post, "mole": mole})
        except (ValueError, TypeError):
            if self._reasons.is_due("no JSON"):
                log.exception("%s: a post could not be sent", self.target)
            return None
        return self._outbox.put(mole["seq"], body)

    def deliver(self, post: Letter) -> None:
        """One POST, once the post is kept."""
        self._outbox.wait_until_kept(post, _KEPT_WITHIN_S)
        self._outbox.note_sent([post])
        said = self.deliver_body(add_auth_code(post.body, self._settings.auth_code))
        self._outbox.finish([post])
        self._outbox.note_answer(said)
        self._backlog.resume(self._exchange.takes_gzip)

    def give_up(self, post: Letter, error: DeliveryError | None = None) -> None:
        """Leave it to the backlog, or set it aside."""
        if error is not None and error.status in SET_ASIDE and not error.retry:
            self._outbox.refuse(post, error.status, self.word(error))
        else:
            self._outbox.release(post)

    def count_lost(self) -> str:
        """None of those that failed is lost."""
        return f"posts waiting: {self._outbox.waiting}"

    def _note_failure(self, post: Letter, error: DeliveryError) -> float:
        if error.retry or error.status not in SET_ASIDE:
            self._backlog.hold()
        return super()._note_failure(post, error)

    def close(self, patience_s: float = 0.2) -> None:
        """Stop, the backlog first; then the outbox has a moment for what isn't on the disk yet."""
        self._backlog.close()
        super().close(patience_s)
        self._outbox.close(patience_s)
