"""Takes the folder of a history, tells why this server must leave it alone: another user's, or of a newer version.

Opening what it can't read or write, the engine within this process fails as it does with damage, and what is of a newer
version seems damaged part by part. Neither may be set aside.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from .records import is_of_another_version

CLICKHOUSE = "clickhouse"
STAMP = "engine-version"
"""In the engine's folder: the newest one that has opened it."""
ENGINES = ("chdb-core-lite", "chdb-core", "chdb")
"""The packages that may bring it."""
_VERSION = re.compile(r"(\d+)\.(\d+)")
_DEPTH = 4
"""Of folders, down to a table's parts: what is in a part is made by one engine."""


def why_left_alone(folder: Path, *, has_engine: bool) -> str | None:
    """One line for a person, None where there is no reason. Changes nothing."""
    try:
        journal = sorted(path for path in (folder / "journal").iterdir() if path.suffix == ".journal")
    except FileNotFoundError:
        journal = []
    except PermissionError as error:
        return f"this server's user ({_name(os.geteuid())}) can't come to {error.filename}"
    if why := _other_version(journal):
        return why
    if not has_engine:
        return _not_ours(folder, journal)
    clickhouse = folder / CLICKHOUSE
    return _not_ours(folder, [*journal, *clickhouse.glob("status"), *_folders(clickhouse)]) or _newer_engine(clickhouse)


def note_engine(folder: Path) -> None:
    """The engine has opened what is there. Raises OSError."""
    stamp, installed = folder / CLICKHOUSE / STAMP, _installed()
    if installed and installed != _version_in(stamp):
        new = stamp.with_suffix(".new")
        new.write_text("{}.{}\n".format(*installed))
        new.replace(stamp)


def _not_ours(folder: Path, paths: Iterable[Path]) -> str | None:
    needed = os.R_OK | os.W_OK | os.X_OK
    path = next((path for path in paths if not os.access(path, needed if path.is_dir() else needed ^ os.X_OK)), None)
    if path is None:
        return None
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a read-only file system"
    user, owner = _name(os.geteuid()), _name(path.lstat().st_uid)
    return f"this server's user ({user}) can't read and write {path} of {owner}: chown -R {user} {folder}"


def _folders(clickhouse: Path) -> Iterator[Path]:
    level = [clickhouse] if clickhouse.is_dir() else []
    for _ in range(_DEPTH + 1):
        yield from level
        level = [found for path in level for found in _folders_in(path)]


def _folders_in(path: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(path) as entries:  # one that can't be read has been given already
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _newer_engine(clickhouse: Path) -> str | None:
    wrote, installed = _version_in(clickhouse / STAMP), _installed()
    if wrote is None or installed is None or wrote <= installed:
        return None
    (year, month), (our_year, our_month) = wrote, installed
    return (
        f"ClickHouse {year}.{month} has written {clickhouse}, and this is {our_year}.{our_month}, which may take what "
        f"it can't read for damaged: install the newer chdb-core-lite (or remove {clickhouse / STAMP} and try)"
    )


def _other_version(journal: Sequence[Path]) -> str | None:
    other = next(filter(is_of_another_version, journal), None)
    return (
        other and f"another version of cluster-dash has written {other}: start that one, so that it carries its posts"
    )


def _installed() -> tuple[int, int] | None:
    """Year and month; None where nobody knows."""
    for name in ENGINES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return _version_of(metadata.version(name))
    return None


def _version_in(stamp: Path) -> tuple[int, int] | None:
    try:
        return _version_of(stamp.read_text("ascii", "replace"))
    except OSError:
        return None


def _version_of(text: str) -> tuple[int, int] | None:
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2])) if found else None
