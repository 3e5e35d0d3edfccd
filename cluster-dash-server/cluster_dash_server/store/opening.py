"""Takes the settings, opens the store; where that can't be the server's start stops with one line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import ConfigError
from ..config import Store as Settings
from .journal import Journal, JournalInUse
from .ownership import why_left_alone
from .tables import Days
from .target import StoreUrlError, Target, target_of

if TYPE_CHECKING:
    from .store import Store

log = logging.getLogger(__name__)

MIB = 2**20


def folder_of(settings: Settings, state_folder: Path) -> Path | None:
    """Where a store keeps its files, of which the journal is one; None where nothing is kept. Raises ConfigError."""
    target = _target(settings, state_folder)
    return target and (target.folder or state_folder)


def open_store(
    settings: Settings, state_folder: Path, monotonic: Callable[[], float], wall: Callable[[], float]
) -> Store | None:
    """None where nothing is to be kept. Raises ConfigError."""
    target = _target(settings, state_folder)
    if target is None:
        return None
    folder = target.folder or state_folder
    if why := why_left_alone(folder, has_engine=target.folder is not None):
        raise ConfigError(f"the history is left alone: {why}")
    try:
        journal = Journal(folder / "journal", settings.journal_mib * MIB)
    except JournalInUse as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(
            f"the history can't be kept in {error.filename or state_folder}: {error.strerror}; [store] url "
            "says where, none keeps it in memory alone"
        ) from None
    from .store import Store  # with it come hundreds of MB, which a server without a store needn't load

    log.info("the history is kept in %s", target.shown)
    return Store(target, journal, days_of(settings), monotonic, wall)


def days_of(settings: Settings) -> Days:
    return Days(settings.raw_days, settings.minute_days, settings.ten_minute_days, settings.hour_days)


def _target(settings: Settings, state_folder: Path) -> Target | None:
    try:
        return target_of(settings.url, state_folder)
    except StoreUrlError as error:
        raise ConfigError(f"[store] url {error}") from None
