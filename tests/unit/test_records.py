"""Events become records as documented, whichever of the three ways they take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory import bundles, dictionary, layout
from tap_fullstory.bundles import BEGINNING, Chunk, check, read_chunks
from tap_fullstory.config import parse_config
from tap_fullstory.layout import Layout, is_custom
from tap_fullstory.moments import comparable, parse_moment
from tap_fullstory.privacy import Privacy
from tap_fullstory.records import EventReader, Window
from tap_fullstory.report import Change, Report
from tests.unit import event_texts, judge

BUNDLE_ID = 170000640048
EXTRACTED = "2024-01-01T00:00:00Z"
ALL = tuple(one.name for one in dictionary.columns(event_key=False))
ALL_AND_KEY = tuple(one.name for one in dictionary.columns(event_key=True))
NARROW = ("EventStart", "UserId", "EventTargetText", "PageAgent", "CustomVars", "_bundle_id")
SELECTIONS = {
    "all": ALL,
    "key": ALL_AND_KEY,
    "narrow": NARROW,
    "narrow, key": ("event_id", *NARROW),
    "time alone": ("EventStart",),
    "no CustomVars": tuple(name for name in ALL_AND_KEY if name != "CustomVars"),
    "no bundle": tuple(name for name in ALL if name != "_bundle_id"),
    "no agent": tuple(name for name in ALL_AND_KEY if name != "PageAgent"),
}
# Custom variables with columns of their own: as usual; and such that no type of events can be made for them.
OWN = {
    "evt_x_str": "evt_x_str",
    "evt_order.total_real": "evt_order_total_real",
    "evt_Z": "plan",
    "page_n_int": "n",
    "acct_on_bool": "acct_on_bool",
    "evt_t_date": "evt_t_date",
    "evt_l_strs": "evt_l_strs",
    "user_n_ints": "some_ints",
    "evt_": "evt_",
    "evt_a": "evt_a",
}
ODDLY_OWN = {**OWN, "event_id": "theirs", 'evt_"form"_str': "form", "plan": "evt_z", "": "nameless"}
# What may leave the tap.
PRIVACIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "one type": {"event_types": ["click"]},
    "no clicks": {"exclude_event_types": ["click", ""]},
    "persons": {
        "hash_columns": ["UserId", "PageUserAgent", "EventStart?", "user_*", "evt_[xl]_str*", "acct_on_bool", "Page*t"],
        "hash_key": "a ké\ny",
    },
    "everything": {"hash_columns": ["*"], "hash_key": "k", "strip_query": ["*"]},
    "URLs": {"strip_query": ["*Url", "EventTargetText", "evt_*", "PageAgent"]},
    "some variables": {"custom_vars_exclude": ["evt_[!x]*", "Page*", "UserId?", "[u]serid", "event_i[d]", "user_*"]},
    "all": {
        "exclude_event_types": ["a"],
        "custom_vars_exclude": ["*_x_*", "*al"],
        "hash_columns": ["*_*", "EventTargetText", "PageUrl"],
        "hash_key": "é",
        "strip_query": ["*Url", "*str*", "EventType"],
    },
}
UNKNOWN = ("UserId", "EventType", "SessionStart", "PageAgent", "EventCumulativeLayoutShift", "EventTargetText")
NUL_EVENT = b'{"EventTargetText":"\\u0000","EventStart":"2024-01-01T00:00:00Z"}'
HUGE_EVENT = b'{"evt_big":123456789012345678901234567890}'
BROKEN_EVENT = b'{"PageUrl":"\xff"}'


def make_reader(
    columns: Iterable[str] = ALL,
    unknown: Iterable[str] = (),
    *,
    window: Window = Window(),  # noqa: B008  # frozen
    report: Report | None = None,
    own: Mapping[str, str] = judge.NOTHING,
    privacy: Mapping[str, Any] = judge.NOTHING,
) -> EventReader:
    custom = tuple(dictionary.custom_field(name, column) for name, column in own.items())
    says = Privacy(parse_config({"api_key": "a", **privacy}, {}))
    return EventReader(Layout(tuple(columns), unknown, custom, says), BUNDLE_ID, window, report or Report())


def lines_of(reader: EventReader, bundle: bytes, block: int = 512 * 1024, most: int = 10_000) -> list[bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "BLOCK_SIZE", block)
        file = BytesIO(bundle)
        chunks = list(read_chunks(file, check(file, most)))
    lines: list[bytes] = []
    for chunk in chunks:
        records = reader.from_events(chunk, EXTRACTED)
        assert chunk.events == records.events
        assert EXTRACTED == records.time_extracted
        found = records.lines.splitlines(keepends=True)
        assert records.count == len(found) and all(line.endswith(b"\n") for line in found)
        lines += found
    return lines


def learned_lines_of(reader: EventReader, bundle: bytes, block: int = 512 * 1024, most: int = 10_000) -> list[bytes]:
    """Return the lines, and make sure that they are the same once the names in the bundle were met."""
    lines = lines_of(reader, bundle, block, most)
    assert lines == lines_of(reader, bundle, block, most)
    return lines


def comparable_text(record: dict[str, Any]) -> str:
    """Return a record so that equal ones are equal texts; 1, 1.0 and true differ."""
    return json.dumps(record, sort_keys=True)


def unpacked(line: bytes) -> dict[str, Any]:
    """Return a record with `CustomVars` and other JSON texts as what they stand for."""
    record = json.loads(line)
    for name in ("evt_l_strs", "some_ints"):
        if record.get(name) is not None and not re.fullmatch("[0-9a-f]{64}", record[name]):  # a hash is no JSON
            record[name] = json.loads(record[name])
    if "CustomVars" in record:
        record["CustomVars"] = json.loads(record["CustomVars"])
        assert record["CustomVars"], "empty CustomVars are left out"
    return record


def assert_as_judged(lines: list[bytes], judged: list[dict[str, Any]]) -> None:
    assert list(map(comparable_text, judged)) == [comparable_text(unpacked(line)) for line in lines]


def read_one(event: bytes, columns: Iterable[str] = ALL, report: Report | None = None) -> dict[str, Any]:
    """Return the record of one event without `_bundle_id`."""
    (line,) = lines_of(make_reader(columns, report=report), b"[%b]" % event)
    record = unpacked(line)
    assert BUNDLE_ID == record.pop("_bundle_id")
    return record


# What a value becomes: each line can be read on its own in the documentation ----------------------------------------


@pytest.mark.parametrize(
    "event, record",
    [
        (b"{}", {}),
        (b'{"UserId":9007199254740993}', {"UserId": 9007199254740993}),
        (b'{"UserId":null,"PageUrl":null,"EventStart":null}', {"UserId": None, "PageUrl": None, "EventStart": None}),
        (b'{"UserId":-9223372036854775808}', {"UserId": -(2**63)}),
        (b'{"UserId":9223372036854775807}', {"UserId": 2**63 - 1}),
        (b'{"UserId":"9223372036854775807"}', {"UserId": 2**63 - 1}),
        (b'{"UserId":"-12"}', {"UserId": -12}),
        (b'{"UserId":2.0}', {"UserId": 2}),
        (b'{"UserId":2e3}', {"UserId": 2000}),
        (b'{"UserId":9007199254740993.0}', {"UserId": 9007199254740993}),
        (b'{"UserId":9.223372036854775807e18}', {"UserId": 2**63 - 1}),
        (b'{"UserId":0e99999}', {"UserId": 0}),
        (b'{"PageUrl":2.50}', {"PageUrl": "2.50"}),
        (b'{"PageUrl":1E400}', {"PageUrl": "1E400"}),
        (b'{"PageUrl":123456789012345678901234567890}', {"PageUrl": "123456789012345678901234567890"}),
        (b'{"PageUrl":""}', {"PageUrl": ""}),
        (b'{"EventCumulativeLayoutShift":5}', {"EventCumulativeLayoutShift": 5}),
        (b'{"EventCumulativeLayoutShift":0.1}', {"EventCumulativeLayoutShift": 0.1}),
        (b'{"EventCumulativeLayoutShift":1e-400}', {"EventCumulativeLayoutShift": 0.0}),
        (b'{"EventCumulativeLayoutShift":18446744073709551616}', {"EventCumulativeLayoutShift": 2.0**64}),
        (b'{"EventStart":"2024-01-01T00:00:00"}', {"EventStart": "2024-01-01T00:00:00Z"}),
        (b'{"EventStart":"2024-01-01T01:00:00.120+01:00"}', {"EventStart": "2024-01-01T00:00:00.120Z"}),
        (b'{"EventStart":"2024-01-01T00:00:00.123456789Z"}', {"EventStart": "2024-01-01T00:00:00.123456789Z"}),
        (b'{"PageUserAgent":"a"}', {"PageAgent": "a"}),
        (b'{"PageAgent":"a"}', {"PageAgent": "a"}),
        (b'{"PageAgent":"a","PageUserAgent":"a"}', {"PageAgent": "a"}),
        (b'{"PageUserAgent":null}', {"PageAgent": None}),
        (
            b'{"EventTargetSelectorTok":"a","EventTargetSelector":"b"}',
            {"EventTargetSelectorTok": "a", "EventTargetSelector": "b"},
        ),
        (b'{"PageUrl":"a\\u0000b\\ud800c\\ud83d\\ude00"}', {"PageUrl": "a\ufffdb\ufffdc😀"}),
        (b'{"PageUrl":"\\\\u0000"}', {"PageUrl": "\\u0000"}),
        (b'{"Page\\u0055rl":"a","PageUrl":"b"}', {"PageUrl": "b"}),
    ],
)
def test_a_value_that_fits_its_column_is_there_as_it_was(event: bytes, record: dict[str, Any]) -> None:
    """Values would reach the warehouse changed, rounded or in the wrong column."""
    assert comparable_text(record) == comparable_text(read_one(event))


@pytest.mark.parametrize(
    "event, record",
    [
        (b'{"UserId":9223372036854775808}', {"CustomVars": {"UserId": 2.0**63}}),
        (b'{"UserId":9223372036854775809}', {"CustomVars": {"UserId": "9223372036854775809"}}),
        (b'{"UserId":"9223372036854775808"}', {"CustomVars": {"UserId": "9223372036854775808"}}),
        (b'{"UserId":2.5}', {"CustomVars": {"UserId": 2.5}}),
        (b'{"UserId":1e-400}', {"CustomVars": {"UserId": 0.0}}),
        (b'{"UserId":1e400}', {"CustomVars": {"UserId": "1e400"}}),
        (b'{"UserId":"007"}', {"CustomVars": {"UserId": "007"}}),
        (b'{"UserId":" 7"}', {"CustomVars": {"UserId": " 7"}}),
        (b'{"UserId":"+7"}', {"CustomVars": {"UserId": "+7"}}),
        (b'{"UserId":"2.0"}', {"CustomVars": {"UserId": "2.0"}}),
        (b'{"UserId":""}', {"CustomVars": {"UserId": ""}}),
        (b'{"UserId":"\xd9\xa3"}', {"CustomVars": {"UserId": "\u0663"}}),
        (b'{"UserId":true}', {"CustomVars": {"UserId": True}}),
        (b'{"UserId":[1]}', {"CustomVars": {"UserId": [1]}}),
        (b'{"PageUrl":true}', {"CustomVars": {"PageUrl": True}}),
        (b'{"PageUrl":{"a":[null]}}', {"CustomVars": {"PageUrl": {"a": [None]}}}),
        (b'{"EventCumulativeLayoutShift":"0.5"}', {"CustomVars": {"EventCumulativeLayoutShift": "0.5"}}),
        (b'{"EventCumulativeLayoutShift":1e400}', {"CustomVars": {"EventCumulativeLayoutShift": "1e400"}}),
        (b'{"EventStart":""}', {"CustomVars": {"EventStart": ""}}),
        (b'{"EventStart":"2024-01-01"}', {"CustomVars": {"EventStart": "2024-01-01"}}),
        (b'{"EventStart":1704067200}', {"CustomVars": {"EventStart": 1704067200}}),
        (b'{"EventStart":"2023-02-29T00:00:00Z"}', {"CustomVars": {"EventStart": "2023-02-29T00:00:00Z"}}),
        (b'{"PageUserAgent":"a","PageAgent":"b"}', {"PageAgent": "a", "CustomVars": {"PageAgent": "b"}}),
        (b'{"PageAgent":"b","PageUserAgent":"a"}', {"PageAgent": "a", "CustomVars": {"PageAgent": "b"}}),
        (b'{"PageUserAgent":null,"PageAgent":"b"}', {"PageAgent": None, "CustomVars": {"PageAgent": "b"}}),
        (b'{"evt_a_real":1e400,"evt_b":1E5}', {"CustomVars": {"evt_a_real": "1e400", "evt_b": 100000.0}}),
        (b'{"evt_a":18446744073709551617}', {"CustomVars": {"evt_a": "18446744073709551617"}}),
        (b'{"evt_a":{"b":[1,2.5,"\\u0000",null]}}', {"CustomVars": {"evt_a": {"b": [1, 2.5, "\ufffd", None]}}}),
        (b'{"evt_\\u0000":1}', {"CustomVars": {"evt_\ufffd": 1}}),
        (b'{"userid":1}', {"CustomVars": {"userid": 1}}),
        (b'{"evt_a":null}', {"CustomVars": {"evt_a": None}}),
    ],
)
def test_what_has_no_column_or_does_not_fit_is_kept_under_its_own_name(event: bytes, record: dict[str, Any]) -> None:
    """Custom variables and odd values would be lost, or a whole run would end for one of them."""
    assert comparable_text(record) == comparable_text(read_one(event))


@pytest.mark.parametrize("columns", [ALL, ALL_AND_KEY, NARROW], ids=["all", "key", "narrow"])
@pytest.mark.parametrize("name", ["event_id", "_bundle_id", "CustomVars"])
@pytest.mark.parametrize("value", [b"170000640048", b'"a"', b"null", b'"0123456789abcdef0123456789abcdef"', b"{}"])
@pytest.mark.parametrize("neighbour", [b"", b'"evt_a":1,'], ids=["alone", "with a custom variable"])
def test_a_member_with_the_name_of_our_own_column_is_a_custom_variable(
    columns: tuple[str, ...], name: str, value: bytes, neighbour: bytes
) -> None:
    """A customer's own property would replace the key or the bundle of a record, or vanish."""
    event = b'{%b"%b":%b}' % (neighbour, name.encode(), value)

    (line,) = lines_of(make_reader(columns), b"[%b]" % event)

    record = unpacked(line)
    assert BUNDLE_ID == record["_bundle_id"]
    assert json.loads(value) == record["CustomVars"][name]
    assert ("event_id" in columns) == ("event_id" in record)
    if "event_id" in columns:
        assert judge.event_id(judge.read_events(b"[%b]" % event)[0]) == record["event_id"]


