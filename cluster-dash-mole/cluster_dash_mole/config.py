"""Takes the TOML file and the environment, gives the mole's settings, checked once."""

from __future__ import annotations

import importlib
import re
import ssl
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# The standard library has it from 3.11 on.
_toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

PREFIX = "CLUSTER_DASH_MOLE_"
FILE_VARIABLE = PREFIX + "CONFIG"
_SECRET = "auth_code"  # noqa: S105  the name of the setting
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class ConfigError(Exception):
    """One line for a person: file, setting, value, what is allowed."""


class _Kind(NamedTuple):
    """What a setting may be: in words, by a check, and how text of the environment becomes it."""

    allowed: str
    accepts: Callable[[Any], bool]
    from_text: Callable[[str], Any]


def _seconds(low: float, high: float) -> _Kind:
    def accepts(value: Any) -> bool:
        return type(value) in (int, float) and low <= value <= high  # which NaN isn't

    return _Kind(f"a number of seconds from {low:g} to {high:g}", accepts, float)


def _number(low: float, high: float, what: str) -> _Kind:
    return _Kind(f"a number of {what} from {low:g} to {high:g}", _seconds(low, high).accepts, float)


def _flag_from_text(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_address(value: Any) -> bool:
    if not isinstance(value, str) or not value.isprintable() or " " in value or "@" in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or above 65535
        return False


def _is_optional_address(value: Any) -> bool:
    return value == "" or _is_address(value)


def _is_certificates(value: Any) -> bool:
    if value == "":
        return True
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=value)
    except (OSError, TypeError, ValueError):  # of which ssl.SSLError is one: the file holds no certificate
        return False
    return True


def _is_folder_name(value: Any) -> bool:
    return isinstance(value, str) and (value == "" or (Path(value).is_absolute() and value.isprintable()))


_FLAG = _Kind("true or false", _is_flag, _flag_from_text)
_TEXT = _Kind("text", _is_text, str)
_ADDRESS = _Kind("an address as http://host:port/, without user and password", _is_address, str)
_OPTIONAL_ADDRESS = _Kind(
    "empty, or an address as http://host:port/, without user and password", _is_optional_address, str
)
_CERTIFICATES = _Kind("empty, or a file that can be read and holds certificates (PEM)", _is_certificates, str)
_FOLDER = _Kind("empty, or an absolute path", _is_folder_name, str)


def _setting(default: Any, kind: _Kind) -> Any:
    return field(default=default, metadata={"kind": kind})


def _interval(default: float) -> Any:
    return _setting(default, _seconds(0, 86400))


@dataclass(frozen=True)
class PollSettings:
    """How often the host is read."""

    poll_interval_in_secs: float = _setting(5.0, _seconds(0.1, 86400))


@dataclass(frozen=True)
class JsonSenderLoggerSettings:
    """Where posts go over HTTP, and how often at most."""

    use: bool = _setting(True, _FLAG)
    min_interval_in_secs: float = _interval(5.0)
    address_in: str = _setting("http://127.0.0.1:8080/", _ADDRESS)
    auth_code: str = field(default="lab_cluster_2025", metadata={"kind": _TEXT}, repr=False)
    timeout_in_secs: float = _setting(5.0, _seconds(0.1, 60))
    ca_file: str = _setting("", _CERTIFICATES)
    insecure: bool = _setting(False, _FLAG)
    gzip: bool = _setting(True, _FLAG)
    proxy: str = _setting("", _OPTIONAL_ADDRESS)


@dataclass(frozen=True)
class GoogleSheetsLoggerSettings:
    """The spreadsheet that gets a row for each post, and how often at most."""

    use: bool = _setting(False, _FLAG)
    min_interval_in_secs: float = _interval(300.0)
    service_account_file_path: str = _setting("", _TEXT)
    spreadsheets_id: str = _setting("", _TEXT)
    worksheet_name: str = _setting("!hostname", _TEXT)


@dataclass(frozen=True)
class StdOutLoggerSettings:
    """A table or JSON lines on stdout, and how often at most."""

    use: bool = _setting(False, _FLAG)
    min_interval_in_secs: float = _interval(5.0)


@dataclass(frozen=True)
class GpuSettings:
    """What is told of the GPUs and of who is on them."""

    commands: bool = _setting(True, _FLAG)
    activity: bool = _setting(True, _FLAG)


@dataclass(frozen=True)
class OutboxSettings:
    """How much of what the server hasn't taken is kept, and how fast it is sent once the server is back."""

    max_mib: float = _setting(256.0, _number(0, 1048576, "MiB"))
    posts_per_sec: float = _setting(6.0, _number(0.1, 1000, "posts a second"))


