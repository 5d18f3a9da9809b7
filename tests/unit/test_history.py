"""The reports in a folder are read back, and what is none of them is named."""

from __future__ import annotations

from pathlib import Path

from tap_fullstory.reports.history import read_history
from tests import reports


def test_reports_are_read_in_order(tmp_path: Path) -> None:
    """The last run would be taken for the first, and monitors would judge by it."""
    runs = reports.hundred_days()
    reports.write(tmp_path, reversed(runs))

    history = read_history(tmp_path)

    assert [one["began_at"] for one in runs] == [one.began_at for one in history.runs]
    assert {} == history.unreadable
