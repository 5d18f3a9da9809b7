"""The shape of state: all bookmarks, and the events bookmark as a frozen value with its moves.

    {"bookmarks": {"events": {"since": …, "until": …, "done": […], "partial": […], "gaps": […], "exports": […]}}}

Only scalars and arrays below a stream, all members always there: orchestrators deep-merge partial states. `beyond`,
`contents` and `exports_of` stand beside these where they are needed.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tap_fullstory import spans
from tap_fullstory.bundles import Bundle, Position
from tap_fullstory.errors import StateError
from tap_fullstory.moments import SECOND, parse_moment, to_text
from tap_fullstory.spans import Span

# Every stream that a version of this tap has or is known to get: their bookmarks are ours.
STREAMS_EVER = frozenset(
    {
        "events",
        "bundles",
        "users",
        "individuals",
        "user_sessions",
        "segments",
        "operations",
        "settings",
        "settings_history",
    }
)
BEGUN = "currently_syncing"  # the member that names the stream that a run was in
NOT_STREAMS = frozenset({BEGUN, "versions"})
# What keeps the state small, whatever is listed: the bookmark of `events` is below 16 KiB.
MOST_GAPS = 100
MOST_CONTENTS = 100
MOST_BEYOND = 50
ROOM = 100  # levels of nesting that are kept free: a state is written from further down than it is read
START_OVER = "Pass the state that the last run left, or leave --state off to start at start_date."


@dataclass(frozen=True)
class Checkpoint:
    """Resuming a stream at *bookmark* is safe once all that was yielded before has been written.

    Attributes:
        bookmark: the stream's part of the state.
        due: it must be written now; if not, it may be.
        also: other streams that are at the same place.
        last: nothing comes behind it.
        failed: nothing but an error does.
    """

    bookmark: Any
    due: bool = True
    also: tuple[str, ...] = ()
    last: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Content:
    """What was in a bundle when it was read last.

    Attributes:
        stop: its Stop in Unix seconds, so that it can be forgotten in time.
        events: how many events.
        digest: the same for the same events, in whatever order.
    """

    stop: int
    events: int
    digest: int


@dataclass(frozen=True)
class Export:
    """An export that Fullstory makes or has made for us, and that is not used up.

    Attributes:
        span: what it covers, Unix nanoseconds.
        id: of the operation.
        request: a digest of what was asked for besides the span; "": everything.
    """

    span: Span
    id: str
    request: str = ""


@dataclass(frozen=True)
class EventsBookmark:
    """What is written of the stream `events`.

    Attributes:
        since, until: Unix nanoseconds; every event available in `[since, until)` is written, gaps aside.
        done: ids of finished bundles whose Stop equals `until`; empty: all that end at or before it are finished.
        partial: the bundle that is being written, and how far; None between bundles.
        gaps: spans that no bundle listed so far covers.
        exports: paid for and not used up.
        contents: of bundles that are read again, by id; None, and not in the state, without `reread_hours`.
        beyond: spans behind `until` that are written, too, by runs of their own; in the state only if there are any.
    """

    since: int
    until: int
    done: tuple[int, ...] = ()
    partial: tuple[int, Position] | None = None
    gaps: tuple[Span, ...] = ()
    exports: tuple[Export, ...] = ()
    contents: Mapping[int, Content] | None = None
    beyond: tuple[Span, ...] = ()

    def inside(self, bundle: Bundle, position: Position) -> EventsBookmark:
        """Return the bookmark once *bundle* is written up to *position*."""
        return replace(self, partial=(bundle.id, position))

    def after(self, bundle: Bundle) -> EventsBookmark:
        """Return the bookmark once *bundle* is written to its end."""
        stop = bundle.stop * SECOND
        gaps = spans.subtract(self.gaps, (bundle.start * SECOND, stop))
        if stop > self.until:
            return replace(self._up_to(stop), done=(bundle.id,), partial=None, gaps=gaps)
        # A late one that stops at `until`, before the bundle that an earlier run had begun: that one is still begun.
        done = (*self.done, bundle.id) if stop == self.until else self.done
        return replace(self._without_partial(bundle), done=done, gaps=gaps)

    def missing(self, span: Span) -> EventsBookmark:
        """Return the bookmark once it is known that no bundle covers *span*."""
        return replace(self, gaps=spans.add(self.gaps, span))

    def without(self, gaps: Iterable[Span]) -> EventsBookmark:
        """Return the bookmark once *gaps*, or these parts of them, are filled or given up."""
        return replace(self, gaps=spans.subtract(self.gaps, *gaps))

    def filled(self, late: Container[int], gaps: Iterable[Span]) -> EventsBookmark:
        """Return the bookmark once the bundles with the ids *late* are written as far as they lie in *gaps*."""
        left = replace(self, partial=None) if self.partial and self.partial[0] in late else self
        return left.without(gaps)

    def _without_partial(self, bundle: Bundle) -> EventsBookmark:
        return replace(self, partial=None) if self.partial and self.partial[0] == bundle.id else self

    def holds(self, bundle: Bundle, content: Content) -> EventsBookmark:
        """Return the bookmark once *content* is what was read last of *bundle*."""
        newest = sorted({**(self.contents or {}), bundle.id: content}.items(), key=lambda one: one[1].stop)[
            -MOST_CONTENTS:
        ]
        return replace(self, contents=dict(newest))

    def since_stop(self, moment: int | None) -> EventsBookmark:
        """Return the bookmark without the contents of bundles that stop at *moment* or before; None: without any."""
        if moment is None:
            return replace(self, contents=None)
        contents = (self.contents or {}).items()
        return replace(self, contents={key: one for key, one in contents if one.stop * SECOND > moment})

    def at(self, moment: int) -> EventsBookmark:
        """Return the bookmark once everything before *moment* (Unix nanoseconds) is written."""
        return self if moment <= self.until else self._up_to(moment)

    def _up_to(self, moment: int) -> EventsBookmark:
        return replace(self, until=moment, done=(), beyond=spans.between(self.beyond, moment, None))

    def unread_from(self, moment: int) -> EventsBookmark:
        """Return the bookmark that does not know of anything beyond `until` that is written from *moment* on."""
        return replace(self, beyond=spans.between(self.beyond, self.until, moment))

    def is_beyond(self, bundle: Bundle) -> bool:
        """Return whether *bundle* reaches beyond `until`, and all of it is written."""
        start, stop = bundle.span
        if stop <= self.until or self.lacks(bundle):
            return False
        start = max(start, self.until)
        return not spans.subtract([(start, max(stop, start + 1))], *self.beyond)  # some cover no time at all

    def lacks(self, bundle: Bundle) -> bool:
        """Return whether *bundle* covers something of a gap."""
        return bool(spans.between(self.gaps, bundle.start * SECOND, bundle.stop * SECOND))

    def is_done(self, bundle: Bundle) -> bool:
        """Return whether *bundle* is finished, gaps aside."""
        stop = bundle.stop * SECOND
        if stop == self.until and self.done:
            return bundle.id in self.done
        return stop <= self.until

    def resume(self, bundle: Bundle) -> Position:
        """Return the position from which *bundle* is still to be written."""
        return self.partial[1] if self.partial and self.partial[0] == bundle.id else Position()

    def to_json(self) -> dict[str, Any]:
        """Return the bookmark as it stands in the state."""
        partial = []
        if self.partial:
            bundle_id, position = self.partial
            partial = [bundle_id, position.events, position.bytes, position.checksum]
        contents = [[key, one.stop, one.events, one.digest] for key, one in (self.contents or {}).items()]
        return {
            "since": to_text(self.since),
            "until": to_text(self.until),
            "done": list(self.done),
            "partial": partial,
            "gaps": _to_texts(self.gaps),
            "exports": [[*map(to_text, one.span), one.id] for one in self.exports],
            **({"exports_of": self.exports[0].request} if self.exports and self.exports[0].request else {}),
            **({} if self.contents is None else {"contents": contents}),
            **({"beyond": _to_texts(self.beyond)} if self.beyond else {}),
        }


def _to_texts(found: Iterable[Span]) -> list[list[str]]:
    return [[to_text(start), to_text(stop)] for start, stop in found]


def parse_events_bookmark(value: Any) -> EventsBookmark | None:
    """Return the bookmark of `events`, None if there is none yet.

    A text is the bookmark of tap-fullstory 1.x: everything before it is written.

    Raises:
        StateError: it is not such a bookmark.
    """
    if value is None or value == {}:
        return None
    if isinstance(value, str):
        value = {"until": value}
    if not isinstance(value, Mapping) or value.get("until") is None:
        raise _wrong("bookmarks.events", value, 'an object with "until"')
    until = _moment("until", value["until"])
    since = until if value.get("since") is None else _moment("since", value["since"])
    if since > until:
        raise _wrong("since", value["since"], '"since" at or before "until"')
    return EventsBookmark(
        since=since,
        until=until,
        done=tuple(_integers("done", value.get("done"))),
        partial=_partial(value.get("partial")),
        gaps=_spans("gaps", value.get("gaps")),
        exports=_exports(value.get("exports"), value.get("exports_of")),
        contents=_contents(value.get("contents")),
        beyond=spans.between(_spans("beyond", value.get("beyond")), until, None),
    )


def _partial(value: Any) -> tuple[int, Position] | None:
    numbers = _integers("partial", value)
    if not numbers:
        return None
    if len(numbers) != 4 or min(numbers) < 0:
        raise _wrong("partial", value, "[] or [bundle id, events, bytes, checksum]")
    bundle_id, events, size, checksum = numbers
    return bundle_id, Position(events, size, checksum)


def _spans(name: str, value: Any) -> tuple[Span, ...]:
    found: tuple[Span, ...] = ()
    for one in _list(name, value):
        start, stop = (_moment(name, moment) for moment in one) if _has(one, 2) else (0, 0)
        if start >= stop:
            raise _wrong(name, value, "an array of [from, to], from before to")
        found = spans.add(found, (start, stop))
    return found


def _exports(value: Any, request: Any) -> tuple[Export, ...]:
    found: list[Export] = []
    for one in _list("exports", value):
        if not isinstance(one, list) or len(one) < 3 or not isinstance(one[2], str):
            raise _wrong("exports", value, "an array of [from, to, operation id]")
        span = _moment("exports", one[0]), _moment("exports", one[1])
        found.append(Export(span, one[2], request if isinstance(request, str) else ""))
    return tuple(found)


def _contents(value: Any) -> dict[int, Content] | None:
    if value is None:
        return None
    contents = {}
    for one in _list("contents", value):
        numbers = _integers("contents", one) if _has(one, 4) else None
        if not numbers:
            raise _wrong("contents", value, "an array of [bundle id, stop, events, digest]")
        contents[numbers[0]] = Content(*numbers[1:])
    return contents


def _has(value: Any, members: int) -> bool:
    return isinstance(value, list) and len(value) == members


def _integers(name: str, value: Any) -> list[int]:
    numbers = _list(name, value)
    if any(not isinstance(one, int) or isinstance(one, bool) for one in numbers):
        raise _wrong(name, value, "an array of whole numbers")
    return numbers


def _list(name: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(name, value, "an array")
    return value


def _moment(name: str, value: Any) -> int:
    try:
        return parse_moment(value)
    except (TypeError, ValueError):
        raise _wrong(name, value, "an RFC 3339 time") from None


def _wrong(name: str, value: Any, expected: str) -> StateError:
    found = json.dumps(value, ensure_ascii=False, default=str)[:80]
    return StateError(f'The state of "events" is not as expected: {name} is {found}, expected {expected}. {START_OVER}')


def read_bookmarks(path: str) -> dict[str, Any]:
    """Return the bookmarks of a state file; see `read_state`."""
    return read_state(path)[0]


def read_state(path: str) -> tuple[dict[str, Any], str | None]:
    """Return the bookmarks of a state file, stream to bookmark as they stand there, and the stream a run was in.

    Raises:
        StateError: it is empty, not JSON, not an object, or of another tap.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise StateError(
            f"The state file {path!r} cannot be read ({reason}). Leave --state off on the first run."
        ) from error
    if not data:
        raise StateError(
            f"The state file {path!r} is empty. In `tap --state {path} … > {path}` the shell empties the file before "
            "the tap reads it: write to another file and rename it (see examples/cron). To start over, pass {} instead."
        )
    try:
        state = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise StateError(f"The state file {path!r} is not JSON: cut off, or several lines? {START_OVER}") from error
    if not isinstance(state, dict):
        raise StateError(f"The state file {path!r} does not hold a JSON object. {START_OVER}")
    if not _can_be_written(state):
        raise StateError(f"The state file {path!r} is nested too deeply, or holds a number that is none. {START_OVER}")
    begun = state.get(BEGUN)
    return parse_bookmarks(state), begun if isinstance(begun, str) else None


def _can_be_written(state: Any) -> bool:
    """Return whether *state* can also be printed: Python reads NaN, 1e999, and deeper nesting than it writes."""
    for _ in range(ROOM):
        state = [state]
    try:
        json.dumps(state, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


def parse_bookmarks(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bookmarks of *state*, from its present and its old shape.

    Raises:
        StateError: it holds only streams that this tap never had.
    """
    if "bookmarks" in state:
        bookmarks = state["bookmarks"]
        if not isinstance(bookmarks, dict):
            raise StateError(f'In the state, "bookmarks" is not an object. {START_OVER}')
    else:
        bookmarks = {name: value for name, value in state.items() if name not in NOT_STREAMS}
        if state.get("type") == "STATE" and "value" in state:
            raise StateError('This is a whole STATE message; the state is what stands under its "value". ' + START_OVER)
    if bookmarks and not bookmarks.keys() & STREAMS_EVER:
        names = ", ".join(sorted(bookmarks))
        raise StateError(f"The state is one of another tap: it knows only {names[:200]}. {START_OVER}")
    for name in ("events", "bundles"):
        parse_events_bookmark(bookmarks.get(name))  # a wrong one is said before anything is written
    return dict(bookmarks)