@pytest.mark.parametrize("column", sorted(judge.COLUMNS))
@pytest.mark.parametrize("neighbour", [b"", b',{"evt_a":1}', b',{"evt_a":"\\u0000"}'], ids=["plain", "custom", "exact"])
def test_every_kind_of_value_in_every_column(column: str, neighbour: bytes) -> None:
    """A column would take what its type in the schema forbids, on one of the three ways."""
    values = (*event_texts.NUMBERS, *event_texts.TIMES, *event_texts.NO_TIMES, b"true", b"false", b"null", b"[]", b"{}")
    texts = (*values, *(b'"%b"' % one for one in event_texts.NUMBERS))
    reader = make_reader(ALL_AND_KEY)
    for value in texts:
        bundle = b'[{"%b":%b}%b]' % (column.encode(), value, neighbour)
        assert_as_judged(lines_of(reader, bundle), judge.records(bundle, BUNDLE_ID, columns=ALL_AND_KEY))


@pytest.mark.parametrize("neighbour", [b"", b'"evt_a":"\\u0000",'], ids=["plain", "exact"])
@pytest.mark.parametrize("digits", [20, 400, 4300, 5000])
def test_a_number_of_any_length_is_kept(digits: int, neighbour: bytes) -> None:
    """One endless number in a custom variable would end every run with a bug of the tap."""
    event = b'{%b"evt_n":-%b}' % (neighbour, b"9" * digits)

    assert "-" + "9" * digits == read_one(event, ALL_AND_KEY)["CustomVars"]["evt_n"]


