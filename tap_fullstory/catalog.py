"""What the tap offers (`discover`), and what a given catalog selects of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from singer import metadata

from tap_fullstory.errors import CatalogError
from tap_fullstory.streams import Selection, Stream

AGAIN = "Run with --discover for a fresh catalog."


def discover(streams: Sequence[Stream]) -> dict[str, Any]:
    """Return the catalog, as `--discover` prints it."""
    return {"streams": [_entry(stream) for stream in streams]}


def _entry(stream: Stream) -> dict[str, Any]:
    written: dict[Any, Any] = metadata.new()
    facts: dict[str, Any] = {
        "inclusion": "available",
        "selected-by-default": stream.selected_by_default,
        "table-key-properties": list(stream.key_properties),
        "forced-replication-method": stream.replication_method,
    }
    if stream.replication_key:
        facts["valid-replication-keys"] = [stream.replication_key]
    for key, value in facts.items():
        written = metadata.write(written, (), key, value)
    for name in stream.schema["properties"]:
        breadcrumb = ("properties", name)
        inclusion = "automatic" if name in stream.automatic else "available"
        written = metadata.write(written, breadcrumb, "inclusion", inclusion)
        written = metadata.write(written, breadcrumb, "selected-by-default", True)
    entry: dict[str, Any] = {
        "tap_stream_id": stream.name,
        "stream": stream.name,
        "key_properties": list(stream.key_properties),
        "replication_method": stream.replication_method,
    }
    if stream.replication_key:
        entry["replication_key"] = stream.replication_key
    return {**entry, "schema": stream.schema, "metadata": metadata.to_list(written)}


def read_catalog(path: str) -> dict[str, Any]:
    """Read a catalog file.

    Raises:
        CatalogError: it is missing, not JSON, or not a catalog.
    """
    try:
        catalog = json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise CatalogError(f"The catalog file {path!r} cannot be read ({reason}). {AGAIN}") from error
    streams = catalog.get("streams") if isinstance(catalog, dict) else None
    if not isinstance(streams, list) or not all(_is_entry(entry) for entry in streams):
        raise CatalogError(f'The catalog file {path!r} is not a Singer catalog: expected {{"streams": […]}}. {AGAIN}')
    return dict(catalog)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("tap_stream_id") or entry.get("stream"), str):
        return False
    schema = entry.get("schema")
    properties = schema.get("properties", {}) if isinstance(schema, dict) else None
    written = entry.get("metadata") or []
    return (
        isinstance(properties, dict)
        and isinstance(written, list)
        and all(
            isinstance(one, dict)
            and isinstance(one.get("breadcrumb"), list)
            and all(isinstance(step, str) for step in one["breadcrumb"])
            and isinstance(one.get("metadata"), dict)
            for one in written
        )
    )


def select(streams: Sequence[Stream], catalog: Mapping[str, Any] | None) -> list[tuple[Stream, Selection]]:
    """Return the streams to sync, each with the columns to emit; without a catalog, what is selected by default.

    Raises:
        CatalogError: it selects a stream that this tap does not have, or knows none of this tap's streams.
    """
    if catalog is None:
        return [(one, Selection(tuple(one.schema["properties"]))) for one in streams if one.selected_by_default]
    entries = {entry.get("tap_stream_id") or entry["stream"]: entry for entry in catalog["streams"]}
    known = {stream.name: stream for stream in streams}
    for name, entry in entries.items():
        if name not in known and _is_selected(_written(entry, ()), entry["schema"], default=False):
            raise CatalogError(f'The catalog selects "{name[:200]}", which this tap does not have. {AGAIN}')
    if entries and not entries.keys() & known.keys():
        names = ", ".join(sorted(entries))
        raise CatalogError(f"The catalog is one of another tap: it knows only {names[:200]}. {AGAIN}")
    return [
        (stream, _selection(stream, entries[stream.name]))
        for stream in streams
        if stream.name in entries
        and _is_selected(
            _written(entries[stream.name], ()), entries[stream.name]["schema"], default=stream.selected_by_default
        )
    ]


def _selection(stream: Stream, entry: Mapping[str, Any]) -> Selection:
    properties: Mapping[str, Any] = entry["schema"].get("properties", {})
    ours: Mapping[str, Any] = stream.schema["properties"]
    columns: list[str] = []
    other: list[str] = []
    unknown: set[str] = set()
    for name, schema in ours.items():
        if name not in properties and name not in stream.own and name not in stream.automatic:
            unknown.add(name)
            continue
        given = properties.get(name, schema)
        if not isinstance(given, dict) or _type(given) != _type(schema):
            other.append(name)
        if name in stream.automatic or _is_selected(_written(entry, ("properties", name)), given, default=True):
            columns.append(name)
    warnings: list[str] = []
    if other:
        warnings.append(f"The catalog gives other types to {_listed(other)}; the tap's own types are used.")
    if foreign := sorted(properties.keys() - ours.keys()):
        warnings.append(f"The catalog knows fields that this tap does not have: {_listed(foreign)}; they are ignored.")
    return Selection(tuple(columns), frozenset(unknown), tuple(warnings))


def _written(entry: Mapping[str, Any], breadcrumb: tuple[str, ...]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = metadata.to_map(entry.get("metadata") or []).get(breadcrumb, {})
    return found


def _is_selected(written: Mapping[str, Any], schema: Any, *, default: bool) -> bool:
    """Return what the catalog says: `selected`, else (as old catalogs had it) in the schema, else by default."""
    for value in (
        written.get("selected"),
        schema.get("selected") if isinstance(schema, dict) else None,
        written.get("selected-by-default"),
    ):
        if isinstance(value, bool):
            return value
    return default


def _type(schema: Mapping[str, Any]) -> tuple[frozenset[str], Any]:
    types = schema.get("type", [])
    names = types if isinstance(types, list) else [types]
    return frozenset(str(name) for name in names if name != "null"), schema.get("format")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:80] for name in names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
