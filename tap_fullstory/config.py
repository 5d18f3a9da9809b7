"""Every setting, its default and its check; one frozen `Config`.

`SETTINGS` is the one table that checks, README and `sample_config.json` follow.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from tap_fullstory import __version__
from tap_fullstory.dictionary import (
    BUNDLE_ID,
    CUSTOM_VARS,
    EVENT_ID,
    FIELD_OF,
    FIELDS,
    LONGEST_COLUMN,
    REPLICATION_KEY,
    Field,
    Kind,
    column_name,
    columns,
    custom_field,
)
from tap_fullstory.errors import ConfigError
from tap_fullstory.moments import parse_moment

ENV_PREFIX = "TAP_FULLSTORY_"
API_URL = "https://api.fullstory.com"
EU_API_URL = "https://api.eu1.fullstory.com"
EU_KEY_PREFIX = "eu1."  # API: https://developer.fullstory.com/server/v1/getting-started ("first three characters")
EXPORT_URL = "https://export.fullstory.com"
USER_AGENT = f"tap-fullstory/{__version__}"

EVENTS_SOURCES = ("data_export", "segment_export")
HOURS_A_DAY = 24
SHORTEST_WINDOW = 0.25  # hours
LONGEST_LOOK_BACK = 1_000_000.0  # hours, more than a century
LONGEST_SILENCE = 2_000_000.0  # seconds; the system counts them in milliseconds of 31 bits
DEEPEST_SHOWN = 9  # lists and objects in each other: no setting is made of more than three
SHORTEST_SECRET = 4  # characters; hiding "1" would leave no number readable

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
_HEADER_VALUE = re.compile(r"[\x21-\x7e\xa1-\xff](?:[\x20-\x7e\t\xa0-\xff]*[\x21-\x7e\xa1-\xff])?|")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_KEY = re.compile(r"[\x21-\x7e]+")
_UNSAFE = re.compile("[\0\ud800-\udfff]")

_PATTERN = re.compile(r"[*?[]")

# The settings that decide which columns there are.
PEOPLE = ("uid:", "email:")  # what an entry of `sessions_for` begins with
OF_COLUMNS = ("event_key", "custom_columns", "custom_vars", "hash_columns")
# What `--plan` says of a window beside its dates, for people.
PLAN = "plan"
# What `--suggest-columns` adds to an entry of "custom_columns", for people.
SUGGESTED = ("type", "events", "example")


class _Wrong(Exception):
    """A value does not fit; the text says what is expected."""


@dataclass(frozen=True)
class BatchConfig:
    """Where files for BATCH messages go.

    Attributes:
        root: a folder, or a URL as `storage.open_storage` knows it.
        prefix: what the names of the files begin with.
        batch_size: records in a file at most.
    """

    root: str
    prefix: str = ""
    batch_size: int = 10_000  # as the Meltano SDK has it


@dataclass(frozen=True)
class Config:
    """All settings, checked. Durations are seconds, moments Unix nanoseconds."""

    api_key: str = field(repr=False)
    start_date: int | None = None  # None: one year before now, decided when there is no state
    end_date: int | None = None
    api_url: str = API_URL
    export_url: str = EXPORT_URL
    events_source: str = "data_export"
    segment_id: str = "everyone"
    export_window_hours: float = 1.0
    export_delay_hours: float = 24.0
    export_timeout: float = 14_400.0  # seconds that one export may take
    event_key: bool = False
    custom_columns: tuple[Field, ...] = ()
    custom_vars: str = "json"
    custom_vars_exclude: tuple[str, ...] = ()
    event_types: frozenset[str] = frozenset()
    exclude_event_types: frozenset[str] = frozenset()
    hash_columns: tuple[str, ...] = ()
    hash_key: str | None = field(default=None, repr=False)
    strip_query: tuple[str, ...] = ()
    gap_check_hours: float = 72.0
    reread_hours: float = 0.0
    skip_bundles: frozenset[int] = frozenset()
    checkpoint_records: int = 10_000
    user_agent: str = USER_AGENT
    http_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    request_timeout: float = 600.0  # seconds of silence on a socket
    retry_timeout: float = 3600.0  # seconds that one request is tried again
    spool_dir: Path = Path("/var/tmp")  # noqa: S108  # large files that must outlive a crash: not /tmp, often memory
    prefetch: int = 1
    max_runtime: float | None = None  # seconds
    sessions_for: tuple[str, ...] = ()  # each uid:… or email:…
    users_identified_only: bool = False
    batch_config: BatchConfig | None = None
    report_dir: Path | None = None
    report_keep_days: float = 400.0


@dataclass(frozen=True)
class Setting:
    """One row of the table of settings.

    Attributes:
        name: the key in the config file.
        kind: the type as the README prints it.
        parse: JSON value to the value in `Config`; raises `_Wrong`.
        default: the default as the README prints it.
        meaning: one sentence for people.
        secret: the value must never be shown.
        text: in the environment the value is plain text, not JSON.
    """

    name: str
    kind: str
    parse: Callable[[Any], Any]
    default: str
    meaning: str
    secret: bool = False
    text: bool = False

    @property
    def is_required(self) -> bool:
        """Whether there is no run without it."""
        return "required" in self.kind

    @property
    def title(self) -> str:
        """`API key` of `api_key`."""
        text = " ".join(_UPPER.get(word, word) for word in self.name.split("_"))
        return text[0].upper() + text[1:]


_UPPER = {"api": "API", "url": "URL", "http": "HTTP", "id": "ID"}


def _moment(value: Any) -> int:
    try:
        return parse_moment(value)
    except (TypeError, ValueError):
        raise _Wrong("an RFC 3339 date or date-time such as 2024-01-31T00:00:00Z") from None


def _api_key(value: Any) -> str:
    if isinstance(value, str) and _KEY.fullmatch(value):
        return value
    raise _Wrong("the API key as Fullstory shows it, without blanks and line breaks around it")


def _text(value: Any) -> str:
    if isinstance(value, str) and value and _HEADER_VALUE.fullmatch(value):
        return value
    raise _Wrong("one line of text")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Wrong("true or false")


def _integer(least: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        raise _Wrong(f"a whole number, {least} or more")

    return parse


def _seconds(*, zero: bool, most: float = 1e9) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and (value > 0 or (zero and value == 0)) and value <= most:
            return float(value)
        raise _Wrong(f"a number of seconds, {'0 or more' if zero else 'more than 0'}, {most:.0f} at most")

    return parse


def _hours(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LONGEST_LOOK_BACK:
        return float(value)
    raise _Wrong(f"a number of hours, 0 or more, {LONGEST_LOOK_BACK:.0f} at most")


def _days(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LONGEST_LOOK_BACK:
        return float(value)
    raise _Wrong("days, more than 0")


def _source(value: Any) -> str:
    if value in EVENTS_SOURCES:
        return str(value)
    raise _Wrong(" or ".join(f'"{one}"' for one in EVENTS_SOURCES))


def _window(value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and SHORTEST_WINDOW <= value <= HOURS_A_DAY and (HOURS_A_DAY / value).is_integer():
        return float(value)
    raise _Wrong("a number of hours that divides a day, from 0.25 to 24, such as 0.5, 1, 6 or 24")


def _url(value: Any) -> str:
    expected = "a URL that begins with https:// (http:// only for this machine) and holds no user, query or fragment"
    if not isinstance(value, str):
        raise _Wrong(expected)
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port  # the port is parsed only when asked for
    except ValueError:
        raise _Wrong(expected) from None
    clean = host and not (parts.username or parts.password or parts.query or parts.fragment or _BLANK.search(value))
    if clean and host and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        return value.rstrip("/")
    raise _Wrong(expected)


def is_loopback(host: str) -> bool:
    """Return whether *host* can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _Wrong("an object of header names and texts")
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise _Wrong("header names without blanks, colons and line breaks")
        if name.lower() == "authorization":
            raise _Wrong('no "Authorization": it comes from "api_key"')
        if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
            raise _Wrong(f'one line of text as the value of "{name[:80]}"')
    return dict(value)


