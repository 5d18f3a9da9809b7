"""Records as columns are the records that are written as text, null where these lack a member."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory import bundles, dictionary
from tap_fullstory.bundles import Chunk, check, read_chunks
from tap_fullstory.columns import ColumnReader
from tap_fullstory.config import parse_config
from tap_fullstory.layout import MOST_NAMES, Layout
from tap_fullstory.moments import comparable, parse_moment
from tap_fullstory.privacy import Privacy
from tap_fullstory.records import ALL, EventReader, Window
from tap_fullstory.report import Report
from tests.unit import event_texts, judge
from tests.unit.test_records import ALL_AND_KEY, BUNDLE_ID, EXTRACTED, OWN, PRIVACIES, SELECTIONS, UNKNOWN

Json = dict[str, Any]
HALF = Window(comparable(parse_moment("2024-01-01T00:00:00Z")))


class Both:
    """A reader that writes text and one that makes columns, of the same settings."""

    def __init__(
        self,
        columns: Iterable[str] = ALL_AND_KEY,
        unknown: Iterable[str] = (),
        own: Mapping[str, str] = judge.NOTHING,
        privacy: Mapping[str, Any] = judge.NOTHING,
        window: Window = ALL,
    ) -> None:
        custom = tuple(dictionary.custom_field(name, column) for name, column in own.items())
        says = Privacy(parse_config({"api_key": "a", **privacy}, {}))
        self.reports = Report(), Report()
        lines, values = (
            Layout(tuple(columns), unknown, custom, says, for_columns=for_columns) for for_columns in (False, True)
        )
        self.lines = EventReader(lines, BUNDLE_ID, window, self.reports[0])
        self.columns = ColumnReader(values, BUNDLE_ID, window, self.reports[1])

    def compare(self, chunks: Iterable[Chunk]) -> None:
        """Give both the same events; what they make of them has to be the same."""
        expected: list[Json] = []
        for chunk in chunks:
            records = self.lines.from_events(chunk, EXTRACTED)
            assert records.count == self.columns.from_events(chunk, EXTRACTED).count
            expected += [json.loads(line) for line in records.lines.splitlines()]
        taken = self.columns.take()
        assert len(expected) == taken.rows
        assert all(len(values) <= taken.rows for values in taken.values.values())
        found: list[Json] = [{} for _ in range(taken.rows)]
        for name, values in taken.values.items():
            for row, value in zip(found, values, strict=False):
                row[name] = value
        assert [*map(present, expected)] == [*map(present, found)]
        one, other = self.reports
        assert (one.changes, +one.custom, one.left_out) == (other.changes, +other.custom, other.left_out)


def present(record: Json) -> str:
    """What is not null in a record, as a text in which 1, 1.0 and true differ."""
    return json.dumps({name: value for name, value in record.items() if value is not None}, sort_keys=True)


def compare(both: Both, bundle: bytes, block: int = 4096, most: int = 10_000) -> None:
    """Compare a bundle, twice: the second time its names are known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "BLOCK_SIZE", block)
        file = BytesIO(bundle)
        chunks = list(read_chunks(file, check(file, most)))
    for _ in range(2):
        both.compare(chunks)


@given(event_texts.bundles(), st.sampled_from(sorted(SELECTIONS)), st.integers(2, 300), st.integers(1, 4))
def test_columns_of_any_events(bundle: tuple[bytes, list[bytes]], selection: str, block: int, most: int) -> None:
    """Some event would be another row in a Parquet file than in the warehouse."""
    compare(Both(SELECTIONS[selection]), bundle[0], block, most)


@pytest.mark.parametrize(
    "some",
    [event_texts.plain_events, event_texts.custom_events, event_texts.typed_events],
    ids=["plain", "custom", "typed"],
)
@given(data=st.data())
def test_columns_of_ordinary_events(some: st.SearchStrategy[bytes], data: st.DataObject) -> None:
    """The fast ways, which nearly all events take, would make other rows, or count other changes."""
    text, _ = data.draw(event_texts.bundles(some, 12))
    own = data.draw(st.sampled_from((judge.NOTHING, OWN)))
    privacy = PRIVACIES[data.draw(st.sampled_from(("nothing", *sorted(PRIVACIES))))]
    columns = (*SELECTIONS[data.draw(st.sampled_from(sorted(SELECTIONS)))], *own.values())
    window = data.draw(st.sampled_from((ALL, HALF)))

    compare(Both(columns, own=own, privacy=privacy, window=window), text)


@given(event_texts.bundles(), st.sets(st.sampled_from(UNKNOWN)), st.booleans())
def test_columns_that_an_old_catalog_lacks(bundle: tuple[bytes, list[bytes]], unknown: set[str], key: bool) -> None:
    """What has no column would be lost, or counted otherwise."""
    columns = SELECTIONS["key" if key else "all"]
    compare(Both([name for name in columns if name not in unknown], unknown), bundle[0])


ODD = [
    b'[{"PageUserAgent":null,"PageAgent":"a"}]',
    b'[{"PageUserAgent":"a","PageAgent":null}]',
    b'[{"PageUserAgent":null,"PageAgent":null},{"PageUserAgent":null},{"PageAgent":null},{}]',
    b'[{"EventStart":null},{"EventStart":"2024-01-01T00:00:00.5+01:00"},{}]',
    b'[{"evt_a":null},{"evt_a":1,"evt_b":[1,"x",null]},{}]',
    b'[{"evt_a":"\\"}\\n{"},{"UserId":5},{"evt_b":"\\\\"}]',
    b'[{"UserId":null,"EventType":null},{"EventType":"click"},{"UserId":"x"}]',
]


@pytest.mark.parametrize("bundle", ODD)
@pytest.mark.parametrize("selection", sorted(SELECTIONS))
@pytest.mark.parametrize("privacy", sorted(PRIVACIES))
def test_null_and_missing_are_told_apart_where_it_counts(bundle: bytes, selection: str, privacy: str) -> None:
    """A key would differ, or a value be where it is not expected, since a column does not tell null from missing."""
    for own in (judge.NOTHING, OWN):
        compare(Both((*SELECTIONS[selection], *own.values()), own=own, privacy=PRIVACIES[privacy]), bundle)


def test_a_column_that_appears_later_is_null_before() -> None:
    """Values would slip into the rows of other events."""
    both = Both()
    events = [b'[{"UserId":1}]', b'[{"UserId":2,"PageUrl":"x"},{}]', b'[{"evt_a":3}]', b'[{"UserId":"odd"}]', b"[{}]"]
    chunks = [Chunk(one, one.count(b"{"), bundles.BEGINNING) for one in events]
    both.compare(chunks)
    both.compare(chunks)


def test_more_names_than_are_learned() -> None:
    """Accounts with many custom variables take another way."""
    many = [{f"evt_{10 * event + number}": number for number in range(10)} for event in range(MOST_NAMES)]
    compare(Both(), json.dumps(many).encode())
