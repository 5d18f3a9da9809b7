"""The sample is 144 real events, as a legacy bundle held them."""

from __future__ import annotations

import json
from importlib import resources

from fullstory_emulator import sample_bundles, sample_events, sample_text


def test_the_sample_has_its_legacy_form() -> None:
    """The two edits made to it later are undone, and nothing else is changed."""
    events = sample_events()
    assert 144 == len(events)
    assert all("PageAgent" in event for event in events)
    assert not any("PageUserAgent" in event or "page_foobar_str" in event for event in events)
    assert 68 == sum("EventTargetSelectorTok" in event for event in events)
    assert 33 == sum("evt_order.total_real" in event for event in events)


def test_the_text_keeps_its_layout() -> None:
    """One event a line, compact, with a newline at the end."""
    text = sample_text()
    assert text.startswith(b'[{"IndvId":')
    assert text.endswith(b"}]\n")
    assert 143 == text.count(b"},\n{")
    compact = ",\n".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in sample_events())
    assert f"[{compact}]\n".encode() == text


def test_the_sample_is_split_into_days() -> None:
    """Each event lies in the bundle of its day, as it was written, and none is lost."""
    bundles = sample_bundles()
    assert [1598486400, 1598572800, 1598659200, 1598745600] == [bundle.start for bundle in bundles]
    assert [50, 28, 13, 53] == [len(list(bundle.read_events())) for bundle in bundles]
    lines = [line for bundle in bundles for line in b"".join(bundle.read_text())[1:-2].split(b",\n")]
    assert sample_text() == b"[" + b",\n".join(lines) + b"]\n"


def test_the_licence_comes_along() -> None:
    """The MIT licence asks for it."""
    text = (resources.files("fullstory_emulator") / "data" / "LICENSE").read_text(encoding="utf-8")
    assert "MIT License" in text
    assert "FullStory, Inc." in text
    assert "fullstorydev/hauser" in text
