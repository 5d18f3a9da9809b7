"""What `--merge-state` prints: the states of runs over parts of a history, folded into one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tap_fullstory import spans
from tap_fullstory.moments import to_text
from tap_fullstory.spans import Span
from tap_fullstory.state import (
    MOST_BEYOND,
    MOST_CONTENTS,
    MOST_GAPS,
    Content,
    EventsBookmark,
    Export,
    parse_events_bookmark,
)

LOGGER = logging.getLogger(__name__)

OF_EVENTS = ("events", "bundles")  # streams whose bookmarks say what is read of the events
MOST_EXPORTS = 20  # that a state holds

Bookmarks = Mapping[str, Any]


@dataclass(frozen=True)
class Mark:
    """The bookmark that a file holds.

    Attributes:
        path: for people.
    """

    path: str
    at: EventsBookmark

    @property
    def reach(self) -> tuple[Span, ...]:
        """What is written, gaps among it."""
        begun = [(self.at.since, self.at.until)] if self.at.since < self.at.until else []
        return _union([*begun, *self.at.beyond])


@dataclass(frozen=True)
class Folded:
    """Several bookmarks as one.

    Attributes:
        holes: spans beyond `until` that are not written.
        warnings: a line for each thing that cannot be kept.
    """

    at: EventsBookmark
    holes: tuple[Span, ...] = ()
    warnings: tuple[str, ...] = ()


def merge(states: Sequence[tuple[str, Bookmarks]], start: int | None = None) -> dict[str, Any]:
    """Return one state for the bookmarks of several files; says what is not written, and what cannot be kept.

    Args:
        states: each with the path of its file.
        start: Unix nanoseconds from which on everything is wanted; None: from the earliest `since` on.
    """
    merged: dict[str, Any] = {}
    said: Folded | None = None
    for name in dict.fromkeys(name for _, bookmarks in states for name in bookmarks):
        values = [(path, bookmarks[name]) for path, bookmarks in states if name in bookmarks]
        if name not in OF_EVENTS:
            merged[name] = _last(name, values)
            continue
        found = [(path, parse_events_bookmark(value)) for path, value in values]
        marks = [Mark(path, at) for path, at in found if at is not None]
        if marks:
            folded = fold(marks, start)
            merged[name] = folded.at.to_json()
            if folded != said:  # the log of bundles is usually as far as the events
                said = folded
                _say(name, folded, len(marks))
    return {"bookmarks": merged}


def _last(name: str, values: Sequence[tuple[str, Any]]) -> Any:
    path, value = values[-1]
    if any(other != value for _, other in values):
        LOGGER.warning(
            'The states do not agree on the stream "%s"; %s, the last one that has it, is taken.', name, path
        )
    return value


def _say(name: str, folded: Folded, count: int) -> None:
    at = folded.at
    for line in folded.warnings:
        LOGGER.warning("%s", line)
    for gap in at.gaps:
        LOGGER.warning("No bundle was listed so far for %s; the next run looks for it again.", _named(gap))
    for hole in folded.holes:
        LOGGER.warning("Not written yet: %s.", _named(hole))
    beyond = f", and more up to {to_text(at.beyond[-1][1])}" if at.beyond else ""
    LOGGER.info(
        '%s state%s of "%s" merged: everything from %s to %s is written%s.',
        *(count, "" if count == 1 else "s", name, to_text(at.since), to_text(at.until), beyond),
    )


def fold(marks: Sequence[Mark], start: int | None = None) -> Folded:
    """Return one bookmark for several, of the same stream of the same account; see `merge`.

    A gap of one of them is none if another one has written what lies there.
    """
    since = min(mark.at.since for mark in marks)
    since = since if start is None else min(since, start)
    reach = _union(span for mark in marks for span in mark.reach)
    written = _union(span for mark in marks for span in spans.subtract(mark.reach, *mark.at.gaps))
    gaps = spans.subtract(_union(gap for mark in marks for gap in mark.at.gaps), *written)
    until = next((stop for first, stop in reach if first <= since), since)
    # what is missing beyond `until` is found to be missing when a run comes there
    beyond = spans.subtract(spans.between(reach, until, None), *gaps)
    last = beyond[-1][1] if beyond else until
    gaps = spans.between(gaps, since, until)
    warnings = []
    if len(beyond) > MOST_BEYOND:
        warnings.append(
            f"More than {MOST_BEYOND} spans are written apart from each other: what lies from "
            f"{to_text(beyond[MOST_BEYOND][0])} on is read again, unless windows before it are read and merged first."
        )
        beyond = beyond[:MOST_BEYOND]
    if len(gaps) > MOST_GAPS:
        warnings.append(f"More than {MOST_GAPS} gaps: those before {to_text(gaps[-MOST_GAPS][0])} are given up.")
        gaps = gaps[-MOST_GAPS:]
    begun, others = _begun(marks, until)
    exports, about_exports = _exports(marks, written)
    at = EventsBookmark(
        since=since,
        until=until,
        done=_done(marks, until),
        partial=begun.at.partial if begun else None,
        gaps=gaps,
        exports=exports,
        contents=_contents(marks),
        beyond=beyond,
    )
    holes = spans.subtract([(until, last)] if until < last else [], *beyond)
    return Folded(at, holes, (*map(_half_done, others), *about_exports, *warnings))


def _done(marks: Iterable[Mark], until: int) -> tuple[int, ...]:
    ends = [mark.at.done for mark in marks if mark.at.since < mark.at.until == until]
    # for one that names none, all that end there are finished
    return tuple(dict.fromkeys(one for done in ends for one in done)) if all(ends) else ()


def _begun(marks: Iterable[Mark], until: int) -> tuple[Mark | None, list[Mark]]:
    """Return which mark the merged one can go on with inside of a bundle, and those with which it cannot."""
    begun = [mark for mark in marks if mark.at.partial]
    kept = next((mark for mark in begun if mark.at.until == until), None)
    return kept, [mark for mark in begun if kept is None or mark.at.partial != kept.at.partial]


def _half_done(mark: Mark) -> str:
    assert mark.at.partial
    bundle_id, position = mark.at.partial
    return (
        f"{mark.path} is in the middle of bundle {bundle_id}, which is read again from its beginning: up to "
        f"{position.events} records may repeat. Better let that window end, by one more run with its own state, and "
        "merge then."
    )


def _exports(marks: Iterable[Mark], written: Sequence[Span]) -> tuple[tuple[Export, ...], list[str]]:
    found: dict[Span, Export] = {}
    for mark in marks:
        for one in mark.at.exports:
            if spans.subtract([one.span], *written):
                found.setdefault(one.span, one)
    if len({one.request for one in found.values()}) > 1:
        return (), [
            f"{len(found)} exports that Fullstory makes or has made are not used: they are of different segments or "
            "columns, and a state can hold only exports of the same."
        ]
    exports = tuple(found[span] for span in sorted(found))
    if len(exports) > MOST_EXPORTS:
        return exports[:MOST_EXPORTS], [
            f"More than {MOST_EXPORTS} exports are not used up: those from {to_text(exports[MOST_EXPORTS].span[0])} on "
            "are made again."
        ]
    return exports, []


def _contents(marks: Iterable[Mark]) -> dict[int, Content] | None:
    known = [mark.at.contents for mark in marks if mark.at.contents is not None]
    united = {key: content for contents in known for key, content in contents.items()}
    return dict(sorted(united.items(), key=lambda one: one[1].stop)[-MOST_CONTENTS:]) if known else None


def _union(found: Iterable[Span]) -> tuple[Span, ...]:
    united: tuple[Span, ...] = ()
    for span in found:
        united = spans.add(united, span)
    return united


def _named(span: Span) -> str:
    return f"{to_text(span[0])} to {to_text(span[1])}"