def _bundle_ids(value: Any) -> frozenset[int]:
    expected = "a list of bundle ids, such as [170000640048]"
    if not isinstance(value, list):
        raise _Wrong(expected)
    ids = [int(one) if isinstance(one, str) and re.fullmatch(r"\d{1,19}", one) else one for one in value]
    if any(not isinstance(one, int) or isinstance(one, bool) for one in ids):
        raise _Wrong(expected)
    return frozenset(ids)


def _custom_columns(value: Any) -> tuple[Field, ...]:
    if not isinstance(value, list):
        raise _Wrong("a list of names of custom variables")
    fields = tuple(map(_custom_column, value))
    documented = {name for one in columns(event_key=True) for name in (one.name, *one.source_names)}
    taken = {name.lower(): f'the documented "{name}"' for name in documented}
    variables: set[str] = set()
    for one in fields:
        (name,) = one.source_names
        if name in variables:
            raise _Wrong(f"each custom variable once, but {shown(name)} is there twice")
        variables.add(name)
        own = f"{shown(one.name)} (of {shown(name)})"
        other = taken.setdefault(one.name.lower(), own)
        if other is not own:
            raise _Wrong(f"columns that differ in more than their case, but {own} and {other} do not")
        if name in FIELD_OF:
            raise _Wrong(f"custom variables, but {shown(name)} is documented and has its column")
    return fields


