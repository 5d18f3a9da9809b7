#!/usr/bin/env python3
"""One visitor's session, out of a table that tap-fullstory filled, as one HTML file that opens from disk.

    python timeline.py --from postgresql://user@host/database --table fullstory.events -o timeline.html
    python timeline.py --from warehouse.duckdb --session 6606828898126520000:5450116830618420000
    python timeline.py --from folder-of-parquet --user ann@example.com

This file needs nothing but Python 3.10 or newer and the driver of the place: psycopg for PostgreSQL, duckdb for a
`.duckdb` file, pyarrow for Parquet files. It only reads. The page it writes holds what a person did: keep it as
you keep that. It loads nothing and runs nothing, whatever the visitor typed.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

Row = dict[str, "str | None"]

NEWEST = 20_000  # events that a session is chosen from
MOST_EVENTS = 10_000  # on a page
MOST_LANES = 12  # pages that are drawn
MOST_FINDINGS = 24  # in the list of what went wrong
LONGEST_TEXT = 300  # characters

# By what is asked of an event; see "Columns" in the README of tap-fullstory.
RANKED = "EventStart UserId SessionId EventType EventModFrustrated EventModDead EventModError ReqStatus".split()
SHOWN = [
    *RANKED,
    *"event_id EventSubType EventCustomName EventTargetText EventTargetSelector EventTargetSelectorTok".split(),
    *"EventVarErrorKind PageId PageUrl PageName AppViewName ReqUrl ReqMethod CustomVars".split(),
    *"UserAppKey UserDisplayName UserEmail PageBrowser PageDevice PageOperatingSystem".split(),
]
CUSTOM = "evt_"  # custom variables of events, which may have columns of their own


class TimelineError(Exception):
    """What went wrong, in a line for the person who asked."""


# --- Where events are -------------------------------------------------------------------------------------------------


class Table(Protocol):
    """A table of events."""

    columns: list[str]

    def rows(self, columns: Sequence[str], where: Mapping[str, str], *, newest: bool, most: int) -> list[Row]:
        """The newest or oldest rows whose columns have these values, in the order of time, with values as text."""


class SqlTable:
    """A table of a database.

    Args:
        execute: takes a statement and its parameters, returns the names of columns and all rows.
        equals: compares a column with a parameter, whatever the type of the column.
    """

    def __init__(
        self, execute: Callable[[str, list[str]], tuple[list[str], list[Any]]], name: str, equals: str
    ) -> None:
        parts = name.split(".")
        if not all(parts) or "\0" in name:
            raise TimelineError(f"Not the name of a table: {name!r}. It looks like fullstory.events.")
        self._execute, self._equals = execute, equals
        self._name = ".".join(map(quoted, parts))
        self.columns = execute(f"SELECT * FROM {self._name} LIMIT 0", [])[0]  # noqa: S608  # quoted

    def rows(self, columns: Sequence[str], where: Mapping[str, str], *, newest: bool, most: int) -> list[Row]:
        """See `Table`."""
        listed = ", ".join(f"CAST(t.{quoted(name)} AS VARCHAR)" for name in columns)
        conditions = " AND ".join(self._equals.format(f"t.{quoted(name)}") for name in where) or "true"
        start = quoted(found("EventStart", self.columns))
        order = f"t.{start} {'DESC' if newest else 'ASC'} NULLS LAST"  # t.: of the column, not of the text made of it
        statement = f"SELECT {listed} FROM {self._name} AS t WHERE {conditions} ORDER BY {order} LIMIT {most}"  # noqa: S608
        return [dict(zip(columns, row, strict=True)) for row in self._execute(statement, list(where.values()))[1]]


class ParquetFiles:
    """The Parquet files of a folder, or one of them."""

    def __init__(self, path: Path, table: str) -> None:
        try:
            import pyarrow
            import pyarrow.dataset
            import pyarrow.parquet
        except ImportError:
            raise missing("Parquet files", "pyarrow") from None
        below = path / table.rpartition(".")[2]  # the tap has a folder for each stream
        if (path / "_manifests").is_dir() and not below.is_dir():
            raise TimelineError(f"There is no table {below.name!r} in {path}.")
        folder = below if below.is_dir() else path
        # in the order of names, a bundle that was read again comes after what it replaces
        files = (
            [path] if path.is_file() else sorted(one for one in folder.rglob("*.parquet") if one.name[0] not in "._")
        )
        if not files:
            raise TimelineError(f"There are no Parquet files in {folder}.")
        try:
            schemas = [pyarrow.parquet.read_schema(file) for file in files]
            schema = pyarrow.unify_schemas(schemas, promote_options="permissive")  # runs may select other columns
        except (pyarrow.ArrowException, OSError) as error:
            raise TimelineError(f"The files in {path} cannot be read: {first_line(error)}") from error
        self._arrow = pyarrow
        self._data = pyarrow.dataset.dataset([str(file) for file in files], schema=schema, format="parquet")
        self.columns: list[str] = schema.names

    def rows(self, columns: Sequence[str], where: Mapping[str, str], *, newest: bool, most: int) -> list[Row]:
        """See `Table`."""
        start = found("EventStart", self.columns)
        condition = None
        for name, value in where.items():
            one = self._arrow.dataset.field(name).cast("string") == value
            condition = one if condition is None else condition & one
        order = [(start, "descending" if newest else "ascending")]  # rows of the same time stay in their order
        asked = list(dict.fromkeys([start, *columns]))
        table = self._data.schema.empty_table().select(asked)
        try:
            for batch in self._data.to_batches(columns=asked, filter=condition):
                table = self._arrow.concat_tables([table, self._arrow.Table.from_batches([batch])])
                if table.num_rows > 4 * most:  # so that memory holds no more, however many files there are
                    table = table.sort_by(order).slice(0, most)
            table = table.sort_by(order).slice(0, most)
        except (self._arrow.ArrowException, OSError) as error:
            raise TimelineError(f"The Parquet files cannot be read: {first_line(error)}") from error
        return [{name: as_text(row[name]) for name in columns} for row in table.select(list(columns)).to_pylist()]


def open_table(place: str, name: str) -> Table:
    """The table of that name at *place*: an address of PostgreSQL, a file of DuckDB, Parquet files."""
    if re.match(r"postgres(ql)?://", place):
        return open_postgres(place, name)
    path = Path(place)
    if not path.exists():
        raise TimelineError(f"There is nothing at {place}. Give postgresql://…, a .duckdb file, or Parquet files.")
    return ParquetFiles(path, name) if path.is_dir() or path.suffix == ".parquet" else open_duckdb(path, name)


def open_postgres(address: str, name: str) -> SqlTable:
    """A table of PostgreSQL, to be read only."""
    try:
        import psycopg
    except ImportError:
        raise missing("PostgreSQL", "psycopg[binary]") from None

    def execute(statement: str, parameters: list[str]) -> tuple[list[str], list[Any]]:
        try:
            # texts as parameters have no type of their own: they become what the column is
            cursor = connection.execute(statement, parameters or None)
            return [column.name for column in cursor.description or []], cursor.fetchall()
        except psycopg.Error as error:
            raise TimelineError(f"PostgreSQL says: {first_line(error)}") from error

    try:
        connection = psycopg.connect(address, autocommit=True)
        connection.execute("SET default_transaction_read_only TO on")
        connection.execute("SET TIME ZONE 'UTC'")
        connection.execute("SET datestyle TO ISO")
    except psycopg.Error as error:
        raise TimelineError(f"PostgreSQL says: {first_line(error)}") from error
    return SqlTable(execute, name, equals="{} = %s")


def open_duckdb(path: Path, name: str) -> SqlTable:
    """A table in a file of DuckDB, to be read only."""
    try:
        import duckdb
    except ImportError:
        raise missing("a file of DuckDB", "duckdb") from None

    def execute(statement: str, parameters: list[str]) -> tuple[list[str], list[Any]]:
        try:
            cursor = connection.execute(statement, parameters)
            return [column[0] for column in cursor.description or []], cursor.fetchall()
        except duckdb.Error as error:
            raise TimelineError(f"DuckDB says: {first_line(error)}") from error

    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise TimelineError(f"DuckDB says: {first_line(error)}") from error
    return SqlTable(execute, name, equals="CAST({} AS VARCHAR) = ?")


def quoted(name: str) -> str:
    """An identifier of SQL. `%` would be a parameter's place for psycopg, so no column with one is ever asked for."""
    return '"' + name.replace('"', '""') + '"'


