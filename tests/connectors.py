"""Connectors for Fullstory beside each other: what others offer, as far as their documentation and public code say.

What this tap offers is what tests show, with `proves("connectors", row)`; `scripts/update-docs` makes the README's
table of both. Looked up in November 2026. Sources: the README of tap-fullstory 2.0.0; `source-fullstory/manifest.yaml`
of Airbyte, run with its framework against a stand-in; Fivetran's "FullStory schema ERD"; the release notes of Tray's
connector; the README of hauser.
"""

from __future__ import annotations

TABLE = "connectors"  # in tests/evidence.json
NOT_SAID = "\u2013"  # by any of these
OTHERS = ("tap-fullstory 2.0.0", "Airbyte", "Fivetran", "Tray", "hauser")
OURS: dict[str, str] = {  # where the answer is more than yes
    "goes on where it ended": "inside a bundle, too",
    "writes into": "any Singer target; files",
}
ROWS: dict[str, tuple[str, str, str, str, str]] = {
    "events of Data Export": ("no (1.0 does)", "no", NOT_SAID, NOT_SAID, "until 2020"),
    "events of Segment Export": ("no", "no", "yes", NOT_SAID, "yes"),
    "users": ("the first page", "no", "yes", NOT_SAID, "no"),
    "individuals": ("no", "no", NOT_SAID, NOT_SAID, "no"),
    "sessions of given people": ("no", "the newest 20 of one person", NOT_SAID, "a step, by e-mail", "no"),
    "segments": ("yes", "the first page", "yes", NOT_SAID, "no"),
    "operations": ("no", "the first page", NOT_SAID, NOT_SAID, "no"),
    "recording settings": ("four of six kinds", "one of six kinds", "as versions", NOT_SAID, "no"),
    "history of settings": ("yes", "no", "five of six kinds", NOT_SAID, "no"),
    "look up a person": ("a stream", "no", NOT_SAID, "yes", "no"),
    "export a person's events": ("no", "no", NOT_SAID, NOT_SAID, "no"),
    "delete a person": ("no", "no", NOT_SAID, "yes", "no"),
    "goes on where it ended": ("settings", "no", NOT_SAID, NOT_SAID, "yes"),
    "writes into": (
        "any Singer target",
        "any Airbyte destination",
        "Fivetran's destinations",
        "what a workflow does with it",
        "BigQuery, Redshift, S3, GCS, disk",
    ),
}
