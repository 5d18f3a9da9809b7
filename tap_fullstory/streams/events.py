"""The stream `events`: every captured event, append only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from tap_fullstory import bundle_log, dictionary
from tap_fullstory.dictionary import Field
from tap_fullstory.extraction import Extraction
from tap_fullstory.layout import Layout
from tap_fullstory.privacy import Privacy
from tap_fullstory.records import Records
from tap_fullstory.state import Checkpoint
from tap_fullstory.streams import Run, Selection, Stream

NAME = "events"


def stream(
    *, event_key: bool, custom: Sequence[Field] = (), hashed: Collection[str] = (), custom_vars: bool = True
) -> Stream:
    """Return the stream; with *event_key* it has a key, else Fullstory gives events no identifier.

    Args:
        custom: custom variables that have columns of their own.
        hashed: columns that hold hashes in place of values.
        custom_vars: whether there is the column `CustomVars`.
    """
    key = (dictionary.EVENT_ID,) if event_key else ()
    schema = dictionary.schema(event_key=event_key, custom=custom, hashed=hashed)
    if not custom_vars:
        del schema["properties"][dictionary.CUSTOM_VARS]
    return Stream(
        name=NAME,
        schema=schema,
        key_properties=key,
        replication_method="INCREMENTAL",
        replication_key=dictionary.REPLICATION_KEY,
        automatic=frozenset({dictionary.REPLICATION_KEY, *key}),
        own=frozenset({dictionary.BUNDLE_ID, dictionary.CUSTOM_VARS}),
        selected_by_default=True,
        extract=extract,
    )


def extract(run: Run, bookmark: Any, selection: Selection) -> Iterator[Records | Checkpoint]:
    """Yield the events after *bookmark* (as the state holds it), and a Checkpoint wherever a later run may resume."""
    layout = Layout(selection.columns, selection.unknown, run.config.custom_columns, Privacy(run.config))
    yield from Extraction(run, bookmark, layout, run.selections.get(bundle_log.NAME)).items()
