"""The stream `events`: every captured event, append only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tap_fullstory import bundle_log, dictionary
from tap_fullstory.config import Config
from tap_fullstory.dictionary import Field
from tap_fullstory.extraction import Extraction
from tap_fullstory.layout import Layout
from tap_fullstory.privacy import Privacy
from tap_fullstory.streams import Items, Run, Selection, Stream

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


def layout(selection: Selection, config: Config, *, for_columns: bool = False) -> Layout:
    """Return what the records of the selected columns look like."""
    privacy = Privacy(config)
    return Layout(selection.columns, selection.unknown, config.custom_columns, privacy, for_columns=for_columns)


def extract(run: Run, bookmark: Any, selection: Selection) -> Items:
    """Yield the events after *bookmark* (as the state holds it), and a Checkpoint wherever a later run may resume."""
    log = run.selections.get(bundle_log.NAME)
    yield from Extraction(run, bookmark, layout(selection, run.config), log).items()