@pytest.mark.parametrize("deep", [50, 200, 300, 100_000])
def test_a_deeply_nested_value_is_read_or_refused_before_anything_is_written(deep: int) -> None:
    """The tap would die of a bug in the middle of a bundle, after half of it was written."""
    bundle = b'[{"evt_deep":%b%b}]' % (b"[" * deep, b"]" * deep)
    file = BytesIO(bundle)
    try:
        cuts = check(file, 10)
    except bundles.BundleError:
        assert deep > 100, "no customer's data is nested so deeply, but this one may be"
        return

    (chunk,) = read_chunks(file, cuts)
    records = make_reader(ALL_AND_KEY).from_events(chunk, EXTRACTED)

    assert "[" * deep + "]" * deep == json.loads(records.lines)["CustomVars"][len('{"evt_deep":') : -1]


# All of it at once, compared with the judge -------------------------------------------------------------------------


@given(event_texts.bundles(), st.sampled_from(sorted(SELECTIONS)), st.integers(2, 300), st.integers(1, 4))
def test_records_are_as_judged(bundle: tuple[bytes, list[bytes]], selection: str, block: int, most: int) -> None:
    """Some event, somewhere in some bundle, would become another record than documented."""
    columns = SELECTIONS[selection]

    lines = learned_lines_of(make_reader(columns), bundle[0], block, most)

    assert_as_judged(lines, judge.records(bundle[0], BUNDLE_ID, columns=columns))