def _custom_vars(value: Any) -> str:
    if value in ("json", "drop"):
        return str(value)
    raise _Wrong('"json" or "drop"')


def _names(expected: str) -> Callable[[Any], tuple[str, ...]]:
    def parse(value: Any) -> tuple[str, ...]:
        if isinstance(value, list) and all(map(is_name, value)):
            return tuple(value)
        raise _Wrong(expected)

    return parse


def _people(value: Any) -> tuple[str, ...]:
    expected = 'a list of people, such as ["uid:1234", "email:dana@example.com"]'
    if not isinstance(value, list) or not all(map(is_name, value)):
        raise _Wrong(expected)
    people = [
        one if one.startswith(PEOPLE) else f"email:{one}" for one in value if one.startswith(PEOPLE) or "@" in one
    ]
    if len(people) != len(value) or not all(one.partition(":")[2] for one in people):
        raise _Wrong(expected)
    return tuple(dict.fromkeys(people))


def _event_types(value: Any) -> frozenset[str]:
    if isinstance(value, list) and all(one == "" or is_name(one) for one in value):  # Fullstory's "" is unknown
        return frozenset(value)
    raise _Wrong('a list of types of events, such as ["click", "custom"]')


def _hash_key(value: Any) -> str:
    if is_name(value):
        return value
    raise _Wrong("a text that is not empty, without NUL")


def is_name(value: Any) -> TypeGuard[str]:
    """Return whether *value* is the name of a member as records hold it."""
    return isinstance(value, str) and value != "" and _UNSAFE.search(value) is None


def _custom_column(value: Any) -> Field:
    entry = {"name": value} if isinstance(value, str) else value
    expected = 'names of custom variables, or objects such as {"name": "user_plan_str", "column": "plan"}'
    if not isinstance(entry, dict) or not entry.keys() <= {"name", "column", *SUGGESTED}:
        raise _Wrong(expected)
    name, column = entry.get("name"), entry.get("column")
    if not is_name(name):
        raise _Wrong(expected)
    if column is None:
        return custom_field(name, column_name(name))
    if not isinstance(column, str) or not column or column != column_name(column):
        raise _Wrong(
            "as a column a name without dots, quotes, backslashes and control characters, of "
            f"{LONGEST_COLUMN} bytes at most, but found {shown(column)}"
        )
    return custom_field(name, column)