def found(name: str, columns: Iterable[str]) -> str:
    """The column of this name, however the target spells it."""
    spelled = spelling(columns)
    if name.lower() not in spelled:
        raise TimelineError(f"The table has no column {name}: it is deselected, or the table is not that of events.")
    return spelled[name.lower()]


def spelling(columns: Iterable[str]) -> dict[str, str]:
    """By lower-case name: how the target spells a column."""
    return {name.lower(): name for name in columns if "%" not in name}


def missing(what: str, package: str) -> TimelineError:
    """The error that a driver is not there."""
    return TimelineError(f"Reading {what} needs a package that is not installed: pip install '{package}'")


def first_line(error: BaseException) -> str:
    """What an error says, as far as it fits a line."""
    return clean((str(error).strip().splitlines() or [type(error).__name__])[0])


def as_text(value: Any) -> str | None:
    """A value as SQL would cast it to text."""
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)


# --- Which session ----------------------------------------------------------------------------------------------------


@dataclass
class Session:
    """One session.

    Attributes:
        chosen: in words, how it was found.
        notes: in words, what the page leaves out or puts together.
    """

    user: str | None
    id: str
    events: list[Event]
    chosen: str
    notes: list[str] = field(default_factory=list)


def find_session(table: Table, *, session: str | None, user: str | None) -> Session:
    """The session asked for; the newest of a user; or else one in which much went wrong.

    Args:
        session: `SESSION` or `USER:SESSION`, as in the address of a replay.
        user: your id of the user or an e-mail, as in the tap's setting `sessions_for`.
    """
    spelled = spelling(table.columns)
    id_column, _ = found("SessionId", table.columns), found("EventStart", table.columns)
    user_column = spelled.get("userid")
    if session:
        of_user, _, wanted = session.rpartition(":")
        where = {id_column: wanted, **({user_column: of_user} if user_column and of_user else {})}
        chosen = "asked for"
    else:
        where, chosen = choose(table, user)
    columns = [spelled[name.lower()] for name in SHOWN if name.lower() in spelled]
    columns += [name for key, name in spelled.items() if key.startswith(CUSTOM)]
    rows = table.rows(columns, where, newest=False, most=MOST_EVENTS + 1)
    if not rows:
        raise TimelineError(f"The table has no event of session {session}.")
    users = {row[user_column] for row in rows} if user_column else {None}
    if len(users) > 1:
        several = ", ".join(sorted(f"{one}:{where[id_column]}" for one in users))
        raise TimelineError(f"Several users have a session of that number. Say which with --session: {several}")
    return session_of(rows, id=where[id_column], user=users.pop(), chosen=chosen)


