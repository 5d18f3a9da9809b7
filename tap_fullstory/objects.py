"""Streams of objects that Fullstory's API lists page by page: users, segments, settings and the like.

Such a stream is a schema and a function that yields its pages; everything else is here. An object becomes a record the
way an event does: columns exact, what has no column or does not fit it in `CustomVars`, and nothing nested.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from msgspec import UNSET

from tap_fullstory.client import RateLimit
from tap_fullstory.config import Config
from tap_fullstory.dictionary import CUSTOM_VARS, Field, Kind, column_schema
from tap_fullstory.errors import ResponseError, TapError
from tap_fullstory.exact import parse, to_columns, uncounted
from tap_fullstory.layout import is_custom
from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.prefetch import ahead
from tap_fullstory.privacy import Privacy
from tap_fullstory.records import NO_BUNDLE, Origin, Records, encode, encode_lines
from tap_fullstory.report import Change, Report
from tap_fullstory.state import Checkpoint
from tap_fullstory.streams import Items, Run, Selection, Stream

SCHEMAS = Path(__file__).resolve().parent / "schemas"
JSON_TEXT = "application/json"  # the `contentMediaType` of columns that hold JSON as text
REPORT_IT = "Please report it."

T = TypeVar("T")
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """Objects that are read at once.

    Attributes:
        objects: as `exact.parse` reads them.
        bookmark: where a later run may go on when they are written; None: at the beginning.
    """

    objects: Sequence[Object]
    bookmark: Any = None


Read = Callable[[Run, Any], Iterator[Page]]


def object_stream(
    name: str,
    key_properties: Sequence[str],
    read: Read,
    privacy: Privacy,
    *,
    probe: Callable[[Config], Sequence[str]],
    replication_key: str | None = None,
) -> Stream:
    """Return the stream of that name, with the schema in `schemas/`.

    Args:
        read: yields its pages, given the stream's bookmark; it runs in a thread of its own.
        probe: see `Stream`.
        replication_key: the column that orders it; none: it is read whole each time.
    """
    schema = json.loads((SCHEMAS / f"{name}.json").read_bytes())
    fields = fields_of(schema)
    if not privacy.keeps:
        del schema["properties"][CUSTOM_VARS]
    for field in fields:
        if field.name != replication_key and privacy.hashes(field):
            schema["properties"][field.name] = column_schema(field, hashed=True)

    def extract(run: Run, bookmark: Any, selection: Selection) -> Items:
        reader = ObjectReader(fields, selection, privacy, run.report, untreated=replication_key)
        yield from _items(run, read(run, bookmark), reader, bookmark)

    return Stream(
        name=name,
        schema=schema,
        key_properties=tuple(key_properties),
        replication_method="INCREMENTAL" if replication_key else "FULL_TABLE",
        replication_key=replication_key,
        automatic=frozenset({*key_properties, *([replication_key] if replication_key else ())}),
        own=frozenset({CUSTOM_VARS}),
        extract=extract,
        probe=probe,
    )


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the columns of a schema but `CustomVars`."""
    return tuple(
        Field(name, _kind(definition), definition.get("description", ""))
        for name, definition in schema["properties"].items()
        if name != CUSTOM_VARS
    )


def _kind(definition: Mapping[str, Any]) -> Kind:
    if definition.get("contentMediaType") == JSON_TEXT:
        return Kind.JSON
    if definition.get("format") == "date-time":
        return Kind.TIMESTAMP
    return Kind(next(one for one in definition["type"] if one != "null"))