def _batch_config(value: Any) -> BatchConfig:
    """The members are those that taps on the Meltano SDK have: https://sdk.meltano.com/en/latest/batch.html"""
    config = _members(value, "", ("encoding", "storage", "batch_size"))
    encoding = _members(config.get("encoding", {}), "encoding", ("format", "compression"))
    for name, only in (("format", "jsonl"), ("compression", "gzip")):
        if encoding.get(name, only) != only:
            raise _Wrong(f'"{only}" as its "encoding.{name}", the only one that this tap writes')
    storage = _members(config.get("storage", {}), "storage", ("root", "prefix"))
    root, prefix = storage.get("root"), storage.get("prefix", "")
    if not isinstance(root, str) or not root or "\0" in root:
        raise _Wrong('as its "storage.root" a folder or a URL, such as "file:///data/batches" or "s3://bucket/batches"')
    if not isinstance(prefix, str) or "\0" in prefix or prefix.startswith("/") or ".." in prefix.split("/"):
        raise _Wrong('as its "storage.prefix" what names of files below "storage.root" can begin with')
    try:
        return BatchConfig(root, prefix, _integer(1)(config.get("batch_size", BatchConfig.batch_size)))
    except _Wrong as wrong:
        raise _Wrong(f'as its "batch_size" {wrong}') from None


def _members(value: Any, where: str, known: tuple[str, ...]) -> dict[str, Any]:
    """Return what is set of an object inside a setting, *where* it is there, "" for the whole."""
    if not isinstance(value, dict):
        raise _Wrong(f'an object as its "{where}"' if where else f"an object with {', '.join(known)}")
    unknown = [shown(f"{where}.{name}" if where else name) for name in value if name not in known]
    if unknown:
        raise _Wrong(f"no {', '.join(unknown)}: {where or 'it'} has the members {', '.join(known)}")
    return {name: one for name, one in value.items() if one is not None}


