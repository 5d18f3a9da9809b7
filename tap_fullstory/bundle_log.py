"""The log of finished bundles: what the records of the stream `bundles` hold."""

from __future__ import annotations

from tap_fullstory import __version__
from tap_fullstory.bundles import Bundle
from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.records import Records, encode_lines
from tap_fullstory.spool import SpoolFile
from tap_fullstory.streams import Selection

NAME = "bundles"
KEY = "_bundle_id"
REPLICATION_KEY = "downloaded_at"


def to_records(bundle: Bundle, file: SpoolFile, events: int, source: str, selection: Selection) -> Records:
    """Return the record of a bundle.

    Args:
        file: as it was downloaded, and checked.
        events: how many of its events are in the warehouse now.
        source: where it is from, as the setting `events_source` calls it.
    """
    values = {
        KEY: bundle.id,
        "start": to_text(bundle.start * SECOND),
        "stop": to_text(bundle.stop * SECOND),
        "events": events,
        "bytes": file.cuts.size,
        "checksum": f"{file.cuts.checksum:08x}",
        "source": source,
        REPLICATION_KEY: file.time_extracted,
        "tap_version": __version__,
    }
    record = {name: value for name, value in values.items() if name in selection.columns}
    return Records(1, encode_lines([record]), 0, file.time_extracted, NAME)
