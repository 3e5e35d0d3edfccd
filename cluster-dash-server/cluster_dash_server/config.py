"""Takes the settings file and the environment, gives a `Config`; a wrong setting stops the start.

The file is what `CLUSTER_DASH_CONFIG` names, else what systemd hands over, else /etc/cluster-dash/server.toml where it
exists. Each setting is
overridden by `CLUSTER_DASH_<SECTION>_<KEY>`. `etc/server.toml` lists all of them. Where `[store] url` is nowhere set,
CH_HOST and its like are read (`store/seed_variables.py`).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import msgspec

from .patterns import MOST_NAMES, PatternError, expand
from .store.seed_variables import url_of

PUBLISHED_PASSCODE = "lab_cluster_2025"
"""Stands in the public documentation: whoever can reach the server knows it."""

PASSCODE = PUBLISHED_PASSCODE
"""Used where none is configured, and then taken from this machine only."""

DEFAULT_FILE = Path("/etc/cluster-dash/server.toml")
PREFIX = "CLUSTER_DASH_"
SHORT_FORMS = {"CLUSTER_DASH_PASSCODE": ("access", "passcode")}
SECRETS = {("access", "passcode"), ("access", "viewing_password"), ("store", "url")}


class ConfigError(ValueError):
    """A setting that can't be used; the text names its place and what is allowed."""


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may post, and who may look."""

    passcode: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """None: nothing is configured, `PASSCODE` counts and only from loopback."""
    allowed_hosts: tuple[str, ...] = ()
    """Names that the Host header may hold, without port, besides those of loopback; empty: any."""
    token_file: Annotated[str, msgspec.Meta(pattern="^/")] | None = None
    """None: `tokens.json` in the server's state folder."""
    require_tokens: bool = False
    """True: no passcode counts, each host needs a token."""
    viewing_password: str = ""
    """What a person must know who wants to see anything; empty: nothing."""

    def __repr__(self) -> str:
        return f"Access(passcode={'***' if self.passcode else None}, token_file={self.token_file!r}, ...)"