def _items(run: Run, pages: Iterator[Page], reader: ObjectReader, bookmark: Any) -> Items:
    at = bookmark
    origin = Origin(NO_BUNDLE, run.now // SECOND)
    try:
        for item in ahead(lambda page: page, pages, 1):
            yield Checkpoint(at, due=False)
            if item is None:
                run.idle()
                continue
            page, _ = item
            if page.objects:
                yield reader.records(page.objects, to_text(run.clock()), origin)
            at = page.bookmark
    except TapError:
        yield Checkpoint(at, last=True, failed=True)
        raise
    yield Checkpoint(at, last=True)


class ObjectReader:
    """Makes records of the objects of a stream.

    Args:
        untreated: a column that privacy settings pass over, since it orders the stream.
        report: counts what is changed.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        selection: Selection,
        privacy: Privacy,
        report: Report,
        *,
        untreated: str | None = None,
    ) -> None:
        self._fields = fields
        self._field_of = {field.name: field for field in fields}
        self._known = self._field_of.keys() - selection.unknown
        self._columns = [name for name in selection.columns if name in self._field_of]
        self._custom_vars = CUSTOM_VARS in selection.columns
        self._unknown = selection.unknown
        self._privacy = privacy
        self._report = report
        treatments = {field.name: privacy.of_column(field) for field in fields}
        if untreated is not None:
            treatments[untreated] = replace(treatments[untreated], strip=False, key=None)
        self._treatments = {name: one for name, one in treatments.items() if one and name in self._columns}

    def records(self, objects: Iterable[Object], time_extracted: str, origin: Origin | None = None) -> Records:
        """Return a record for each of *objects*, which were extracted then.

        Raises:
            ResponseError: one is nested too deeply.
        """
        try:
            lines = [self._record(one) for one in objects]
        except RecursionError as error:
            raise ResponseError("An object is nested too deeply to be read.", REPORT_IT) from error
        return Records(len(lines), encode_lines(lines), len(lines), time_extracted, origin=origin)

    def _record(self, members: Object) -> dict[str, Any]:
        notes: list[tuple[Change, str]] = []

        def note(change: Change, name: str) -> None:
            if name in self._columns or name not in self._field_of:
                notes.append((change, name))

        counted = note if self._custom_vars else uncounted
        values, extras, moved = to_columns(members, self._known, self._fields, note, counted)
        record = {name: self._in_column(name, values[name], note) for name in self._columns if name in values}
        kept = {name: value for name, value in extras.items() if name not in moved or name in self._columns}
        if self._custom_vars:
            kept = self._treated(kept, note)
            if kept:
                record[CUSTOM_VARS] = encode(dict(sorted(kept.items()))).decode()
        for name in kept:
            why = self._why_kept(name, moved)
            if why is Change.NEW_FIELD and is_custom(name):
                self._report.custom[name] += 1
            else:
                self._report.change(why, (name,))
        left_out = {name for change, name in notes if change is Change.EXCLUDED}
        for (change, name), count in Counter(notes).items():
            if change is Change.EXCLUDED or name not in left_out:
                self._report.change(change, {name: count})
        return record

    def _in_column(self, name: str, value: Any, note: Callable[[Change, str], None]) -> Any:
        treatment = self._treatments.get(name)
        if treatment is None:
            return value
        if self._field_of[name].kind is Kind.JSON and isinstance(value, dict):
            value = self._treated(value, note)
        return treatment(value, name, note)

    def _treated(self, members: Mapping[str, Any], note: Callable[[Change, str], None]) -> dict[str, Any]:
        """Return what may leave the tap of members that have no column of their own."""
        if not self._privacy.treats:
            return dict(members)
        of_variable = self._privacy.of_variable
        found = {name: of_variable(name, self._field_of.get(name))(one, name, note) for name, one in members.items()}
        return {name: value for name, value in found.items() if value is not UNSET}

    def _why_kept(self, name: str, moved: frozenset[str]) -> Change:
        if not self._custom_vars:
            return Change.DROPPED
        if name in moved:
            return Change.MOVED
        return Change.NOT_IN_CATALOG if name in self._unknown else Change.NEW_FIELD


# Reading --------------------------------------------------------------------------------------------------------------


class Asker:
    """Asks one endpoint of the API host for JSON, with numbers as they are written."""

    def __init__(self, run: Run, path: str) -> None:
        self._run = run
        self._path = path
        self._limit = RateLimit()

    def get(self, check: Callable[[Object], T], **params: Any) -> T:
        """Return what *check* makes of the object that is answered."""
        loads = partial(parse, broken=lambda: self._run.report.change(Change.REPLACED, ("(broken UTF-8)",)))

        def checked(answer: Any) -> T:
            if not isinstance(answer, dict):
                raise self.odd("it is no object")
            return check(answer)

        url = f"{self._run.config.api_url}{self._path}{'?' if params else ''}{urlencode(params)}"
        return self._run.client.get_json(url, checked, limit=self._limit, loads=loads)

    def objects(self, member: str, **params: Any) -> tuple[list[Object], Object]:
        """Return the objects that the answer lists under *member*, and the whole answer."""

        def check(answer: Object) -> tuple[list[Object], Object]:
            listed = answer.get(member)
            if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
                raise self.odd(f'it has no list of objects "{member}"')
            return listed, answer

        return self.get(check, **params)

    def pages(
        self, member: str, asks: str, tells: Sequence[str], **params: Any
    ) -> Iterator[tuple[list[Object], Object]]:
        """Yield what `objects` returns, page by page.

        Args:
            asks: the parameter that asks for the next page.
            tells: the members that may hold its value; without one, or with an empty one, there is no next page.
        """
        tokens: set[str] = set()
        while True:
            objects, answer = self.objects(member, **params)
            yield objects, answer
            token = next((answer[name] for name in tells if answer.get(name)), None)
            if token is None:
                return
            if not isinstance(token, str):
                raise self.odd("it names the next page by something that is no text")
            if token in tokens:
                raise self.odd("its pages lead back to each other, so that the list does not move")
            tokens.add(token)
            params[asks] = token

    def odd(self, what: str) -> ResponseError:
        """Return the error for an answer that is not as documented."""
        return ResponseError(f"The answer of {self._path} is not as documented: {what}.", REPORT_IT)