@pytest.mark.parametrize(
    "some",
    [event_texts.plain_events, event_texts.custom_events, event_texts.typed_events],
    ids=["plain", "custom", "typed"],
)
@given(data=st.data())
def test_records_of_ordinary_events_are_as_judged(some: st.SearchStrategy[bytes], data: st.DataObject) -> None:
    """The fast ways, which nearly all events take, would read something else than the slow one."""
    text, _ = data.draw(event_texts.bundles(some, 12))
    own = data.draw(st.sampled_from((judge.NOTHING, OWN)))
    privacy = PRIVACIES[data.draw(st.sampled_from(("nothing", *sorted(PRIVACIES))))]
    columns = (*SELECTIONS[data.draw(st.sampled_from(sorted(SELECTIONS)))], *own.values())

    lines = learned_lines_of(make_reader(columns, own=own, privacy=privacy), text, 4096)

    assert_as_judged(lines, judge.records(text, BUNDLE_ID, columns=columns, own=own, privacy=privacy))


@given(event_texts.bundles(), st.sets(st.sampled_from(UNKNOWN)), st.booleans())
def test_fields_that_an_old_catalog_does_not_know_are_kept_and_the_key_stays(
    bundle: tuple[bytes, list[bytes]], unknown: set[str], key: bool
) -> None:
    """With a catalog of an older version, fields would be lost, or the same event would get another key."""
    columns = tuple(name for name in (ALL_AND_KEY if key else ALL) if name not in unknown)

    lines = learned_lines_of(make_reader(columns, unknown), bundle[0])

    assert_as_judged(lines, judge.records(bundle[0], BUNDLE_ID, columns=columns, unknown=unknown))