def choose(table: Table, user: str | None) -> tuple[dict[str, str], str]:
    """What the rows of a session have in common, and in words why it is this session."""
    spelled = spelling(table.columns)
    where: dict[str, str] = {}
    if user:
        column, value = whose(user)
        where[found(column, table.columns)] = value
    columns = [spelled[name.lower()] for name in RANKED if name.lower() in spelled]
    sessions: dict[tuple[str | None, str | None], list[Event]] = {}
    id_column, user_column = found("SessionId", table.columns), spelled.get("userid")
    newest = table.rows(columns, where, newest=True, most=NEWEST)
    for row in newest:
        if row[id_column] is not None:
            key = (row[user_column] if user_column else None, row[id_column])
            sessions.setdefault(key, []).append(event_of(row))
    if not sessions:
        raise TimelineError(f"The table has no session of {user}." if user else "The table has no event of a session.")
    if user:
        best, why = next(iter(sessions)), f"the newest of {user}"
    else:
        best = max(sessions, key=lambda key: telling(sessions[key]))
        among = f"the newest {len(newest):,} events"
        why = (
            f"of the {len(sessions):,} sessions in {among} the one with the most kinds of trouble, then of events, in "
            "the fewest events"
            if len(sessions) > 1
            else f"the only one in {among}"
        )
    keys = {id_column: best[1], **({user_column: best[0]} if user_column else {})}
    return {name: value for name, value in keys.items() if value is not None}, why


def whose(user: str) -> tuple[str, str]:
    """The column that says who it was, and what is to stand there."""
    kind, colon, rest = user.partition(":")
    if colon and kind in ("email", "uid"):
        return ("UserEmail" if kind == "email" else "UserAppKey"), rest
    return ("UserEmail" if "@" in user else "UserAppKey"), user


def telling(events: Sequence[Event]) -> tuple[int, int, int]:
    """How much there is to see in a session: the larger the more."""
    troubles = {trouble.kind for event in events for trouble in event.troubles}
    return len(troubles), len({event.type for event in events}), -len(events)


def session_of(rows: list[Row], *, id: str, user: str | None, chosen: str) -> Session:
    """A session of its rows, in the order of time."""
    notes = []
    if len(rows) > MOST_EVENTS:
        rows = rows[:MOST_EVENTS]
        notes.append(f"The session is longer: only its first {MOST_EVENTS:,} events are here.")
    events = [event_of(row) for row in rows]
    # what was loaded twice: the last one is what a target that replaces rows would keep
    by_id = {event.row.get("event_id") or number: event for number, event in enumerate(events)}
    if len(by_id) < len(events):
        notes.append(f"{len(events) - len(by_id):,} rows repeat an event_id; each event is here once.")
    # what happened at the same time has no order in a table: any that is always the same
    events = sorted(by_id.values(), key=lambda one: (one.at is None, one.at or EPOCH, one.type, said(one), one.place))
    timeless = sum(event.at is None for event in events)
    if timeless:
        notes.append(f"{timeless:,} events have no time: they stand at the end of the table and are not drawn.")
    return Session(user, id, events, chosen, notes)


# --- What an event is -------------------------------------------------------------------------------------------------

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(?:Z|UTC|([+-])(\d\d):?(\d\d)?(?::?\d\d)?)?"
)
TYPED = {"change", "paste", "copy", "highlight", "keyboard_open", "keyboard_close"}
PAGES = {"navigate", "load", "pageview", "backgrounded", "abandon"}
ERRORS = ("error", "error", "console error", "uncaught exception")  # by EventModError


@dataclass(frozen=True)
class Trouble:
    """A sign that something went wrong; *kind* is one of the first of SHAPES."""

    kind: str
    words: str


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        row: what the table says of it, by names in lower case.
        place: the page it happened on, as it names a lane.
    """

    row: Row
    at: datetime | None
    type: str
    place: str
    troubles: tuple[Trouble, ...]

    @property
    def kind(self) -> str:
        """Which of SHAPES it has."""
        if self.troubles:
            return self.troubles[0].kind
        if self.type in ("click", "custom"):
            return self.type
        return "typed" if self.type in TYPED else "page" if self.type in PAGES else "other"

    @property
    def by_hand(self) -> bool:
        """Whether it is drawn with what the visitor did, not with what the page did."""
        return bool(self.troubles) or self.kind in ("click", "typed")


def event_of(row: Row) -> Event:
    """An event of its row."""
    lower = {name.lower(): value for name, value in row.items()}
    kind = clean(lower.get("eventtype")) or "event"
    return Event(lower, moment(lower.get("eventstart")), kind, clean(place_of(lower)), troubles_of(lower, kind))


def moment(value: datetime | str | None) -> datetime | None:
    """The time that a column says, in UTC; without a zone it is UTC; None if it cannot be read."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    parts = _MOMENT.fullmatch((value or "").strip())
    if not parts:
        return None
    *numbers, digits, sign, hours, minutes = parts.groups()
    away = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        at = datetime(*[int(number or 0) for number in numbers], tzinfo=timezone.utc)  # type: ignore[misc,arg-type]
        return at + timedelta(microseconds=int((digits or "0")[:6].ljust(6, "0"))) + (away if sign == "-" else -away)
    except (ValueError, OverflowError):  # 2024-02-30, or beyond year 9999
        return None


def number(value: str | None) -> int:
    """A number of a column; 0 for none, since Fullstory leaves zeros out."""
    try:
        return int(float(value or 0))
    except (ValueError, OverflowError):
        return 0


