"""Takes a token, gives the host that it speaks for. Makes and revokes tokens in the file that holds their hashes.

A token is 256 random bits, so its plain SHA-256 can't be turned back. The file is JSON, replaced whole under a lock; a
running server notices within a second or two that it has changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from ..config import Access
from ..state import SYSTEM_FOLDER, state_folder

log = logging.getLogger(__name__)

PREFIX = "cdash_"
"""By it a person, and a search for leaked secrets, knows a token."""
LONGEST = 200
LOOK_EVERY_S = 1.0


class Token(msgspec.Struct, frozen=True):
    """What is kept of one. A host may have several, so that a new one can be handed out before the old one goes."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    made_at: float


class _Document(msgspec.Struct, frozen=True):
    tokens: list[Token]


class TokenFileError(Exception):
    """The file can't be used; the text says which and why, and holds nothing of its content."""


def token_path(access: Access, environ: Mapping[str, str], system_folder: Path = SYSTEM_FOLDER) -> Path:
    """Of the settings, else in the server's state folder."""
    if access.token_file:
        return Path(access.token_file)
    return state_folder(environ, system_folder) / "tokens.json"


def read_tokens(path: Path) -> list[Token]:
    """In the order of their making. Raises FileNotFoundError, TokenFileError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would make us wait
            raise TokenFileError(f"{path} is no file")
        return msgspec.json.decode(path.read_bytes(), type=_Document).tokens
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TokenFileError(f"{path} can't be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise TokenFileError(f"{path} is damaged: it isn't the JSON that `cluster-dash-server token` writes") from None


def make_token(path: Path, host: str, made_at: float) -> str:
    """A new one for this host, beside those that it has. Raises OSError, TokenFileError."""
    token = PREFIX + secrets.token_urlsafe(32)
    with _changing(path) as tokens:
        tokens.append(Token(host, _hash(token), made_at))
    return token


def revoke_tokens(path: Path, host: str, *, keep_newest: bool = False) -> int:
    """How many were revoked. Raises OSError, TokenFileError."""
    with _changing(path) as tokens:
        theirs = [token for token in tokens if token.host == host]
        revoked = theirs[:-1] if keep_newest else theirs
        tokens[:] = [token for token in tokens if token not in revoked]
    return len(revoked)


@contextlib.contextmanager
def _changing(path: Path) -> Generator[list[Token]]:
    """The tokens, to be changed in place, while nobody else changes them; then written whole or not at all."""
    if not path.parent.is_dir():
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            tokens = read_tokens(path)
        except FileNotFoundError:
            tokens = []
        before = list(tokens)
        yield tokens
        if tokens != before:
            _write(path, tokens)
            os.fsync(folder)
    finally:
        os.close(folder)


def _write(path: Path, tokens: list[Token]) -> None:
    new = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()  # of a run that was killed
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(_Document(tokens)), indent=1) + b"\n")
        file.flush()
        if os.geteuid() == 0:  # the service that must read it is another user, whose folder it is
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fsync(descriptor)
    new.replace(path)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class Tokens:
    """The file as it is now. What can't be read leaves those valid that were; a file that was deleted, none."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._monotonic = monotonic
        self._hosts: dict[str, str] = {}
        """By hash. Replaced whole, so that it is read without a lock."""
        self._trouble: str | None = None
        self._seen: tuple[int, ...] | None = None
        self._was_there = False
        self._looking = threading.Lock()
        self._is_watched = False
        self._look_at_s = monotonic() + LOOK_EVERY_S
        self._look()

    def host_of(self, credential: str) -> str | None:
        """None: it is no token, or not one that is valid now. Found by its hash, so time tells nothing about it."""
        self._refresh()
        return self._hosts.get(_hash(credential)) if self._hosts and len(credential) <= LONGEST else None

    def __len__(self) -> int:
        self._refresh()
        return len(self._hosts)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the file, for a person."""
        self._refresh()
        return self._trouble

    def watch(self) -> float:
        """A background step. From its first run on nobody else looks: a file system that hangs holds up no post."""
        self._look()
        self._is_watched = True
        return LOOK_EVERY_S

    def _refresh(self) -> None:
        if not self._is_watched and self._monotonic() >= self._look_at_s and self._looking.acquire(blocking=False):
            try:
                self._look_at_s = self._monotonic() + LOOK_EVERY_S
                self._look()
            finally:
                self._looking.release()

    def _look(self) -> None:
        try:
            now = self.path.stat()
            seen = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
            self._was_there = True
            if seen != self._seen:
                self._hosts = {token.sha256: token.host for token in read_tokens(self.path)}
                self._tell(None)
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._hosts = None, {}
            if self._was_there:
                self._tell(f"{self.path} was deleted: no token is valid any more")
        except OSError as error:
            self._keep(f"{self.path} can't be read ({error.strerror})")
        except TokenFileError as error:
            self._keep(str(error))

    def _keep(self, why: str) -> None:
        self._seen = None  # try again at the next look
        self._tell(f"{why}; the tokens that were valid before still are, newer changes don't count")

    def _tell(self, trouble: str | None) -> None:
        if trouble and trouble != self._trouble:
            log.error("%s", trouble)
        elif self._trouble and not trouble:
            log.info("%s can be read again: %d tokens", self.path, len(self._hosts))
        self._trouble = trouble