@pytest.mark.parametrize("unknown", ["UserId", "EventTargetText", "EventType"])
@pytest.mark.parametrize("value", [b'"12"', b"12", b"2.0", b"1.50", b"null", b'"a"', b"1e400", b"[]", b'"\\u0000"'])
@pytest.mark.parametrize("neighbour", [b"", b',"evt_a":{}'], ids=["plain", "nested"])
def test_the_key_is_the_same_whatever_the_catalog_knows(unknown: str, value: bytes, neighbour: bytes) -> None:
    """A target that upserts would hold the event twice after its user discovered the catalog anew."""
    event = b'[{"%b":%b%b}]' % (unknown.encode(), value, neighbour)
    columns = tuple(name for name in ALL_AND_KEY if name != unknown)

    keys = [
        json.loads(line)["event_id"]
        for reader in (make_reader(ALL_AND_KEY), make_reader(columns), make_reader(columns, [unknown]))
        for line in lines_of(reader, event)
    ]

    assert [keys[0]] * 3 == keys


@given(
    event_texts.bundles(),
    st.sampled_from((None, *event_texts.TIMES[:8])),
    st.sampled_from((None, *event_texts.TIMES[:8])),
    st.sampled_from(("all", "narrow, key", "time alone")),
)
def test_a_window_filters_by_time_alone(
    bundle: tuple[bytes, list[bytes]], start: bytes | None, stop: bytes | None, selection: str
) -> None:
    """Events on a bound would be lost or doubled, or those without a readable time would be."""
    first, last = (None if one is None else judge.utc(json.loads(one)) for one in (start, stop))
    window = Window(
        "" if first is None else comparable(parse_moment(first)),
        None if last is None else comparable(parse_moment(last)),
    )
    columns = SELECTIONS[selection]

    lines = learned_lines_of(make_reader(columns, window=window), bundle[0])

    assert_as_judged(lines, judge.records(bundle[0], BUNDLE_ID, columns=columns, start=first, stop=last))