@dataclass(frozen=True)
class StateSettings:
    """Where the mole keeps who it is, and its outbox."""

    state_dir: str = _setting("", _FOLDER)


SECTIONS: dict[str, Any] = {
    "Poll_Settings": PollSettings,
    "Json_Sender_Logger": JsonSenderLoggerSettings,
    "Google_Sheets_Logger": GoogleSheetsLoggerSettings,
    "StdOut_Logger": StdOutLoggerSettings,
    "Gpu": GpuSettings,
    "Outbox": OutboxSettings,
    "State": StateSettings,
}


@dataclass(frozen=True)
class Config:
    """All settings, a section each."""

    poll: PollSettings
    json_sender: JsonSenderLoggerSettings
    google_sheets: GoogleSheetsLoggerSettings
    stdout: StdOutLoggerSettings
    gpu: GpuSettings
    outbox: OutboxSettings
    state: StateSettings


def choose_config(folder: Path, environ: Mapping[str, str], hostname: str) -> Path | None:
    """The file that CLUSTER_DASH_MOLE_CONFIG names, else the host's own in `folder`, else config.toml, else None.

    Where systemd hands over a credential mole.toml, that one goes before those in the folder. A host's own may have its
    short name or its full one, whichever of them the host calls itself.
    """
    if environ.get(FILE_VARIABLE):
        return Path(environ[FILE_VARIABLE])
    credential = Path(environ.get("CREDENTIALS_DIRECTORY") or "/nowhere", "mole.toml")
    if _is_there(credential):
        return credential
    short = hostname.split(".")[0]
    full = [] if "." in hostname else sorted(path.name for path in folder.glob("config_*.toml"))
    longer = [name for name in full if name.startswith(f"config_{hostname}.") and name != f"config_{hostname}.toml"]
    if len(longer) > 1 and not (folder / f"config_{hostname}.toml").is_file():
        raise ConfigError(f"{folder}: {' and '.join(longer)} could each be this host's: name one by {FILE_VARIABLE}")
    names = [f"config_{hostname}.toml", f"config_{short}.toml", *longer, "config.toml"]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _is_there(path: Path) -> bool:
    """Also where nobody lets us look: reading it then tells why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Defaults, over them the file (None = there is none), over it the environment. Raises ConfigError."""
    chosen: dict[tuple[str, str], Any] = {}
    if path:
        chosen.update(_from_file(path))
    chosen.update(_from_environment(environ))
    sections = [
        settings(**{key: value for (section, key), value in chosen.items() if section == name})
        for name, settings in SECTIONS.items()
    ]
    return Config(*sections)


def _from_file(path: Path) -> Iterator[tuple[tuple[str, str], Any]]:
    try:
        content = _toml.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {_one_line(str(error))}") from error
    for section, settings in content.items():
        if section not in SECTIONS or not isinstance(settings, dict):
            known = ", ".join(f"[{name}]" for name in SECTIONS)
            raise ConfigError(f"{path}: [{_one_line(section)}]: no such section; allowed are {known}")
        for key, value in cast("dict[str, Any]", settings).items():
            yield (section, key), _checked(f"{path}: [{section}] {_one_line(key)}", section, key, value)


def _checked(place: str, section: str, key: str, value: Any) -> Any:
    kinds = {setting.name: setting.metadata["kind"] for setting in fields(SECTIONS[section])}
    if key not in kinds:
        # Without a text: a mistyped name may stand before the passcode.
        shown = f" = {_shown(value)}" if isinstance(value, (int, float)) else ""
        raise ConfigError(f"{place}{shown}: no such setting; allowed in [{section}] are {', '.join(kinds)}")
    if not kinds[key].accepts(value):
        shown = "(not shown)" if key == _SECRET else _shown(value)
        raise ConfigError(f"{place} = {shown}: must be {kinds[key].allowed}")
    return value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], Any]]:
    known = {
        f"{PREFIX}{section}_{setting.name}".upper(): (section, setting)
        for section, settings in SECTIONS.items()
        for setting in fields(settings)
    }
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name == FILE_VARIABLE:
            continue
        if name not in known:
            raise ConfigError(f"environment: {name}: no such setting; allowed are {FILE_VARIABLE}, {', '.join(known)}")
        section, setting = known[name]
        try:
            value = setting.metadata["kind"].from_text(text)
        except ValueError:
            value = text  # which the check refuses, naming what is allowed
        yield (section, setting.name), _checked(f"environment: {name}", section, setting.name, value)


def _shown(value: Any) -> str:
    # A password in an address is as secret as the auth_code.
    return re.sub(r"\?.*", "?...", re.sub(r"//.*@", "//...@", _one_line(repr(value))))


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]