def troubles_of(row: Row, kind: str) -> tuple[Trouble, ...]:
    """What went wrong, the worst first."""
    troubles = []
    nth, error, status = (number(row.get(name)) for name in ("eventmodfrustrated", "eventmoderror", "reqstatus"))
    if nth > 0:
        troubles.append(Trouble("rage", f"rage click {nth}"))
    if error > 0:
        troubles.append(Trouble("error", ERRORS[min(error, 3)]))
    elif kind == "exception":
        troubles.append(Trouble("error", "uncaught exception"))
    elif kind == "crashed":
        troubles.append(Trouble("error", "crash"))
    elif kind == "console_message":
        troubles.append(Trouble("error", "console error"))
    elif kind == "request" and status >= 400:
        troubles.append(Trouble("error", f"HTTP {status}"))
    if number(row.get("eventmoddead")) > 0:
        troubles.append(Trouble("dead", "dead click"))
    if kind == "thrash":
        troubles.append(Trouble("thrash", "mouse thrash"))
    if kind == "abandon":
        troubles.append(Trouble("abandon", "form abandoned"))
    return tuple(troubles)


def place_of(row: Row) -> str:
    """The page of an event: its address without query, or what an app calls it."""
    address = row.get("pageurl") or ""
    for name in ("appviewname", "pagename"):
        if not address and row.get(name):
            return str(row[name])
    if not address:
        return f"page {row['pageid']}" if row.get("pageid") else "no page"
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that are no IPv6
        return address
    inside = f"#{parts.fragment.partition('?')[0]}" if parts.fragment[:1] in ("/", "!") else ""  # a page of one script
    return f"{parts.netloc}{parts.path}{inside}" or address


def said(event: Event) -> str:
    """What was clicked, typed or told, as one line of plain text."""
    row = event.row
    text = clean(row.get("eventtargettext"))
    if event.type in ("custom", "custom_error"):
        values = ", ".join(f"{name} {value}" for name, value in custom_values(row))
        return ": ".join(filter(None, [clean(row.get("eventcustomname")), clean(values)]))
    if event.type == "request":
        return clean(" ".join(filter(None, [row.get("reqmethod"), row.get("requrl"), row.get("reqstatus")])))
    if text:
        return f"“{text}”"
    if event.kind == "page" or event.type == "uservar":
        return ""
    selector = row.get("eventtargetselector") or unquote(row.get("eventtargetselectortok") or "")
    return clean(" ".join([token for token in selector.split() if token[0] != "="][-3:]))  # without =attribute=value


def custom_values(row: Row) -> Iterator[tuple[str, Any]]:
    """Names and values of a custom event, without Fullstory's additions to the names."""
    try:
        kept = json.loads(row.get("customvars") or "{}")
    except ValueError:
        kept = {}
    columns = {name: value for name, value in row.items() if value is not None}
    for name, value in {**columns, **(kept if isinstance(kept, dict) else {})}.items():
        if name.startswith(CUSTOM):
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            yield name.removeprefix(CUSTOM).rpartition("_")[0] or name, shown


def clean(text: str | None) -> str:
    """A text of data on one line, cut; see `visible`."""
    joined = " ".join((text or "").split())
    kept = visible(joined[:LONGEST_TEXT])
    return kept if len(joined) <= LONGEST_TEXT else f"{kept}… ({len(joined):,} characters)"


def visible(text: str) -> str:
    """A text in which what cannot be seen, or turns writing around, is spelled out: `\\u202e`."""
    joiners = "\u200c\u200d"  # of letters, and of emoji
    return "".join(
        one if one.isprintable() or one in joiners else one.encode("unicode_escape").decode() for one in text
    )


# --- The drawing ------------------------------------------------------------------------------------------------------

# By kind: how it is drawn around (0, 0), and what one and several are called. Trouble comes first.
SHAPES = {
    "rage": ('<path d="M0-5.5 5.5 4.5h-11z"/>', "rage click", "rage clicks"),
    "error": ('<path class="line" d="M-4-4 4 4M4-4-4 4"/>', "error", "errors"),
    "dead": ('<g class="line"><circle r="4.2"/><path d="M-3 3 3-3"/></g>', "dead click", "dead clicks"),
    "thrash": ('<path class="line" d="M-5.5 3-2.5-3 0 3 2.5-3 5.5 3"/>', "mouse thrash", "mouse thrashes"),
    "abandon": ('<path class="line" d="M-4-4.5h8v9h-8zM-1.5 0h3"/>', "form abandoned", "forms abandoned"),
    "click": ('<circle r="3.6"/>', "click", "clicks"),
    "typed": ('<path d="M-3.5-3.5h7v7h-7z"/>', "typed, pasted or marked", ""),
    "custom": ('<path d="M0-5 5 0 0 5-5 0z"/>', "custom event", "custom events"),
    "page": ('<path d="M-1.2-5h2.4v10h-2.4z"/>', "page loaded or changed", ""),
    "other": ('<circle r="1.6"/>', "anything else", ""),
}
TROUBLES = ("rage", "error", "dead", "thrash", "abandon")

# All in units of the drawing, which is WIDTH wide.
WIDTH, LEFT, RIGHT, TOP = 1000, 196, 984, 30
FLAGS, ROW, GAP = 18, 15, 9  # heights: of the words for trouble, of a row of marks, between lanes
MARK = 10  # what a mark needs from side to side: those that come nearer share one
LETTER = 6.3  # of the words, at most
MARGIN = 6  # of a bar, beside its first and last mark
MOST_TICKS = 7
NEW_LINE = "\n"
STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]  # seconds between two times on the axis
STEPS += [60 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)]


@dataclass(frozen=True)
class Scale:
    """Where a time is in the drawing."""

    begin: datetime
    end: datetime

    @property
    def span(self) -> float:
        """Seconds from side to side; a session of one moment has one, too."""
        return max((self.end - self.begin).total_seconds(), 1.0)

    def x(self, at: datetime) -> float:
        """The place of a time."""
        return LEFT + 8 + (RIGHT - LEFT - 16) * (at - self.begin).total_seconds() / self.span