@pytest.mark.parametrize(
    "time, emitted",
    [
        ("2024-01-01T00:00:00.499999999Z", False),
        ("2024-01-01T00:00:00.5Z", True),
        ("2024-01-01T00:00:00.500000000Z", True),
        ("2024-01-01T01:00:00.5+01:00", True),
        ("2024-01-01T00:00:01Z", True),
        ("2024-01-01T00:00:01.999Z", True),
        ("2024-01-01T00:00:02Z", False),
        ("2024-01-01T00:00:02.000Z", False),
        ("2024-01-01T00:00:60Z", True),
        ("", True),
        (None, True),
        (5, True),
    ],
)
@pytest.mark.parametrize("neighbour", [{}, {"evt_a": 1}, {"evt_a": "\0"}], ids=["plain", "custom", "exact"])
def test_bounds_are_inclusive_below_and_exclusive_above(time: Any, emitted: bool, neighbour: dict[str, Any]) -> None:
    """Two runs that meet at a moment would both write its events, or neither."""
    window = Window("2024-01-01T00:00:00.5", "2024-01-01T00:00:02")

    lines = lines_of(make_reader(window=window), json.dumps([{"EventStart": time, **neighbour}]).encode())

    assert emitted == bool(lines)


# One event, one record, whatever stands beside it -------------------------------------------------------------------


@given(event_texts.bundles(), st.sampled_from(("all", "key", "narrow, key", "no CustomVars")))
def test_a_record_does_not_depend_on_its_neighbours(bundle: tuple[bytes, list[bytes]], selection: str) -> None:
    """A bundle read twice with other cuts would give other bytes for the same event."""
    _, chosen = bundle
    columns = SELECTIONS[selection]
    alone = [line for event in chosen for line in lines_of(make_reader(columns), b"[%b]" % event)]

    for odd in (NUL_EVENT, HUGE_EVENT, BROKEN_EVENT):
        together = lines_of(make_reader(columns), b"[%b]" % b",".join([odd, *chosen, odd]))

        assert alone == together[1:-1]


