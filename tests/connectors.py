"""Connectors for Fullstory beside each other: what others offer, as far as their documentation and public code say.

What this tap offers is what tests show, with `proves("connectors", row)`; `scripts/update-docs` makes the README's table
of both. Looked up in November 2026. Sources: the README of tap-fullstory 2.0.0; `source-fullstory/manifest.yaml` of
Airbyte, run with its framework against a stand-in; Fivetran's "FullStory schema ERD"; the release notes of Tray's
connector; the README of hauser. "–" means that none of these says so.
"""

from __future__ import annotations

TABLE = "connectors"  # in tests/evidence.json
OTHERS = ("tap-fullstory 2.0.0", "Airbyte", "Fivetran", "Tray", "hauser")
OURS: dict[str, str] = {  # where the answer is more than yes
    "goes on where it ended": "inside a bundle, too",
    "writes into": "any Singer target; files",
}
ROWS: dict[str, tuple[str, str, str, str, str]] = {
    "events of Data Export": ("no (1.0 does)", "no", "–", "–", "until 2020"),
    "events of Segment Export": ("no", "no", "yes", "–", "yes"),
    "users": ("the first page", "no", "yes", "–", "no"),
    "individuals": ("no", "no", "–", "–", "no"),
    "sessions of given people": ("no", "the newest 20 of one person", "–", "a step, by e-mail", "no"),
    "segments": ("yes", "the first page", "yes", "–", "no"),
    "operations": ("no", "the first page", "–", "–", "no"),
    "recording settings": ("four of six kinds", "one of six kinds", "as versions", "–", "no"),
    "history of settings": ("yes", "no", "five of six kinds", "–", "no"),
    "look up a person": ("a stream", "no", "–", "yes", "no"),
    "export a person's events": ("no", "no", "–", "–", "no"),
    "delete a person": ("no", "no", "–", "yes", "no"),
    "goes on where it ended": ("settings", "no", "–", "–", "yes"),
    "writes into": (
        "any Singer target",
        "any Airbyte destination",
        "Fivetran's destinations",
        "what a workflow does with it",
        "BigQuery, Redshift, S3, GCS, disk",
    ),
}