@dataclass
class Visit:
    """The events between two changes of the page."""

    place: str
    events: list[tuple[int, Event]]  # with their numbers


@dataclass
class Flag:
    """Words above a lane for what went wrong at about one time."""

    x: float
    counts: Counter[str]
    first: int  # number of its first event

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Kinds and words."""
        counts = [(kind, self.counts[kind]) for kind in TROUBLES if self.counts[kind]]
        return [(kind, kind if count == 1 else f"{kind} \u00d7{count:,}") for kind, count in counts]

    @property
    def width(self) -> float:
        """How much room it takes."""
        return sum(16 + LETTER * len(words) + 6 for _, words in self.parts)

    @property
    def left(self) -> float:
        """Where it begins: so that it does not leave the drawing."""
        return max(LEFT, min(self.x - 6, RIGHT - self.width))


def visits_of(events: Sequence[Event]) -> list[Visit]:
    """Events in order, cut where the page changes."""
    visits: list[Visit] = []
    for number, event in enumerate(events, 1):
        if not visits or visits[-1].place != event.place:
            visits.append(Visit(event.place, []))
        visits[-1].events.append((number, event))
    return visits


def drawing(events: Sequence[Event], visits: Sequence[Visit], notes: list[str]) -> str:
    """The session as SVG; what it leaves out or puts together is added to *notes*."""
    times = [event.at for event in events if event.at]
    if not times:
        return ""
    scale = Scale(times[0], times[-1])
    stays = stays_of(visits, scale)
    parts, y, marks = [], float(TOP), 0
    for name, places in lanes_of(visits, notes).items():
        here = [(at, one) for visit in visits if visit.place in places for at, one in visit.events if one.at]
        flags = flags_of(here, scale)
        height = (FLAGS if flags else 4) + 2 * ROW + 2
        lane = [f'<text class="lane" x="{LEFT - 10}" y="{y + height - ROW - 2:.0f}">{safe(shortened(name))}</text>']
        lane += bars_of([stay for place in places for stay in stays[place]], y, height)
        by_hand, by_page = [[one for _, one in here if one.by_hand is side] for side in (True, False)]
        for row, at in ((by_hand, y + height - 1.5 * ROW - 1), (by_page, y + height - 0.5 * ROW - 1)):
            drawn = marks_of(row, scale, at)
            marks += len(drawn)
            lane += drawn
        lane += [flagged(flag, y + 12) for flag in flags]
        parts.append(f"<g>{''.join(lane)}</g>")
        y += height + GAP
    if marks < len(times):
        notes.append(
            f"{len(times):,} events are drawn as {marks:,} marks: what happened at nearly the same time shares one. "
            "The table has them all."
        )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Drawing of the session">'
        f'<svg viewBox="0 0 {WIDTH} {y:.0f}" role="group" aria-label="Events by time and page, in words in the table">'
        f"{''.join(axis(scale, y))}{''.join(parts)}</svg></div>"
    )


def lanes_of(visits: Sequence[Visit], notes: list[str]) -> dict[str, set[str]]:
    """By what is written beside it: the pages of each lane, as they were met."""
    sizes: Counter[str] = Counter()
    for visit in visits:
        sizes[visit.place] += len(visit.events)
    kept = {place for place, _ in sizes.most_common(MOST_LANES)}
    hosts = {place.partition("/")[0] for place in sizes if "/" in place}
    lanes: dict[str, set[str]] = {}
    for place in [one for one in sizes if one in kept]:
        host, _, path = place.partition("/")
        lanes.setdefault(f"/{path}" if {host} == hosts else place, set()).add(place)  # all on one host: without it
    if len(sizes) > len(kept):
        lanes[f"{len(sizes) - len(kept):,} other pages"] = set(sizes) - kept
        notes.append(f"Of {len(sizes):,} pages the {len(kept)} with the most events have a line of their own.")
    return lanes


def shortened(name: str) -> str:
    """The name of a lane as it fits beside it: its end tells pages apart."""
    return name if len(name) <= 28 else f"…{name[-27:]}"


def stays_of(visits: Sequence[Visit], scale: Scale) -> dict[str, list[tuple[float, float]]]:
    """By page: from where to where the visitor was there, that is until something happened on the next one."""
    stays: dict[str, list[tuple[float, float]]] = {visit.place: [] for visit in visits}
    begins = [next((one.at for _, one in visit.events if one.at), scale.end) for visit in visits]
    for visit, begin, end in zip(visits, begins, [*begins[1:], None], strict=True):
        last = next((one.at for _, one in reversed(visit.events) if one.at), begin)  # a click that leads on
        right = max(scale.x(end) - MARGIN if end else 0, scale.x(last) + MARGIN)
        stays[visit.place].append((scale.x(begin) - MARGIN, right))
    return stays


def bars_of(stays: Iterable[tuple[float, float]], y: float, height: float) -> list[str]:
    """A bar for each stay, one for those that lie so close that nobody could tell them apart."""
    bars: list[list[float]] = []
    for left, right in sorted(stays):
        if bars and left - bars[-1][1] < 2:
            bars[-1][1] = max(right, bars[-1][1])
        else:
            bars.append([left, max(right, left + 3)])
    return [
        f'<rect class="stay" x="{left:.1f}" y="{y:.0f}" width="{right - left:.1f}" height="{height:.0f}" rx="4"/>'
        for left, right in bars
    ]


def marks_of(events: Sequence[Event], scale: Scale, y: float) -> list[str]:
    """A row of marks that do not touch: events that come too near share one, with the most telling shape."""
    shared: list[tuple[float, list[Event]]] = []
    for event in events:
        assert event.at
        at = scale.x(event.at)
        if shared and at - shared[-1][0] < MARK:
            shared[-1][1].append(event)
        else:
            shared.append((at, [event]))
    order = list(SHAPES)
    drawn = []
    for at, group in shared:
        kind = min((event.kind for event in group), key=order.index)
        lines = [f"{clock(event.at)} {told(event)}" for event in group[:6]]
        lines += [f"and {len(group) - 6:,} more"] if len(group) > 6 else []
        trouble = " bad" if kind in TROUBLES else ""
        drawn.append(
            f'<g class="mark{trouble}" transform="translate({at:.1f} {y:.1f})">'
            f'<title>{safe(NEW_LINE.join(lines))}</title><use href="#{kind}"/></g>'
        )
    return drawn


def flags_of(events: Sequence[tuple[int, Event]], scale: Scale) -> list[Flag]:
    """Words for what went wrong that do not cover each other: what would is put together."""
    flags: list[Flag] = []
    for number, event in events:
        if not event.troubles:
            continue
        assert event.at
        flags.append(Flag(scale.x(event.at), Counter(trouble.kind for trouble in event.troubles), number))
        while len(flags) > 1 and flags[-2].left + flags[-2].width > flags[-1].left:
            last = flags.pop()
            flags[-1].counts += last.counts
    return flags


def flagged(flag: Flag, y: float) -> str:
    """A flag as a link to the first event that it tells of."""
    at, drawn = flag.left + 8, []
    for kind, words in flag.parts:
        drawn.append(f'<use href="#{kind}" x="{at:.1f}" y="{y - 4:.1f}"/>')
        drawn.append(f'<text x="{at + 9:.1f}" y="{y:.1f}">{words}</text>')
        at += 16 + LETTER * len(words) + 6
    return f'<a class="bad" href="#e{flag.first}">{"".join(drawn)}</a>'


def axis(scale: Scale, bottom: float) -> Iterator[str]:
    """Round times, and a line at each."""
    days = [86400.0 * days for days in (1, 2, 7, 30, 365, 3650)]
    step = next(one for one in [*STEPS, *days, scale.span] if scale.span / one <= MOST_TICKS)
    first = -((scale.begin - EPOCH).total_seconds() // -step)  # rounded up
    for nth in range(MOST_TICKS + 1):
        at = EPOCH + timedelta(seconds=(first + nth) * step)
        if at > scale.end:
            return
        text = f"{at:%Y-%m-%d}" if step >= 86400 else f"{at:%H:%M:%S}" if step >= 1 else f"{at:%H:%M:%S.%f}"[:-5]
        yield f'<path class="tick" d="M{scale.x(at):.1f} {TOP - 8}V{bottom - GAP:.0f}"/>'
        yield f'<text class="time" x="{scale.x(at):.1f}" y="{TOP - 14}">{text}</text>'


# --- The page ---------------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1d2329; --soft: #5a6570; --line: #d9dfe5; --bar: #eef2f6;
  --mark: #2f6690; --bad: #b3261e; --tint: #fdf1ef }
@media (prefers-color-scheme: dark) { :root { --back: #14181c; --ink: #e4e8ec; --soft: #9da8b3; --line: #333b44;
  --bar: #20272e; --mark: #86b8dc; --bad: #ff8f80; --tint: #2e1f1e } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 75rem; padding: 1.5rem 1.25rem 4rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
p { margin: .25rem 0; overflow-wrap: anywhere }
a { color: var(--mark) }
a:focus-visible, .scroll:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
.soft, .notes { color: var(--soft) }
.notes { font-size: .875rem; padding-left: 1.1rem }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(13.5rem, 100%), 1fr)); gap: .6rem 1.5rem;
  margin: 1rem 0 }
dt { color: var(--soft); font-size: .8125rem }
dd { margin: 0; overflow-wrap: anywhere }
.replay { display: inline-block; margin: .5rem 0; padding: .35rem .8rem; border: 1px solid var(--mark);
  border-radius: .4rem; text-decoration: none }
.replay:hover { background: var(--bar) }
.scroll { overflow-x: auto }
svg { color: var(--mark); fill: currentColor }
.scroll > svg { display: block; width: 100%; min-width: 44rem; font-size: 12px }
.line { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round }
svg text { fill: var(--ink) }
svg .lane { text-anchor: end }
svg .time { fill: var(--soft); text-anchor: middle; font-size: 11px; font-variant-numeric: tabular-nums }
svg .tick { fill: none; stroke: var(--line) }
svg .stay { fill: var(--bar) }
.bad, .bad svg, svg .bad text { color: var(--bad); fill: currentColor }
svg a.bad text { font-size: 11px }
svg a.bad:hover text { text-decoration: underline }
.defs { position: absolute; width: 0; height: 0 }
.sign { width: 1em; height: 1em; vertical-align: -.12em; margin-right: .3em; overflow: visible }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .5rem 0; padding: 0;
  font-size: .875rem }
ol.found { margin: .25rem 0; padding-left: 1.6rem; columns: 22rem; column-gap: 2rem }
ol.found li { break-inside: avoid; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; font-size: .875rem }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem }
th, td { text-align: left; vertical-align: top; padding: .2rem .75rem .2rem 0; border-bottom: 1px solid var(--line) }
thead th { color: var(--soft); font-weight: 500 }
tbody th { padding-top: 1.1rem; font-weight: 600; overflow-wrap: anywhere }
tbody th span { color: var(--soft); font-weight: 400 }
td { overflow-wrap: anywhere }
td:nth-child(-n+3) { white-space: nowrap; font-variant-numeric: tabular-nums; overflow-wrap: normal }
td:nth-child(4) { min-width: 14rem }
td:last-child { min-width: 9rem; padding-right: 0 }
tr.bad { background: var(--tint); color: inherit }
tr { scroll-margin-top: 5rem }
tr:target td { background: var(--bar); box-shadow: inset 0 2px var(--mark), inset 0 -2px var(--mark) }
@media (max-width: 48rem) { ol.found { columns: 1 } .scroll table { min-width: 44rem } }
@media print { :root { color-scheme: light; font-size: 12px; --back: #fff; --ink: #000; --soft: #444; --line: #bbb;
  --bar: #eee; --mark: #1d4f78; --bad: #9b1c14; --tint: #fff } body { max-width: none; padding: 0; font-size: 1rem }
  .scroll { overflow: visible } .scroll > svg { min-width: 0 } tr, .scroll > svg { break-inside: avoid }
  .stay, tr { print-color-adjust: exact } }
"""

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>%(title)s</title>
<style>%(style)s</style>
</head>
<body>
<svg class="defs" aria-hidden="true"><defs>%(shapes)s</defs></svg>
<header>
<h1>%(who)s</h1>
<p class="soft">Session %(session)s, %(chosen)s.</p>
%(replay)s
<dl>%(facts)s</dl>
</header>
<main>
<h2 id="trouble">What went wrong</h2>
%(trouble)s
<h2 id="drawing">The session, page by page</h2>
%(drawing)s
<ul class="key" aria-label="Shapes">%(key)s</ul>
<ul class="notes">%(notes)s</ul>
<h2 id="events">All that happened</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of events">
<table>
<caption>Times are in UTC. The second column counts from the first event.</caption>
<thead><tr><th scope="col">Time</th><th scope="col">After</th><th scope="col">Event</th>\
<th scope="col">What</th><th scope="col">Signs of trouble</th></tr></thead>
%(table)s
</table>
</div>
</main>
</body>
</html>
"""


def page(session: Session, replay_root: str | None) -> str:
    """The page of a session."""
    events, notes = session.events, list(session.notes)
    visits = visits_of(events)
    drawn = drawing(events, visits, notes)
    kinds = [kind for kind in SHAPES if any(kind == event.kind for event in events)]
    who = next(filter(None, (known(events, name) for name in ("UserDisplayName", "UserEmail", "UserAppKey"))), "")
    return PAGE % {
        "title": safe(f"Session of {who or 'a visitor'}"),
        "who": safe(who) or "A visitor without a name",
        "style": STYLE,
        "shapes": "".join(f'<g id="{kind}">{shape[0]}</g>' for kind, shape in SHAPES.items()),
        "session": safe(":".join(filter(None, [session.user, session.id]))),
        "chosen": safe(session.chosen),
        "replay": replay(session, replay_root),
        "facts": "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts(events, visits)),
        "trouble": findings(events),
        "drawing": drawn or "<p>No event has a time, so there is nothing to draw.</p>",
        "key": "".join(
            f'<li class="{"bad" * (kind in TROUBLES)}">{sign(kind)}{SHAPES[kind][1]}</li>' for kind in kinds
        ),
        "notes": "".join(f"<li>{safe(note)}</li>" for note in notes),
        "table": "".join(rows_of(visit, events) for visit in visits),
    }


def safe(text: str) -> str:
    """A text that may stand anywhere in the page, whatever it says."""
    return html.escape(NEW_LINE.join(map(visible, text.split(NEW_LINE))))


def known(events: Iterable[Event], name: str) -> str:
    """What a column says of the visitor: the last that it says, since who it is may turn out late."""
    last = ""
    for event in events:
        last = event.row.get(name.lower()) or last
    return clean(last)


def facts(events: Sequence[Event], visits: Sequence[Visit]) -> Iterator[tuple[str, str]]:
    """Names and values (HTML) of what is known of the session as a whole."""
    times = [event.at for event in events if event.at]
    if times:
        yield "Began", timestamp(times[0], exact(times[0]))
        yield "Lasted", lasting(times[-1] - times[0])
    yield "Events", f"{len(events):,}"
    yield "Pages", f"{len({visit.place for visit in visits}):,}"
    for title, name in (("E-mail", "UserEmail"), ("Your id", "UserAppKey")):
        if value := known(events, name):
            yield title, safe(value)
    browser = [known(events, name) for name in ("PageBrowser", "PageOperatingSystem", "PageDevice")]
    if any(browser):
        yield "With", safe(", ".join(filter(None, browser)))


def replay(session: Session, root: str | None) -> str:
    """The link to the replay, or why there is none."""
    if not root:
        return '<p class="soft">For a link to the replay: --replay-root https://app.fullstory.com/ui/ORG/session/</p>'
    if not (session.user and session.user.isdecimal() and session.id.isdecimal()):
        return '<p class="soft">No link to the replay: it needs UserId and SessionId as Fullstory has them.</p>'
    address = html.escape(f"{root.rstrip('/')}/{quote(session.user)}:{quote(session.id)}")
    return f'<p><a class="replay" href="{address}" rel="noreferrer noopener">Watch the replay in Fullstory</a></p>'


@dataclass
class Finding:
    """Something that went wrong, perhaps several times in a row."""

    number: int  # of its first event
    event: Event
    counts: Counter[str]


def findings_of(events: Sequence[Event]) -> list[Finding]:
    """What went wrong: the clicks of a rage, and errors that they cause, are one each."""
    items: list[Finding] = []
    for number, event in enumerate(events, 1):
        if not event.troubles:
            continue
        counts = Counter(trouble.kind for trouble in event.troubles)
        for item in items[:-3:-1]:  # the errors of a rage stand between its clicks
            again = event.row.get("eventmodfrustrated") == "1"  # another series, if on the same button
            if not again and (item.event.kind, told(item.event), item.event.place) == (
                event.kind,
                told(event),
                event.place,
            ):
                item.counts += counts
                break
        else:
            items.append(Finding(number, event, counts))
    return items


def findings(events: Sequence[Event]) -> str:
    """What went wrong, in order, each with a link to its row."""
    items = findings_of(events)
    if not items:
        return "<p>Nothing that the columns tell of: no rage click, no dead click, no error.</p>"
    listed = "".join(
        f'<li><a href="#e{item.number}">{clock(item.event.at)}</a> <span class="bad">{sign(item.event.kind)}</span>'
        f"{safe(': '.join(filter(None, [all_counted(item.counts), said(item.event)])))}</li>"
        for item in items[:MOST_FINDINGS]
    )
    more = len(items) - MOST_FINDINGS
    rest = f'<p class="soft">And {more:,} more, marked in the table.</p>' if more > 0 else ""
    total = sum((item.counts for item in items), Counter[str]())
    return f'<p class="bad">{all_counted(total)}.</p><ol class="found">{listed}</ol>{rest}'


def rows_of(visit: Visit, events: Sequence[Event]) -> str:
    """The rows of a visit to a page, below the address of that."""
    first = visit.events[0][1]
    address = clean(first.row.get("pageurl")) or visit.place
    head = f'<tbody><tr><th colspan="5" scope="rowgroup">{safe(address)} <span>{exact(first.at)}</span></th></tr>'
    return head + "".join(row_of(number, event, events[0].at) for number, event in visit.events) + "</tbody>\n"


def row_of(number: int, event: Event, begin: datetime | None) -> str:
    """The row of an event."""
    after = lasting(event.at - begin) if event.at and begin else ""
    kind = " ".join(filter(None, [event.type, clean(event.row.get("eventsubtype"))]))
    kind_of_error = clean(event.row.get("eventvarerrorkind"))
    words = [trouble.words for trouble in event.troubles] + ([kind_of_error] if kind_of_error else [])
    signs = "".join(map(sign, dict.fromkeys(trouble.kind for trouble in event.troubles)))
    return (
        f'<tr id="e{number}"{" class=bad" if event.troubles else ""}><td>{timestamp(event.at, clock(event.at))}</td>'
        f"<td>{after}</td><td>{sign(event.kind) if not event.troubles else ''}{safe(kind)}</td>"
        f'<td><bdi>{safe(said(event))}</bdi></td><td class="bad">{signs}{safe(", ".join(words))}</td></tr>\n'
    )


def told(event: Event) -> str:
    """An event in a few words."""
    return " ".join(filter(None, [event.type, said(event)]))


def counted(kind: str, count: int) -> str:
    """`3 rage clicks`."""
    _, one, several = SHAPES[kind]
    return f"{count:,} {one if count == 1 else several}"


def all_counted(counts: Counter[str]) -> str:
    """`3 rage clicks, 1 error`."""
    return ", ".join(counted(kind, counts[kind]) for kind in TROUBLES if counts[kind])


def sign(kind: str) -> str:
    """A shape beside words that say the same."""
    return f'<svg class="sign" viewBox="-6 -6 12 12" aria-hidden="true"><use href="#{kind}"/></svg>'


def timestamp(at: datetime | None, shown: str) -> str:
    """A time of a table, which programs find in full."""
    return f'<time datetime="{exact(at)}">{shown}</time>' if at else "unknown"


def exact(at: datetime | None) -> str:
    """A time as in ISO 8601, to the millisecond."""
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z" if at else ""


def clock(at: datetime | None) -> str:
    """The time of day."""
    return exact(at)[11:-1] or "unknown"


def lasting(time: timedelta) -> str:
    """`1:02:03.4`, or `2:03.4` below an hour."""
    tenths = time // timedelta(milliseconds=100)
    hours, minutes, seconds = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"


# --- The command ------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; the exit status is 0 if it is there, 1 if not, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(description="One visitor's session as one HTML file that opens from disk.")
    parser.add_argument(
        "--from",
        dest="place",
        required=True,
        metavar="PLACE",
        help="postgresql://…, a file of DuckDB, or a folder of Parquet files that the tap wrote with --to",
    )
    parser.add_argument("--table", default="fullstory.events", help="the table of events (default: %(default)s)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--session", metavar="[USER:]SESSION", help="SessionId, if need be behind UserId and a colon")
    which.add_argument("--user", help="your id of a user, or an e-mail: the newest session of that user")
    parser.add_argument(
        "--replay-root",
        metavar="URL",
        help="for a link to the replay: https://app.fullstory.com/ui/ORG/session/",
    )
    parser.add_argument("-o", "--output", default="timeline.html", help="the file to write; - is stdout")
    given = parser.parse_args(arguments)
    if given.replay_root and not re.match(r"https://[^/\s]+/", given.replay_root):
        parser.error(f"--replay-root is not an https:// address: {given.replay_root}")
    if "" in (given.session, given.user):  # as of a variable that is not set: not somebody else's session
        parser.error("--session and --user cannot be empty")
    try:
        session = find_session(open_table(given.place, given.table), session=given.session, user=given.user)
        content = page(session, given.replay_root)
        if given.output == "-":
            sys.stdout.buffer.write(content.encode())
        else:
            write(Path(given.output), content)
    except TimelineError as error:
        print(f"timeline: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"timeline: {given.output} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 1
    shown = ":".join(filter(None, [session.user, session.id]))
    print(f"Session {shown} ({session.chosen}): {len(session.events):,} events in {given.output}", file=sys.stderr)
    return 0


def write(path: Path, content: str) -> None:
    """Put a file in its place in one step, for its owner only; a pipe or a device is no file to be replaced."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        path.write_text(content, encoding="utf-8")
        return
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


if __name__ == "__main__":
    sys.exit(main())
