"""Lists that are read newest first, up to what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tap_fullstory.moments import to_utc


class Newest:
    """What is new in such a list, and the bookmark behind it.

    Args:
        bookmark: the newest moment known, and the ids of what is known of it, `[moment, id, …]`; None: nothing is.
        time: the member that holds when an object was made.
        identity: the members that tell apart what was made in the same moment.

    Attributes:
        since: the newest moment known, RFC 3339 in UTC; "": none.
        is_reached: whether the list has come to the newest moment known.
        is_passed: whether it has come to an older one, so that nothing behind that is new.
    """

    def __init__(self, bookmark: Any, time: str, *identity: str) -> None:
        self._time, self._identity = time, identity
        known = bookmark if isinstance(bookmark, list) and bookmark else [""]
        self.since = (to_utc(known[0]) or "") if isinstance(known[0], str) else ""
        self._known = frozenset(one for one in known[1:] if isinstance(one, str)) if self.since else frozenset()
        self._moment, self._ids = self.since, set(self._known)
        self.is_reached = self.is_passed = False

    def new(self, objects: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return those of the next *objects* that are not known; those without a readable time are never known."""
        found = []
        for one in objects:
            moment = to_utc(str(one.get(self._time)))
            if moment is None or moment[:-1] > self.since[:-1]:
                found.append(one)
            elif moment == self.since:
                self.is_reached = True
                if self._id(one) not in self._known:
                    found.append(one)
            else:
                self.is_reached = self.is_passed = True
            if moment is not None:
                self._note(moment, one)
        return found

    @property
    def bookmark(self) -> list[str] | None:
        """What to pass the next time, when all up to what is known has been read."""
        return [self._moment, *sorted(self._ids)] if self._moment else None

    def _note(self, moment: str, one: Mapping[str, Any]) -> None:
        if moment[:-1] > self._moment[:-1]:
            self._moment, self._ids = moment, set()
        if moment == self._moment:
            self._ids.add(self._id(one))

    def _id(self, one: Mapping[str, Any]) -> str:
        return ":".join(str(one.get(name)) for name in self._identity)