@given(event_texts.bundles(), st.sampled_from(("all", "key", "narrow", "no CustomVars")))
def test_changes_are_counted_once_however_a_bundle_is_cut(bundle: tuple[bytes, list[bytes]], selection: str) -> None:
    """The summary would tell another number for the same bundle."""
    text, chosen = bundle
    whole, parts = Report(), Report()
    together, alone = make_reader(SELECTIONS[selection], report=whole), make_reader(SELECTIONS[selection], report=parts)

    lines_of(together, text)
    for event in chosen:
        lines_of(alone, b"[%b]" % event)

    assert parts.changes == whole.changes
    assert parts.custom == whole.custom


@pytest.mark.parametrize(
    "event, change, name",
    [
        (b'{"UserId":"12"}', Change.CONVERTED, "UserId"),
        (b'{"UserId":2.0}', Change.CONVERTED, "UserId"),
        (b'{"PageUrl":5}', Change.CONVERTED, "PageUrl"),
        (b'{"UserId":"a"}', Change.MOVED, "UserId"),
        (b'{"PageUserAgent":"a","PageAgent":"b"}', Change.MOVED, "PageAgent"),
        (b'{"EventStart":"soon"}', Change.MOVED, "EventStart"),
        (b'{"PageUrl":"\\u0000"}', Change.REPLACED, "PageUrl"),
        (b'{"evt_a":"\\ud800"}', Change.REPLACED, "evt_a"),
        (b'{"evt_a":1e400}', Change.AS_TEXT, "evt_a"),
        (b'{"NewField":1}', Change.NEW_FIELD, "NewField"),
    ],
)
def test_every_change_is_counted_under_its_field(event: bytes, change: Change, name: str) -> None:
    """A value would be changed in silence."""
    report = Report()

    read_one(event, report=report)
    read_one(event, report=report)

    assert {name: 2} == dict(report.changes[change])
    assert [change] == [one for one, counts in report.changes.items() if counts]


def test_ordinary_events_count_no_change() -> None:
    """Every run would end with a list of changes that did not happen."""
    report = Report()

    read_one(b'{"UserId":1,"EventStart":"2024-01-01T00:00:00Z","evt_a_str":"b","PageUserAgent":"c"}', report=report)

    assert not any(report.changes.values())
    assert {"evt_a_str": 1} == dict(report.custom)


def test_what_no_column_takes_is_counted_when_custom_vars_are_not_selected() -> None:
    """Custom variables would be dropped without a word."""
    report = Report()
    columns = tuple(name for name in ALL if name != "CustomVars")

    record = read_one(b'{"evt_a":1,"UserId":"x","NewField":2,"PageUrl":"p"}', columns, report)

    assert {"PageUrl": "p"} == record
    assert {"evt_a": 1, "UserId": 1, "NewField": 1} == dict(report.changes[Change.DROPPED])


@pytest.mark.parametrize("value", [b"1", b'"a"', b'"\\u0000"', b"[]", b"1e400"])
def test_a_deselected_column_leaves_no_trace(value: bytes) -> None:
    """What a user keeps out of the warehouse, for privacy, would arrive in CustomVars, or in the log."""
    report = Report()

    record = read_one(b'{"PageIp":%b,"SessionId":%b,"EventType":"a"}' % (value, value), ["EventType", *NARROW], report)

    assert {"EventType": "a"} == record
    assert not any(report.changes.values()) and not report.custom


def test_a_field_that_the_catalog_does_not_know_is_reported_as_such() -> None:
    """Nobody would learn that a fresh catalog would bring a column."""
    report = Report()
    reader = make_reader([name for name in ALL if name != "ReqUrl"], ["ReqUrl"], report=report)

    (line,) = lines_of(reader, b'[{"ReqUrl":"/a"}]')

    assert {"ReqUrl": "/a"} == unpacked(line)["CustomVars"]
    assert {"ReqUrl": 1} == dict(report.changes[Change.NOT_IN_CATALOG])


