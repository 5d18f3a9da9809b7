"""The command with files and bundles that nobody would write: a status, one line, and no traceback."""

import json
from itertools import cycle
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.tap import DAY, FIRST, Run, Tap

pytestmark = pytest.mark.only_source("data_export")

DEEP = b"[" * 100_000
HALF = b'"\\ud800\\udfff\\u0000"'
# Nobody's idea of a JSON file.
FILES = (
    *(
        b"",
        b" \n",
        b"\0" * 100,
        b"\xff\xfe{\0}\0",
        b"\x1f\x8b\x08",
        b"\x80",
        b"PK\x03\x04",
        b"%PDF-1.7\n%\xe2\xe3",
        b"---\na: 1\n",
    ),
    *(
        b"{",
        b'{"a":',
        b"[]",
        b"null",
        b"NaN",
        b"1e999",
        b"9" * 5000,
        b'"text"',
        b"{}{}",
        b"{'a': 1}",
        HALF,
        DEEP,
        b'{"a":' * 100_000,
    ),
    *(b'{"api_key": "\xff"}', b'{"bookmarks": "\xff"}', b'{"streams": "\xff"}'),
)
CONFIGS: tuple[dict[str, Any], ...] = (
    {"api_key": "two\nlines"},
    {"api_key": "\x1b[31m"},
    {"start_date": "2024-01-01T00:00:00Z\n\x1b]0;title\x07"},
    {"start_date": {"\x1b[2J": ["\u202e" * 1000]}},
    {"end_date": "10000-01-01"},
    {"export_url": "https://\ud800"},
    {"export_url": "https://a\0b"},
    {"export_url": "https://[::1"},
    {"export_url": "file:///etc/passwd"},
    {"export_url": "https://localhost:99999999999999999999"},
    {"http_headers": {"X-A\r\nX-B": "c"}},
    {"http_headers": {"X-A": "b\r\nX-B: c"}},
    {"user_agent": "a\r\nb"},
    {"request_timeout": float("nan")},
    {"retry_timeout": float("inf")},
    {"prefetch": -1},
    {"checkpoint_records": 1e308},
    {"skip_bundles": [[[]]]},
    {"spool_dir": "\0"},
)
STATES: tuple[Any, ...] = (
    {"bookmarks": {"events": {"until": "\x1b[31m\n"}}},
    {"bookmarks": {"events": {"until": "99999-01-01T00:00:00Z"}}},
    {"bookmarks": {"events": {"until": "2024-01-01T00:00:00Z", "partial": [1, 2, 3, float("inf")]}}},
    {"bookmarks": {"users": float("nan")}},
    {"bookmarks": {"\x1b[31m\n" * 500: 1}},
)
CATALOGS: tuple[Any, ...] = (
    {"streams": {}},
    {"streams": [[]]},
    {"streams": [{"tap_stream_id": "\x1b[31m\n" * 500, "schema": {"selected": True}}]},
    {"streams": [{"tap_stream_id": "events", "schema": {"properties": [1]}}]},
    {"streams": [{"tap_stream_id": "events", "schema": {}, "metadata": [{"breadcrumb": [[]], "metadata": {}}]}]},
    {"streams": [{"tap_stream_id": "events", "schema": {}, "metadata": {"breadcrumb": []}}]},
)


def assert_refused(status: int, run: Run) -> None:
    """One line says what is wrong, fit for a terminal; no record and no state was written."""
    critical = [line for line in run.stderr_lines if line.startswith("CRITICAL")]
    assert (status, 1) == (run.status, len(critical)), run.stderr
    assert all(line.isprintable() for line in run.stderr_lines), run.stderr
    assert len(critical[0]) < 2000
    assert [] == run.records() == run.states


@pytest.mark.long
def test_hostile_files_end_with_one_line(run_tap: Tap, emulator: Emulator) -> None:
    """A damaged or malicious settings, state or catalog file must not look like a bug, nor steer a terminal."""
    runs = [
        *({kind: one} for one, kind in zip(FILES, cycle(("settings", "state", "catalog")), strict=False)),
        *({"settings": one} for one in CONFIGS),
        *({"state": one} for one in STATES),
        *({"catalog": one} for one in CATALOGS),
    ]

    for run in run_tap.all(runs):
        assert_refused(78, run)
    assert [] == emulator.requests


def test_odd_states_that_can_be_used_are_printed_again(run_tap: Tap) -> None:
    """A bookmark of another stream is kept whatever it is: the run must not fail at its end for it."""
    kept = {"\ud800": ["\udfff", "\0", 2**63, {"": None}], "deep": json.loads("[" * 500 + "]" * 500)}

    run = run_tap(state={"bookmarks": {"users": kept}})

    assert 0 == run.status, run.stderr
    assert kept == run.states[-1]["bookmarks"]["users"]


BUNDLES = (
    *(b"[{}", b"[{}]\0", b"[" * 1000, b'[{"a":' * 1000, b"\x1f\x8b", b"\xfe\xff\0[\0{\0}\0]", b"<html>\x1b[31m"),
)


def test_hostile_bundles_end_with_one_line(run_tap: Tap, emulator: Emulator) -> None:
    """What cannot be read must be told with the id of its bundle, after what came before it; it is not written."""
    good = Bundle(FIRST, FIRST + DAY, [{"EventStart": "2023-11-15T01:00:00Z", "UserId": 1}])
    for raw in BUNDLES:
        bad = Bundle(FIRST + DAY, FIRST + 2 * DAY, raw=raw)
        emulator.bundles = [good, bad]

        run = run_tap(settings={"retry_timeout": 0})

        critical = [line for line in run.stderr_lines if line.startswith("CRITICAL")]
        assert (65, 1) == (run.status, len(critical)), (raw[:50], run.stderr)
        assert str(bad.id) in critical[0]
        assert [1] == run.numbers()
        assert [good.id] == run.bookmark["done"]
