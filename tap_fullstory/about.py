"""What `--about` prints: the tap, what it can and its settings, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from tap_fullstory import __version__
from tap_fullstory.config import ENV_PREFIX, SETTINGS, Config, Setting

NAME = "tap-fullstory"
DESCRIPTION = "Every captured event of a Fullstory account, append only; people and settings beside them."
# As orchestrators name them.
CAPABILITIES = ("about", "batch", "catalog", "discover", "state", "structured-logging", "test")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")

# By the kind of a setting, as the README names it.
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "boolean": {"type": ["boolean", "null"]},
    "days": {"type": ["number", "null"], "minimum": 0, "exclusiveMinimum": True},
    "hours": {"type": ["number", "null"], "minimum": 0},
    "integer": {"type": ["integer", "null"], "minimum": 0},
    "list of names": {"type": ["array", "null"], "items": {"type": "string"}},
    "list of names or patterns": {"type": ["array", "null"], "items": {"type": "string", "minLength": 1}},
    "list of names or objects": {
        "type": ["array", "null"],
        "items": {"type": ["string", "object"], "minLength": 1, "required": ["name"]},
    },
    "list of people": {"type": ["array", "null"], "items": {"type": "string", "pattern": "^(uid:|email:).|@"}},
    "list of bundle ids": {"type": ["array", "null"], "items": {"type": "integer"}},
    "object": {  # of which there is one: batch_config
        "type": ["object", "null"],
        "properties": {
            "encoding": {
                "type": ["object", "null"],
                "properties": {
                    "format": {"enum": ["jsonl", None]},
                    "compression": {"enum": ["gzip", None]},
                },
                "additionalProperties": False,
            },
            "storage": {
                "type": "object",
                "properties": {
                    "root": {"type": "string", "minLength": 1},
                    "prefix": {"type": ["string", "null"]},
                },
                "required": ["root"],
                "additionalProperties": False,
            },
            "batch_size": {"type": ["integer", "null"], "minimum": 1},
        },
        "required": ["storage"],
        "additionalProperties": False,
    },
    "object of strings": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    "path": {"type": ["string", "null"]},
    "RFC 3339 date or date-time": {"type": ["string", "null"]},
    "seconds": {"type": ["number", "null"], "minimum": 0},
    "string": {"type": ["string", "null"]},
    "URL": {"type": ["string", "null"], "format": "uri"},
}


def about() -> dict[str, Any]:
    """Return all there is to say; `settings` is a JSON Schema of the config file."""
    return {
        "name": NAME,
        "version": __version__,
        "description": DESCRIPTION,
        "capabilities": list(CAPABILITIES),
        "supported_python_versions": list(PYTHONS),
        "env_prefix": ENV_PREFIX,
        "settings": settings_schema(),
    }


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of the config file; `null` means not set, and what is not known is ignored."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {one.name: _schema(one) for one in SETTINGS},
        "required": [one.name for one in SETTINGS if one.is_required],
        "additionalProperties": True,
    }


def _schema(one: Setting) -> dict[str, Any]:
    schema: dict[str, Any] = {**_SCHEMAS[one.kind.split(", ")[0]], "title": one.title}
    if one.is_required:
        schema["type"] = schema["type"][0]
    schema["description"] = one.meaning.replace("`", "")
    if one.name in _DEFAULTS:
        schema["default"] = _DEFAULTS[one.name]
    if one.secret:
        schema |= {"secret": True, "writeOnly": True}
    return schema


def _defaults() -> dict[str, Any]:
    """Return the defaults that a config file could name: neither those that depend on others nor "not set"."""
    found: dict[str, Any] = {}
    for one in fields(Config):
        value = one.default_factory() if one.default_factory is not MISSING else one.default
        if isinstance(value, (frozenset, tuple)):
            value = sorted(value)
        if isinstance(value, (bool, int, float, str, list, dict)) and one.name != "api_url":
            found[one.name] = value
    return found


_DEFAULTS = _defaults()


def _to_text(facts: Mapping[str, Any]) -> str:
    lines = [
        f"{facts['name']} {facts['version']}: {facts['description']}",
        f"Capabilities: {', '.join(facts['capabilities'])}",
        f"Python:       {', '.join(facts['supported_python_versions'])}",
        f"Environment:  --config ENV reads {facts['env_prefix']}<SETTING>",
        "",
        "Settings:",
    ]
    for one in SETTINGS:
        default = f"; default: {one.default.replace('`', '')}" if one.default else ""
        lines += [f"  {one.name} ({one.kind.replace('*', '')}{default})", f"      {one.meaning.replace('`', '')}"]
    return "\n".join(lines)


def _to_markdown(facts: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            f"# {facts['name']} {facts['version']}",
            "",
            facts["description"],
            "",
            f"- Capabilities: {', '.join(f'`{one}`' for one in facts['capabilities'])}",
            f"- Python: {', '.join(facts['supported_python_versions'])}",
            f"- Environment: `--config ENV` reads `{facts['env_prefix']}<SETTING>`",
            "",
            "## Settings",
            "",
            settings_table().rstrip("\n"),
        ]
    )


def settings_table() -> str:
    """Return the table of settings, in Markdown."""
    rows = [f"| `{one.name}` | {one.kind} | {one.default} | {one.meaning} |" for one in SETTINGS]
    return "\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _to_json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, indent=2)


FORMATS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "text": _to_text,
    "json": _to_json,
    "markdown": _to_markdown,
}