def _folder(value: Any) -> Path:
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    raise _Wrong("the path of a folder")


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "api_key",
        "string, **required**, secret",
        _api_key,
        "",
        "The API key, as Fullstory shows it once when it is made; sent as `Authorization: Basic <key>`.",
        secret=True,
        text=True,
    ),
    Setting(
        "start_date",
        "RFC 3339 date or date-time",
        _moment,
        "one year before now",
        "Events whose `EventStart` is at or after it are replicated.",
        text=True,
    ),
    Setting(
        "end_date",
        "RFC 3339 date or date-time",
        _moment,
        "none",
        "Events whose `EventStart` is before it are replicated: for bounded backfills.",
        text=True,
    ),
    Setting(
        "api_url",
        "URL",
        _url,
        f"`{API_URL}`; `{EU_API_URL}` for keys that start with `{EU_KEY_PREFIX}`",
        "Host of all but the export endpoints.",
        text=True,
    ),
    Setting("export_url", "URL", _url, f"`{EXPORT_URL}`", "Host of `/api/v1/export/…`.", text=True),
    Setting(
        "events_source",
        "string",
        _source,
        "`data_export`",
        "Where events come from: `data_export` (bundles) or `segment_export`.",
        text=True,
    ),
    Setting(
        "segment_id",
        "string",
        _text,
        "`everyone`",
        "The segment whose people `individuals` brings, and with `segment_export` whose events are exported.",
        text=True,
    ),
    Setting(
        "export_window_hours",
        "hours",
        _window,
        "`1`",
        "With `segment_export`: how much time one export covers; divides a day.",
    ),
    Setting(
        "export_delay_hours",
        "hours",
        _hours,
        "`24`",
        "With `segment_export`: nothing that is newer is exported, since values settle for a day.",
    ),
    Setting(
        "export_timeout",
        "seconds",
        _seconds(zero=False),
        "`14400`",
        "With `segment_export`, and for the stream `individuals`: longest time that one export may take.",
    ),
    Setting(
        "event_key",
        "boolean",
        _boolean,
        "`false`",
        "Adds the column `event_id` and makes it the key, so that a target that upserts has each event once.",
    ),
    Setting(
        "custom_columns",
        "list of names or objects",
        _custom_columns,
        "`[]`",
        'Custom variables that get a column of their own, such as `user_plan_str`, or `{"name": "user_plan_str", '
        '"column": "plan"}`; `--suggest-columns` prints a list.',
    ),
    Setting(
        "custom_vars",
        "string",
        _custom_vars,
        "`json`",
        "`drop` leaves the column `CustomVars` out, with everything that has no column of its own.",
        text=True,
    ),
    Setting(
        "custom_vars_exclude",
        "list of names or patterns",
        _names('a list of names of custom variables, or of patterns such as "user_*"'),
        "`[]`",
        "Names, or patterns such as `user_*`, that `CustomVars` leaves out.",
    ),
    Setting(
        "event_types",
        "list of names",
        _event_types,
        "`[]`",
        "If not empty: only events whose `EventType` is one of these are emitted.",
    ),
    Setting(
        "exclude_event_types",
        "list of names",
        _event_types,
        "`[]`",
        "Events whose `EventType` is one of these are left out.",
    ),
    Setting(
        "hash_columns",
        "list of names or patterns",
        _names('a list of columns or custom variables, or of patterns such as "user_*"'),
        "`[]`",
        "Columns and custom variables, or patterns such as `user_*`, that hold keyed hashes in place of values.",
    ),
    Setting(
        "hash_key",
        "string, secret",
        _hash_key,
        "none",
        "The key of `hash_columns`: HMAC-SHA-256, 64 hexadecimal digits.",
        secret=True,
        text=True,
    ),
    Setting(
        "strip_query",
        "list of names or patterns",
        _names('a list of columns or custom variables that hold URLs, or of patterns such as "*Url"'),
        "`[]`",
        "Columns and custom variables, or patterns such as `*Url`, whose URLs lose query and fragment.",
    ),
    Setting(
        "gap_check_hours",
        "hours",
        _hours,
        "`72`",
        "How long a gap between bundles is looked for again, from its end on, by each run.",
    ),
    Setting(
        "reread_hours",
        "hours",
        _hours,
        "`0`",
        "With `event_key`: bundles that ended at most this long ago are read again by each run, and written again if "
        "they have changed, so that settled values replace early ones.",
    ),
    Setting(
        "skip_bundles",
        "list of bundle ids",
        _bundle_ids,
        "`[]`",
        "Bundles that are passed over and named in every summary: the way past one that is broken for good.",
    ),
    Setting(
        "checkpoint_records",
        "integer",
        _integer(1),
        "`10000`",
        "At most so many events between two STATE messages inside a bundle.",
    ),
    Setting("user_agent", "string", _text, f"`{USER_AGENT}`", "The `User-Agent` of every request.", text=True),
    Setting(
        "http_headers",
        "object of strings, secret",
        _headers,
        "`{}`",
        "More headers for every request to Fullstory; never sent to another host.",
        secret=True,
    ),
    Setting(
        "request_timeout",
        "seconds",
        _seconds(zero=False, most=LONGEST_SILENCE),
        "`600`",
        "Longest silence of a connection; Fullstory makes large bundles while we wait.",
    ),
    Setting(
        "retry_timeout",
        "seconds",
        _seconds(zero=True),
        "`3600`",
        "Longest time that one request is tried again. Waits that Fullstory asks for with a 429 do not count.",
    ),
    Setting(
        "spool_dir",
        "path",
        _folder,
        "`$TMPDIR`, else `/var/tmp`",
        "Where bundles wait, compressed, until they are written; needs room for `prefetch` + 1 bundles.",
        text=True,
    ),
    Setting(
        "prefetch", "integer", _integer(0), "`1`", "How many bundles may wait on disk ahead of the one being written."
    ),
    Setting(
        "max_runtime",
        "seconds",
        _seconds(zero=False),
        "none",
        "Ends a run cleanly after so long: with a state to go on from, status 0, and what is left in the last line.",
    ),
    Setting(
        "sessions_for",
        "list of people",
        _people,
        "`[]`",
        "People whose sessions the stream `user_sessions` lists, each `uid:…` or `email:…`; with `@` alone: an e-mail.",
    ),
    Setting(
        "users_identified_only",
        "boolean",
        _boolean,
        "`false`",
        "Whether the stream `users` leaves out anonymous users.",
    ),
    Setting(
        "batch_config",
        "object",
        _batch_config,
        "none",
        "Records go into files, which BATCH messages name; targets on the Meltano SDK load them.",
    ),
    Setting(
        "report_dir",
        "path",
        _folder,
        "none",
        "A folder, made if it is missing, in which each run leaves a report for `tap-fullstory-report`, one JSON file.",
        text=True,
    ),
    Setting(
        "report_keep_days",
        "days",
        _days,
        f"`{Config.report_keep_days:g}`",
        "How long reports are kept. Of runs that found nothing new, one a day is kept after a week.",
    ),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def read_settings(sources: Iterable[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of several `--config` arguments as one dict; later ones win.

    Args:
        sources: paths of JSON files; the word `ENV` stands for the variables `TAP_FULLSTORY_<SETTING>`.

    Raises:
        ConfigError: a file is missing, not readable, or not a JSON object.
    """
    settings: dict[str, Any] = {}
    for source in sources:
        settings |= _from_environment(environ) if source == "ENV" else _from_file(source)
    return settings


def parse_config(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """Check *settings* and fill in the defaults.

    Raises:
        ConfigError: names the setting, what was found (unless it is secret), and what is expected.
    """
    values = {name: parse_setting(name, settings[name]) for name in _BY_NAME if settings.get(name) is not None}
    if "api_key" not in values:
        raise ConfigError(
            'The setting "api_key" is missing. '
            f"Put it into the config file, or set {ENV_PREFIX}API_KEY and use --config ENV."
        )
    if values["api_key"].startswith(EU_KEY_PREFIX):
        values.setdefault("api_url", EU_API_URL)
    values.setdefault("spool_dir", Path(environ.get("TMPDIR") or Config.spool_dir))
    config = Config(**values)
    start, end = config.start_date, config.end_date
    if start is not None and end is not None and end <= start:
        raise ConfigError(
            f'"end_date" must lie after "start_date", but {settings["end_date"]!r} does not lie after '
            f"{settings['start_date']!r}."
        )
    if config.event_types and config.exclude_event_types:
        raise ConfigError('"event_types" and "exclude_event_types" exclude each other: set one of them.')
    if config.hash_columns and config.hash_key is None:
        raise ConfigError(
            '"hash_columns" needs "hash_key": without a key, everybody could hash what they guess and compare.'
        )
    _check_names(config)
    if config.reread_hours and not config.event_key:
        raise ConfigError(
            '"reread_hours" needs "event_key": true: without a key, what is read again would be there twice.'
        )
    return config


def parse_columns(settings: Mapping[str, Any]) -> Config:
    """Return the settings that decide which columns there are, checked, and all others as if not set.

    Raises:
        ConfigError: one of them is not what is expected.
    """
    values = {name: parse_setting(name, settings[name]) for name in OF_COLUMNS if settings.get(name) is not None}
    config = Config(api_key="", **values)
    _check_names(config)
    return config


def _check_names(config: Config) -> None:
    """Look for names that do not do what they seem to do: values would leave the tap as they are.

    Raises:
        ConfigError: names the setting, the name and what to write instead.
    """
    fields = (*FIELDS, *config.custom_columns)
    known: dict[str, Field | None] = {name: one for one in fields for name in (one.name, *one.source_names)}
    known |= dict.fromkeys((BUNDLE_ID, CUSTOM_VARS, EVENT_ID))
    nearest = {name.lower(): name for name in known}
    for setting in ("hash_columns", "strip_query", "custom_vars_exclude"):
        for name in getattr(config, setting):
            why = ""
            if name in known:
                why = _why_not(setting, name, known[name])
            elif name.lower() in nearest and not _PATTERN.search(name):
                pattern = shown(f"[{name[0]}]{name[1:]}")
                why = (
                    f"which differs from {shown(nearest[name.lower()])} in case alone. Write that, or, if a custom "
                    f"variable is called so, the pattern {pattern}."
                )
            if why:
                raise ConfigError(f'"{setting}" names {shown(name)}, {why}')


def _why_not(setting: str, name: str, field: Field | None) -> str:
    """Return why a column may not be named there, "" if it may."""
    if setting == "custom_vars_exclude":
        return "which is a column, and not in CustomVars. Deselect the column in the catalog."
    if name in (REPLICATION_KEY, BUNDLE_ID, EVENT_ID):
        return "which has to stay as it is, since the tap and targets go by it."
    if name == CUSTOM_VARS:
        return 'which holds many variables. Name these, or patterns such as "user_*".'
    if setting == "strip_query" and field and field.kind not in (Kind.STRING, Kind.JSON):
        return "which holds no URLs."
    return ""


def parse_setting(name: str, value: Any) -> Any:
    """Return the checked value of one setting.

    Raises:
        ConfigError: it is not what is expected.
    """
    setting = _BY_NAME[name]
    try:
        return setting.parse(value)
    except _Wrong as wrong:
        found = f"a secret {_json_type(value)}" if setting.secret else shown(bare(value))
        raise ConfigError(
            f'"{name}" is not as expected: found {found}, expected {wrong}. '
            "See sample_config.json for a working example."
        ) from None


def secrets(settings: Mapping[str, Any]) -> list[str]:
    """Return what in *settings*, checked or not, must appear in no output; a letter or two cannot be hidden."""
    headers = settings.get("http_headers")
    keys = (settings.get("api_key"), settings.get("hash_key"))
    values = [*keys, *(headers.values() if isinstance(headers, dict) else ())]
    return [value for value in values if isinstance(value, str) and len(value) >= SHORTEST_SECRET]


def is_secret(name: str) -> bool:
    """Return whether the value of a setting must not be shown; one that is not known may be a secret misspelt."""
    setting = _BY_NAME.get(name)
    return name != PLAN and (setting is None or setting.secret)


def unknown_settings(settings: Mapping[str, Any]) -> list[str]:
    """Return one warning for each setting that this tap does not know, with the nearest that it knows."""
    warnings = []
    for name in settings.keys() - _BY_NAME.keys() - {PLAN}:
        import difflib  # who makes no mistake does not wait for it

        near = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.0)
        warnings.append(f'The setting "{shown(name)[1:-1]}" is not known and is ignored; did you mean "{near[0]}"?')
    return sorted(warnings)


def _from_file(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError(
            f"The config file {path!r} cannot be read ({reason}). Check the path after --config."
        ) from error
    try:
        settings = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        where = (
            f"line {error.lineno}, column {error.colno}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else "not UTF-8 text"
        )
        found = "is empty" if not text.strip() else f"is not JSON ({where})"
        raise ConfigError(f"The config file {path!r} {found}. See sample_config.json for a working example.") from None
    if not isinstance(settings, dict):
        raise ConfigError(
            f"The config file {path!r} holds {_json_type(settings, article=True)}, expected a JSON object. "
            "See sample_config.json for a working example."
        )
    return settings


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for setting in SETTINGS:
        text = environ.get(ENV_PREFIX + setting.name.upper())
        if not text:  # orchestrators set what is not configured to nothing
            continue
        if setting.text:
            settings[setting.name] = text
            continue
        try:
            settings[setting.name] = json.loads(text.lower() if text in {"True", "False"} else text)
        except (ValueError, RecursionError):
            settings[setting.name] = text  # its check says what is expected
    for name in environ:
        # Orchestrators add variables of their own (a second underscore) and the members of objects one by one.
        setting_name = name.removeprefix(ENV_PREFIX).lower()
        if (
            name.startswith(ENV_PREFIX)
            and setting_name not in _BY_NAME
            and not setting_name.startswith(("_", *(f"{known}_" for known in _BY_NAME)))
        ):
            settings.setdefault(setting_name, None)
    return settings


def bare(value: Any, levels: int = DEEPEST_SHOWN) -> Any:
    """Return URLs without what may be secret in them: user, password, query, fragment; anything else as it is."""
    if isinstance(value, dict | list) and not levels:
        return "…"
    if isinstance(value, dict):
        return {name: bare(one, levels - 1) for name, one in value.items()}
    if isinstance(value, list):
        return [bare(one, levels - 1) for one in value]
    if not isinstance(value, str) or "//" not in value:
        return value
    return re.sub(r"[?#].*", "", re.sub(r"//.*@", "//***@", value, flags=re.DOTALL), flags=re.DOTALL)


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _json_type(value: Any, *, article: bool = False) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    name = names.get(type(value), "null")
    return f"{'an' if name[0] in 'ao' else 'a'} {name}" if article else name
