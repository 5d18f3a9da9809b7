"""The stream `individuals`: every person of a segment with lifetime totals, in one export, whole each time.

API: https://developer.fullstory.com/server/v1/segments/create-segment-export/ (`TYPE_INDIVIDUAL`)
     https://developer.fullstory.com/server/v1/segments/export-fields/
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from tap_fullstory.bundles import read_chunks, split_events
from tap_fullstory.config import Config
from tap_fullstory.dictionary import CUSTOM_VARS
from tap_fullstory.errors import BundleError, ExportFailedError
from tap_fullstory.exact import parse
from tap_fullstory.logs import NAME as LOG_NAME
from tap_fullstory.objects import Page, object_stream
from tap_fullstory.privacy import Privacy
from tap_fullstory.records import NO_BUNDLE
from tap_fullstory.report import Change
from tap_fullstory.sources.exports import ANY_SEGMENT, SEGMENTS, Exporter
from tap_fullstory.spool import Spool, SpoolFile
from tap_fullstory.streams import Run, Stream

LOGGER = logging.getLogger(LOG_NAME)

NAME = "individuals"
KIND = "TYPE_INDIVIDUAL"
ALL_TIME = ("", "")  # whoever was not there in the range would be missing; totals are those of a lifetime anyway
NAMED = "The export of individuals"
IF_LATE = 'Run again later, or raise "export_timeout": the next run asks for a new export.'
ADVICE = 'No individual was written. Check "segment_id", and run again later.'


def stream(privacy: Privacy) -> Stream:
    """Return the stream."""
    return replace(object_stream(NAME, ("IndvId",), read, privacy, probe=_probe), exported=True)


def _probe(config: Config) -> list[str]:
    # whether one can ask for a built-in segment by its id is nowhere said
    return [SEGMENTS + ("?limit=1" if config.segment_id == ANY_SEGMENT else f"/{quote(config.segment_id, safe='')}")]


def read(run: Run, _bookmark: Any) -> Iterator[Page]:
    """Yield all people once the export is there and proven to be whole.

    Raises:
        ExportFailedError, BundleError: it failed or arrived damaged, twice.
        ExportPendingError: it takes longer than `export_timeout`.
    """
    config = run.config
    LOGGER.info('Reading individuals: Fullstory makes one export of all people of segment "%s".', config.segment_id)
    spool = Spool(config.spool_dir, owner=(config.export_url, config.api_key))
    broken = partial(run.report.change, Change.REPLACED, ("(broken UTF-8)",))
    # its name says what it is: an interrupted run leaves it, and the next one removes it
    with spool.open(NO_BUNDLE, f"-{NAME}") as file:
        _bring(run, file)
        for chunk in read_chunks(file.file, file.cuts):
            yield Page([parse(one, broken) for one in split_events(chunk.data)])


def _bring(run: Run, file: SpoolFile) -> None:
    exporter = Exporter(run.client, run.config, IF_LATE)
    fields = _fields(run.selections[NAME].columns)
    made: list[str] = []

    def get() -> str:
        if not made:
            made.append(exporter.create(KIND, ALL_TIME, fields))
        return made[0]

    try:
        exporter.bring(NAMED, file, get, made.clear)
    except (ExportFailedError, BundleError) as error:
        raise type(error)(error.what, ADVICE) from error


def _fields(columns: Sequence[str]) -> list[str] | None:
    """Return the members to export for these columns; None: all there are, since user variables are wanted."""
    return None if CUSTOM_VARS in columns else sorted(columns)