class Live(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept in memory."""

    recent_minutes: Annotated[float, msgspec.Meta(ge=1, le=1440)] = 15.0
    """Everything that a host posted."""
    headline_hours: Annotated[float, msgspec.Meta(ge=1, le=31 * 24)] = 24.0
    """The headline metrics, by the minute."""
    memory_mib: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 128
    """For the history of all hosts: where it isn't enough, minutes and hours are shorter for all."""
    max_hosts: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    forget_hosts_after_h: Annotated[float, msgspec.Meta(ge=0, le=100_000)] = 720.0
    """Hours without a post; 0: never, not even to make room."""
    idle_after_minutes: Annotated[float, msgspec.Meta(ge=1, le=1440)] = 10.0
    """Without work, after which a GPU that is held counts as held idle."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much a sender may send at once; what is larger is refused before it costs much."""

    body_bytes: Annotated[int, msgspec.Meta(ge=2**16, le=2**26)] = 2**20
    """Of a request's body as it comes, and of a post when unpacked."""
    values: Annotated[int, msgspec.Meta(ge=1_000, le=1_000_000)] = 20_000
    """In a post: entries of all its objects and lists."""
    depth: Annotated[int, msgspec.Meta(ge=8, le=200)] = 32
    gpus: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 64
    mounts: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    name_length: Annotated[int, msgspec.Meta(ge=64, le=4_096)] = 256
    """Characters of a host's, GPU's, user's or metric's name."""
    batch_bytes: Annotated[int, msgspec.Meta(ge=2**16, le=2**30)] = 2**24
    """Of a batch when unpacked."""
    batch_posts: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    batch_values: Annotated[int, msgspec.Meta(ge=1_000, le=10_000_000)] = 200_000
    """In a batch, counted by its commas and brackets: 185 posts of a host with 8 GPUs."""


class Serve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How `cluster-dash-server serve` listens. Bare waitress-serve has its own options."""

    listen: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ("*:8080",)
    """host:port each; * is all of IPv4 and IPv6."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    max_connections: Annotated[int, msgspec.Meta(ge=8, le=100_000)] = 5_000
    header_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    body_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    idle_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 75.0
    send_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 20.0
    held_streams: Annotated[int, msgspec.Meta(ge=0, le=128)] = 2
    """Open streams that hold a thread each; never more than half of the threads. One more gets the short kind."""
    trusted_proxy: str = ""
    """The address of the one reverse proxy whose X-Forwarded-For, -Proto and -Host are believed; * for any."""


TAG = re.compile(r"[^\x00-\x20\x7f,:]{1,64}")


class HostNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the server should know of the hosts before they report."""

    expected: tuple[str, ...] = ()
    """Shown as silent until they post; `gpu[01-16]` is sixteen of them."""
    hide_users_in_kiosk: bool = False
    """True: on a wall screen (?kiosk=1) a letter stands for each user."""
    tags: dict[str, tuple[str, ...]] = {}
    """The hosts of each: names, ranges, and patterns with * and ?."""

    def __post_init__(self) -> None:
        check_names(("hosts", "expected"), self.expected)
        check_names(("hosts", "tags"), self.tags)


def check_names(setting: tuple[str, str], value: Any) -> None:
    """Raises ValueError where a name of a host in it is none; of other settings nothing."""
    try:
        if setting == ("hosts", "expected"):
            names = sum(len(expand(text)) for text in value)
        elif setting == ("hosts", "tags"):
            for tag in value:
                if not TAG.fullmatch(tag):
                    raise ValueError(f"{tag!r} is no tag's name: up to 64 characters without space, comma and colon")
            names = sum(len(expand(text, wild=True)) for texts in value.values() for text in texts)
        else:
            return
    except PatternError as error:
        raise ValueError(str(error)) from None
    if names > MOST_NAMES:
        raise ValueError(f"stands for more than {MOST_NAMES} names")


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The history that survives a restart."""

    url: str = ""
    """Empty: within this process, its files in the server's state folder. See `store.target.target_of`."""
    journal_mib: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 2048
    """What waits for the store; when it is full, posts are refused and the moles keep them."""
    raw_days: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 14
    """How long each value is kept; as the three below in days, and where the server makes the table."""
    minute_days: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 31
    """How long the buckets of a minute are kept; as long as a point may be late."""
    ten_minute_days: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 90
    hour_days: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 730

    def __repr__(self) -> str:
        return f"Store(url={'***' if self.url else ''!r}, ...)"  # it may hold a password


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    access: Access = Access()
    live: Live = Live()
    hosts: HostNames = HostNames()
    limits: Limits = Limits()
    serve: Serve = Serve()
    store: Store = Store()
    log: Log = Log()


def read_config(environ: Mapping[str, str] = os.environ, default_file: Path = DEFAULT_FILE) -> Config:
    """Raises ConfigError, whose text is one line for the person who starts the server."""
    named = environ.get(PREFIX + "CONFIG")
    path = Path(named) if named else _handed_by_systemd(environ) or default_file
    settings = _read_toml(path) if named or _is_there(path) else {}
    sources = {key: f"{path}: {'.'.join(key)}" for key in _keys(settings)}
    for variable, (section, key) in _variables(environ).items():
        table = settings.setdefault(section, {})
        if not environ[variable].isprintable():
            raise ConfigError(f"{variable} must be printable text in UTF-8")
        if isinstance(table, dict):
            cast(dict[str, Any], table)[key] = environ[variable]
            sources[section, key] = variable
    config = _convert(settings, sources, str(path))
    return config if config.store.url else _with_seed_variables(config, environ)


def _with_seed_variables(config: Config, environ: Mapping[str, str]) -> Config:
    """Where nothing else says where the history is."""
    try:
        url = url_of(environ)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return msgspec.structs.replace(config, store=msgspec.structs.replace(config.store, url=url)) if url else config


def _handed_by_systemd(environ: Mapping[str, str]) -> Path | None:
    """LoadCredential= of the unit, so that the file itself can be root's alone."""
    credential = Path(environ.get("CREDENTIALS_DIRECTORY") or "/nowhere", "server.toml")
    return credential if _is_there(credential) else None


def _is_there(path: Path) -> bool:
    """Also where nobody lets us look: reading it then tells why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from None


def _keys(settings: dict[str, Any]) -> list[tuple[str, str]]:
    tables = {name: cast(dict[str, Any], table) for name, table in settings.items() if isinstance(table, dict)}
    return [(section, key) for section, table in tables.items() for key in table]


def _variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The set variables that name a setting; an empty one counts as not set."""
    known = dict(SHORT_FORMS)
    for section in msgspec.structs.fields(Config):
        for setting in msgspec.structs.fields(section.type):
            known[f"{PREFIX}{section.name}_{setting.name}".upper()] = (section.name, setting.name)
    for variable in environ:
        other = variable == PREFIX + "CONFIG" or variable.startswith(PREFIX + "MOLE_")
        if variable.startswith(PREFIX) and variable not in known and not other:
            raise ConfigError(f"{variable} is no setting; there are: {', '.join(sorted(known))}")
    return {variable: place for variable, place in known.items() if environ.get(variable)}


def _convert(settings: dict[str, Any], sources: dict[tuple[str, str], str], file: str) -> Config:
    """Setting by setting, so that an error can name its source and its value."""
    try:
        return msgspec.convert(settings, Config)
    except msgspec.ValidationError:
        pass  # an environment variable is always text: convert each alone, leniently, and name the first wrong one
    sections = {field.name: field.type for field in msgspec.structs.fields(Config)}
    converted: dict[str, Any] = {}
    for section, table in settings.items():
        if section not in sections or not isinstance(table, dict):
            raise ConfigError(f"{file}: [{section}] is no section; there are: {', '.join(sections)}")
        types = {field.name: field.type for field in msgspec.structs.fields(sections[section])}
        for key, value in cast(dict[str, Any], table).items():
            source = sources[section, key]
            if key not in types:
                raise ConfigError(f"{source} is no setting; [{section}] has: {', '.join(types)}")
            text = source.startswith(PREFIX)
            if text and get_origin(types[key]) is tuple:
                value = str(value).replace(",", " ").split()
            elif text and get_origin(types[key]) is dict:
                value = _read_object(str(value))
            try:
                right = converted.setdefault(section, {})[key] = msgspec.convert(value, types[key], strict=not text)
                check_names((section, key), right)
            except ValueError as error:  # msgspec's is one
                shown = "(a secret)" if (section, key) in SECRETS else repr(value)
                one_of = get_args(types[key]) if get_origin(types[key]) is Literal else ()
                allowed = f"must be one of {', '.join(one_of)}" if one_of else _worded(error)
                raise ConfigError(f"{source} = {shown}: {allowed}") from None
    return msgspec.convert(converted, Config)


def _read_object(text: str) -> Any:
    """JSON; what is none stays text, which is then refused by its type."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _worded(error: ValueError) -> str:
    if not isinstance(error, msgspec.ValidationError):
        return str(error)
    text = str(error).lower().split(", got ")[0]
    for kind, words in (
        *(("int", "a whole number"), ("float", "a number"), ("bool", "true or false")),
        *(("str | null", "a text"), ("str", "a text"), ("array", "a list of texts")),
        ("object", 'a table, as JSON {"rack-3": ["gpu0*", "gpu[11-14]"]}'),
    ):
        text = text.replace(f"expected `{kind}`", f"expected {words}")
    return text.replace("a text matching regex '^/'", "an absolute path").replace("`", "")
