"""The stream `settings`: the rules under which sessions are recorded, as they are now; those that have changed.

API: https://developer.fullstory.com/server/v1/recording-settings/ (one object of each kind)
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tap_fullstory.client import NotFoundError
from tap_fullstory.config import Config
from tap_fullstory.errors import ForbiddenError, ResponseError
from tap_fullstory.logs import NAME
from tap_fullstory.moments import to_utc
from tap_fullstory.objects import Asker, Object, Page, object_stream
from tap_fullstory.privacy import Privacy
from tap_fullstory.streams import Run, Stream

LOGGER = logging.getLogger(NAME)

PATH = "/settings/recording/v1"
ANY_PLATFORM = "all"
METADATA = ("lastUpdated", "lastUpdatedBy", "created", "createdBy")


@dataclass(frozen=True)
class Rules:
    """One kind of settings; of some there is one for each platform."""

    kind: str
    platform: str = ANY_PLATFORM

    @property
    def name(self) -> str:
        """What its bookmark is called in the state."""
        return self.kind if self.platform == ANY_PLATFORM else f"{self.kind} {self.platform}"

    @property
    def query(self) -> dict[str, str]:
        """What asks for the platform."""
        return {} if self.platform == ANY_PLATFORM else {"platform": self.platform}


ALL_RULES = (
    Rules("blocking"),
    Rules("domain", "web"),
    Rules("domain", "mobile"),
    Rules("features", "web"),
    Rules("features", "mobile"),
    Rules("geo"),
    Rules("privacy"),
    Rules("targeting"),
)


def stream(privacy: Privacy) -> Stream:
    """Return the stream."""
    return object_stream("settings", ("kind", "platform"), read, privacy, probe=probe, replication_key="lastUpdated")


def probe(_config: Config) -> Sequence[str]:
    """Return what needs the highest role: an Architect may read all kinds."""
    return [f"{PATH}/privacy"]


def read(run: Run, bookmark: Any) -> Iterator[Page]:
    """Yield the settings that are not those that the bookmark names; it holds `[lastUpdated, version_id]` of each."""

    def read_one(rules: Rules, at: Any) -> Iterator[tuple[list[Object], Any]]:
        version = to_version(rules, Asker(run, f"{PATH}/{rules.kind}").get(dict, **rules.query))
        here = [to_utc(str(version.get("lastUpdated"))), version_id(version)]
        yield ([version] if here != at else []), here

    yield from each(read_one, bookmark)


def each(read_one: Callable[[Rules, Any], Iterator[tuple[list[Object], Any]]], bookmark: Any) -> Iterator[Page]:
    """Yield what *read_one* yields for each kind: objects, and where to go on when these are written.

    What the key may not read (403) does not keep the rest from being read.
    """
    at: dict[str, Any] = dict(bookmark) if isinstance(bookmark, Mapping) else {}
    refused: ForbiddenError | None = None
    for rules in ALL_RULES:
        try:
            for objects, here in read_one(rules, at.get(rules.name)):
                if here is not None:
                    at = {**at, rules.name: here}
                yield Page(objects, at)
        except ForbiddenError as error:
            LOGGER.warning("%s The other settings are read.", error)
            refused = refused or error
        except NotFoundError:
            if rules.platform != "mobile":
                raise
            LOGGER.info("Fullstory has no settings of the kind %s for mobile apps.", rules.kind)
    if refused:
        raise refused


def to_version(rules: Rules, settings: Object) -> dict[str, Any]:
    """Return one version of settings as the columns have it, and all that is not documented beside these."""
    rest = dict(settings)
    metadata = rest.pop("metadata", None)  # an account that never changed a setting may have none
    version = {"kind": rules.kind, "platform": rules.platform, "settings": rest}
    if isinstance(metadata, dict):
        version |= {name: metadata.pop(name) for name in METADATA if name in metadata}
    if metadata:
        version["metadata"] = metadata
    return version


def version_id(version: Mapping[str, Any]) -> str:
    """Return a hash of a version; no member of it names it, and two may be saved in the same instant."""
    try:
        text = json.dumps(version, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    except RecursionError as error:
        raise ResponseError(f"Settings of the kind {version['kind']} are nested too deeply to be read.") from error
    return hashlib.sha256(text.encode()).hexdigest()[:32]