@pytest.mark.parametrize(
    "name, custom",
    [
        ("user_plan_str", True),
        ("evt_a.b_real", True),
        ("page_x", True),
        ("acct_adminDisabled_bool", True),
        ("tags_strs", True),
        ("a\nb_int", True),
        ("EventNewThing", False),
        ("PageSomething", False),
        ("str", False),
        ("_bundle_id", False),
    ],
)
def test_custom_variables_are_told_from_new_fields(name: str, custom: bool) -> None:
    """Every custom variable would be reported as something new of Fullstory, or the other way round."""
    assert custom == is_custom(name)


@pytest.mark.parametrize("value", [b'{"a":\n1}', b"[\n]", b'[{},\n{"_rest":"\\u0000"}]', b'"\\n"', b"1e400", b"-0"])
def test_what_is_not_selected_may_be_anything(value: bytes) -> None:
    """A record would be cut in two at a line break in a value that nobody asked for."""
    event = b'{"PageUrl":%b,"EventTargetText":"a","evt_a":1}' % value
    reader = make_reader(NARROW)

    lines = learned_lines_of(reader, b"[%b,%b]" % (event, event))

    expected = {"EventTargetText": "a", "CustomVars": {"evt_a": 1}, "_bundle_id": BUNDLE_ID}
    assert [expected] * 2 == list(map(unpacked, lines))


def test_broken_text_that_is_not_selected_is_counted_whatever_was_met_before() -> None:
    """The summary would depend on the order of the events."""
    counts = []
    for bundle in (b"[%b]" % BROKEN_EVENT, b'[{"PageUrl":"a"},%b]' % BROKEN_EVENT):
        report = Report()
        reader = make_reader(NARROW, report=report)
        reader._layout.learn([{"PageUrl": "a"}])
        lines_of(reader, bundle)
        counts.append(report.changes[Change.REPLACED])

    assert [{"(broken UTF-8)": 1}] * 2 == counts


def test_more_names_than_can_be_expected_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account with very many variables would lose some of them."""
    monkeypatch.setattr(layout, "MOST_NAMES", 20)
    events = [{"EventType": "custom", f"evt_{number}": number, f"evt_{number + 1}": "a"} for number in range(300)]
    events[150]["EventType"] = 5
    text = json.dumps(events).encode()

    lines = learned_lines_of(make_reader(ALL_AND_KEY), text, 2000)

    assert_as_judged(lines, judge.records(text, BUNDLE_ID, columns=ALL_AND_KEY))


@pytest.mark.parametrize(
    "event, custom",
    [
        (b'{"evt_\\u0000":1,"evt_\xef\xbf\xbd":2}', {"evt_\ufffd\ufffd": 1, "evt_\ufffd": 2}),
        (b'{"evt_\xef\xbf\xbd":2,"evt_\\u0000":1}', {"evt_\ufffd\ufffd": 1, "evt_\ufffd": 2}),
        (b'{"evt_\\u0000":1,"evt_\\ud800":2}', {"evt_\ufffd": 1, "evt_\ufffd\ufffd": 2}),
        (b'{"evt_a":{"\\u0000":1,"\xef\xbf\xbd":[2]}}', {"evt_a": {"\ufffd\ufffd": 1, "\ufffd": [2]}}),
    ],
)
def test_names_that_differ_only_in_what_no_target_takes_stay_two(event: bytes, custom: dict[str, Any]) -> None:
    """One of two variables would be lost without a word."""
    assert {"CustomVars": custom} == read_one(event)


def test_records_of_no_events_are_none() -> None:
    """A bundle all of whose events a bound leaves out would write an empty line."""
    chunk = Chunk(b'[{"EventStart":"2024-01-01T00:00:00Z"}]', 1, BEGINNING)

    records = make_reader(window=Window("2025-01-01T00:00:00")).from_events(chunk, EXTRACTED)

    assert (0, b"", 1) == (records.count, records.lines, records.events)
