"""What `--suggest-columns` prints: a list for `custom_columns`, made of what one recent bundle holds."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tap_fullstory.bundles import Bundle, read_chunks
from tap_fullstory.config import Config, is_name
from tap_fullstory.dictionary import (
    EVENT_TYPE,
    FIELD_OF,
    LONGEST_COLUMN,
    Field,
    Kind,
    column_name,
    columns,
    custom_field,
)
from tap_fullstory.errors import BundleError
from tap_fullstory.moments import to_text
from tap_fullstory.privacy import OPEN, Privacy
from tap_fullstory.records import read_members
from tap_fullstory.report import Report
from tap_fullstory.sources import Source
from tap_fullstory.spool import SpoolFile

LOGGER = logging.getLogger(__name__)

TRIES = 3  # bundles that are read at most: short ones may hold no event
LONGEST_EXAMPLE = 40  # characters
SKIP = 'Pass over it with "skip_bundles".'

Entry = dict[str, Any]


@dataclass
class Seen:
    """What the events of a bundle hold besides documented fields, those that are left out aside.

    Attributes:
        privacy: which events and variables may leave the tap.
        events: how many events.
        counts: on how many of them each name was.
        examples: a value of each, where there is one that says something.
    """

    privacy: Privacy = OPEN
    events: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Any] = field(default_factory=dict)

    def add(self, members: Mapping[str, Any]) -> None:
        """Take note of the members of an event."""
        if not self.privacy.wants(members.get(EVENT_TYPE)):
            return
        self.events += 1
        for name in members.keys() - FIELD_OF.keys():
            self.counts[name] += 1
            if name not in self.examples and members[name] not in (None, "", [], {}):
                self.examples[name] = members[name]


def suggest(source: Source, config: Config, report: Report) -> list[Entry]:
    """Read the newest bundle that holds events, and return a value for the setting `custom_columns`.

    Args:
        report: counts what the bundle cost.
    """
    seen = Seen()
    privacy = Privacy(config)
    wanted = (one for one in source.newest() if one.id not in config.skip_bundles)
    for bundle in islice(wanted, TRIES):
        LOGGER.info("Reading bundle %s to see which custom variables its events have.", _named(bundle))
        with _borrowed(source, bundle) as file:
            seen = look(file, privacy)
        if seen.events:
            break
    else:
        LOGGER.warning("There is no bundle, or the newest hold no event: nothing is known of custom variables.")
    entries = to_entries(seen, config.custom_columns)
    new = len(entries) - len(config.custom_columns)
    LOGGER.info(
        "%s events read, %s custom variables without a column found; this cost %s bytes of download and %.0f s of "
        "waiting.",
        *(seen.events, new, report.bytes, report.waited),
    )
    if missing := [one.name for one in config.custom_columns if not seen.counts[one.source_names[0]]]:
        LOGGER.info("Columns that stay, though no event of this bundle has their variable: %s.", ", ".join(missing))
    return entries


def to_text_list(entries: Iterable[Entry]) -> str:
    """Return the list as JSON, an entry a line."""
    lines = ",\n  ".join(json.dumps(one, ensure_ascii=False) for one in entries)
    return f"[\n  {lines}\n]" if lines else "[]"


def look(file: SpoolFile, privacy: Privacy = OPEN) -> Seen:
    """Return what the events of a bundle hold.

    Raises:
        BundleError: one of them cannot be read.
    """
    seen = Seen(privacy)
    for chunk in read_chunks(file.file, file.cuts):
        try:
            for members in read_members(chunk.data):
                seen.add(members)
        except RecursionError as error:
            raise BundleError("The bundle holds an event that is nested too deeply to be read.", SKIP) from error
    return seen


def to_entries(seen: Seen, own: Sequence[Field]) -> list[Entry]:
    """Return an entry for each column that there is, as it is, and for each custom variable that has none, by name."""
    entries = [_entry(seen, one) for one in own]
    taken = {name.lower() for one in (*columns(event_key=True), *own) for name in (one.name, *one.source_names)}
    for name in sorted(seen.counts.keys() - {name for one in own for name in one.source_names}):
        if is_name(name) and not seen.privacy.excludes(name):
            column = free_column(column_name(name), taken)
            taken.add(column.lower())
            entries.append(_entry(seen, custom_field(name, column)))
    return entries


def _entry(seen: Seen, one: Field) -> Entry:
    (name,) = one.source_names
    hashed = seen.privacy.hashes(one)
    kind = Kind.STRING if hashed else one.kind
    entry = {"name": name, "column": one.name, "type": kind.value, "events": seen.counts[name]}
    return {**entry, "example": mask(seen.examples[name])} if name in seen.examples and not hashed else entry


def free_column(column: str, taken: Container[str]) -> str:
    """Return *column*, or with a number behind it the first that is not taken."""
    free, number = column, 1
    while free.lower() in taken:
        number += 1
        ending = f"_{number}"
        free = column.encode()[: LONGEST_COLUMN - len(ending)].decode(errors="ignore") + ending
    return free


def mask(value: Any) -> str:
    """Return what a value looks like, and nothing of what it says: X and x for letters, 9 for digits."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    masked = "".join(map(_masked, text[:LONGEST_EXAMPLE]))
    return masked if len(text) <= LONGEST_EXAMPLE else masked + "…"


def _masked(one: str) -> str:
    if one.isdecimal():
        return "9"
    if one.isupper():
        return "X"
    return "x" if one.isalnum() or not one.isascii() else one


@contextmanager
def _borrowed(source: Source, bundle: Bundle) -> Iterator[SpoolFile]:
    """Bring a bundle, and leave the spool folder as it was: a file that is there is for the sync that left it."""
    was_there = False

    def usable(_file: SpoolFile) -> bool:
        nonlocal was_there
        was_there = True
        return True

    file = source.fetch(bundle, usable)
    try:
        yield file
    finally:
        file.close(keep=was_there)


def _named(bundle: Bundle) -> str:
    start, stop = map(to_text, bundle.span)
    return f"{bundle.id} ({start} to {stop})"
