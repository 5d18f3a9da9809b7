"""What may leave the tap, on each of the three ways."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from tap_fullstory.config import parse_config
from tap_fullstory.dictionary import FIELDS, Kind, custom_field
from tap_fullstory.moments import comparable, parse_moment
from tap_fullstory.privacy import OPEN, Patterns, Privacy, canonical_text
from tap_fullstory.records import Window
from tap_fullstory.report import Change, Report
from tests.unit.test_exactness import ways_taken
from tests.unit.test_records import ALL, ALL_AND_KEY, BUNDLE_ID, lines_of, make_reader, unpacked

KEY = "a key"
# An event that is read on each way, if its other members let it.
NEIGHBOURS = {"first": "", "second": ',"evt_\\"odd\\"":1', "last": ',"evt_n":"\\u0000"'}
BY_NAME = {one.name: one for one in FIELDS}


def privacy_of(**settings: Any) -> Privacy:
    return Privacy(parse_config({"api_key": "a", **settings}, {}))


def hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def records_of(members: str, report: Report | None = None, **options: Any) -> list[dict[str, Any]]:
    """Return the records of the same event on each way, without what the way needs."""
    found = []
    for way, neighbour in NEIGHBOURS.items():
        bundle = f"[{{{members}{neighbour}}}]".encode()
        reader = make_reader(report=report, **options)
        lines_of(reader, bundle)
        with ways_taken() as taken:
            lines = lines_of(reader, bundle)
        assert not lines or {way: 1} == +taken, "the event went another way"
        for line in lines:
            record = unpacked(line)
            assert BUNDLE_ID == record.pop("_bundle_id")
            custom = {
                name: one for name, one in record.pop("CustomVars", {}).items() if name not in ('evt_"odd"', "evt_n")
            }
            found.append({**record, **({"CustomVars": custom} if custom else {})})
    return found


@pytest.mark.parametrize(
    "members, record",
    [
        ('"UserEmail":"a@b.c"', {"UserEmail": hashed("a@b.c")}),
        ('"UserEmail":""', {"UserEmail": hashed("")}),
        (f'"UserEmail":"{"x" * 300}"', {"UserEmail": hashed("x" * 300)}),
        ('"UserEmail":"\u00e9"', {"UserEmail": hashed("é")}),
        ('"UserEmail":null,"UserId":null', {"UserEmail": None, "UserId": None}),
        ('"UserId":9007199254740993', {"UserId": hashed("9007199254740993")}),
        ('"PageStart":"2024-01-01T01:00:00+01:00"', {"PageStart": hashed("2024-01-01T00:00:00Z")}),
        ('"EventCumulativeLayoutShift":2.0', {"EventCumulativeLayoutShift": hashed("2")}),
        ('"EventCumulativeLayoutShift":0.1', {"EventCumulativeLayoutShift": hashed("0.1")}),
        ('"PageUserAgent":"a"', {"PageAgent": hashed("a")}),
        ('"PageAgent":"a"', {"PageAgent": hashed("a")}),
        ('"user_mail_str":"a@b.c","evt_a":1', {"CustomVars": {"evt_a": 1, "user_mail_str": hashed("a@b.c")}}),
        (
            '"user_n":5,"user_m":5.0,"user_t":true',
            {"CustomVars": {"user_m": hashed("5"), "user_n": hashed("5"), "user_t": hashed("true")}},
        ),
        ('"user_l":["a",1.50,null]', {"CustomVars": {"user_l": hashed('["a",1.5,null]')}}),
        ('"user_o":{"b":1,"a":"é"}', {"CustomVars": {"user_o": hashed('{"a":"é","b":1}')}}),
        ('"user_n":null', {"CustomVars": {"user_n": None}}),
    ],
)
def test_a_value_becomes_the_same_hash_on_every_way(members: str, record: dict[str, Any]) -> None:
    """Who joins by a hash would lose events, or the value itself would be in the warehouse."""
    columns = ["UserEmail", "UserId", "PageStart", "EventCumulativeLayoutShift", "PageAgent", "user_*"]

    assert [record] * 3 == records_of(members, privacy={"hash_columns": columns, "hash_key": KEY})


@pytest.mark.parametrize(
    "members, custom",
    [
        ('"UserId":"12x"', {"UserId": hashed("12x")}),
        ('"UserId":["a"]', {"UserId": hashed('["a"]')}),
        ('"UserId":1e400', {"UserId": hashed("1e400")}),
        ('"UserId":9223372036854775809', {"UserId": hashed("9223372036854775809")}),
        ('"PageUserAgent":{},"UserId":true', {"PageUserAgent": hashed("{}"), "UserId": hashed("true")}),
        ('"user_\\u0000":"\\ud800"', {"user_\ufffd": hashed("\ufffd")}),
    ],
)
def test_what_does_not_fit_its_column_is_hashed_all_the_same(members: str, custom: dict[str, Any]) -> None:
    """An e-mail address in a list would come in the clear."""
    reader = make_reader(privacy={"hash_columns": ["UserId", "PageAgent", "user_*"], "hash_key": KEY})

    (line,) = lines_of(reader, f"[{{{members}}}]".encode())

    assert custom == unpacked(line)["CustomVars"]


@pytest.mark.parametrize("value", ['"12"', "12", "12.0", "1.2e1"])
def test_equal_values_have_equal_hashes_however_they_are_written(value: str) -> None:
    """The same visitor would be two."""
    reader = make_reader(privacy={"hash_columns": ["UserId"], "hash_key": KEY})

    (line,) = lines_of(reader, b'[{"UserId":%b}]' % value.encode())

    assert hashed("12") == unpacked(line)["UserId"]


@pytest.mark.parametrize(
    "url, bare",
    [
        ("https://a/b?c=d#e", "https://a/b"),
        ("https://a/b#/c?d", "https://a/b"),
        ("/b", "/b"),
        ("?a", ""),
        ("", ""),
        ("https://a/?b\nc\u2028d", "https://a/"),
        ("a\nb?c", "a\nb"),
    ],
)
def test_a_url_loses_query_and_fragment(url: str, bare: str) -> None:
    """Tokens and search words would be in the warehouse, perhaps behind a line break."""
    text = json.dumps(url)
    report = Report()

    found = records_of(
        f'"PageUrl":{text},"evt_x_str":[{text}],"evt_o":{{"a":{text}}},"PageRefererUrl":{text}',
        report,
        privacy={"strip_query": ["PageUrl", "evt_*"]},
    )

    custom = {"evt_o": {"a": bare}, "evt_x_str": [bare]}
    assert [{"PageUrl": bare, "PageRefererUrl": url, "CustomVars": custom}] * 3 == found
    changed = 6 if url != bare else 0
    assert {name: changed for name in ("PageUrl", "evt_o", "evt_x_str") if changed} == report.changes[Change.STRIPPED]


def test_a_url_that_is_hashed_is_stripped_first() -> None:
    """The same page would have another hash for each search."""
    privacy = {"strip_query": ["PageUrl"], "hash_columns": ["PageUrl"], "hash_key": KEY}

    assert [{"PageUrl": hashed("/a")}] * 3 == records_of('"PageUrl":"/a?b"', privacy=privacy)


def test_variables_are_left_out_and_counted_once() -> None:
    """A variable that nobody may see would be in CustomVars, or be said to have been kept."""
    report = Report()
    privacy = {"custom_vars_exclude": ["user_*", "Page*"]}

    found = records_of('"user_a":"x","user_b":null,"evt_a":1,"PageUrl":"u"', report, privacy=privacy)
    (line,) = lines_of(make_reader(privacy=privacy, report=report), b'[{"PageUrl":[1e400],"user_\\u0000":"\\u0000"}]')

    assert [{"PageUrl": "u", "CustomVars": {"evt_a": 1}}] * 3 == found
    assert {"_bundle_id": BUNDLE_ID} == unpacked(line)
    assert {"user_a": 6, "user_b": 6, "PageUrl": 1, "user_\ufffd": 1} == report.changes[Change.EXCLUDED]
    assert {"evt_n": 2} == report.changes[Change.REPLACED]
    assert not report.changes[Change.MOVED] and not report.changes[Change.AS_TEXT]
    assert {"evt_a", 'evt_"odd"', "evt_n"} == {*report.custom}


@pytest.mark.parametrize("settings", [{"event_types": ["click", "5"]}, {"exclude_event_types": ["load", "", "\ufffd"]}])
@pytest.mark.parametrize(
    "members, only, others",
    [
        ('"EventType":"click"', True, True),
        ('"EventType":"load"', False, False),
        ('"EventType":"CLICK"', False, True),
        ('"EventType":""', False, False),
        ("", False, True),
        ('"EventType":null', False, True),
        ('"EventType":["load"]', False, True),
        ('"EventType":5', True, True),
        ('"EventType":"\\u0000"', False, False),
    ],
)
def test_events_are_chosen_by_their_type(settings: dict[str, Any], members: str, only: bool, others: bool) -> None:
    """An event would be missing, or there, because of how its type or its neighbours are written."""
    emitted = only if "event_types" in settings else others
    for columns in (ALL, ALL_AND_KEY, ("EventStart", "_bundle_id"), ("PageUrl", "EventStart")):
        for neighbour in (*NEIGHBOURS.values(), ',"evt_x_str":"a"', ',"evt_n":1e400'):
            report = Report()
            reader = make_reader(columns, report=report, privacy=settings)
            text = b",".join(b"{%b}" % f"{members}{neighbour}".lstrip(",").encode() for _ in range(2))

            for _ in range(2):
                assert (2 if emitted else 0) == len(lines_of(reader, b"[%b]" % text))
            assert (0 if emitted else 4) == report.left_out


def test_an_event_that_a_date_leaves_out_is_not_counted_by_its_type() -> None:
    """The summary would tell of events that belong to another run."""
    window = Window(comparable(parse_moment("2024-01-02T00:00:00Z")))
    report = Report()

    for kind in ("click", "load"):
        for day in ("01", "02"):
            members = f'"EventType":"{kind}","EventStart":"2024-01-{day}T00:00:00Z"'
            records = records_of(members, report, window=window, privacy={"event_types": ["click"]})
            assert (3 if (kind, day) == ("click", "02") else 0) == len(records)
    assert 6 == report.left_out


def test_variables_of_events_that_are_left_out_do_not_make_the_others_slow() -> None:
    """Whoever wants few types of events would wait longer than whoever wants all."""
    bundle = b'[{"EventType":"click"},{"EventType":"load","evt_a":1},{"EventType":"click"}]'
    reader = make_reader(privacy={"event_types": ["click"]})
    lines_of(reader, bundle)

    shape = reader._layout.shape
    assert shape and 3 == len(shape.decode(bundle)), "a name that was met is not expected"


def test_the_key_does_not_change() -> None:
    """A target that upserts would have every event twice after a setting was changed."""
    members = (
        '"UserId":"12","EventTargetText":"a?b","EventType":"click","evt_a_real":2.0,"evt_b_str":5,"evt_t_date":'
        '"2024-01-01T01:00:00.50+01:00","evt_l_strs":[1.0],"EventStart":"2024-01-01T00:00:00Z","user_a":1'
    )
    own = {"evt_a_real": "a", "evt_b_str": "b", "evt_t_date": "t", "evt_l_strs": "evt_l_strs"}
    privacy = {
        "hash_columns": ["*"],
        "hash_key": KEY,
        "strip_query": ["*"],
        "custom_vars_exclude": ["*"],
        "exclude_event_types": ["load"],
    }

    keys = {
        unpacked(line)["event_id"]
        for neighbour in ("", ',"user_\\"odd\\"":1', ',"user_n":"\\u0000"')
        for reader in (
            make_reader(ALL_AND_KEY),
            make_reader(ALL_AND_KEY, privacy=privacy),
            make_reader((*ALL_AND_KEY, *own.values()), own=own, privacy=privacy),
            make_reader(ALL_AND_KEY, tuple(own.values()), own=own),
            make_reader(("event_id", "EventStart"), own=own, privacy=privacy),
        )
        for _ in range(2)
        for line in lines_of(reader, f"[{{{members}{neighbour}}}]".encode())
    }

    assert 1 == len(keys)


def test_columns_of_variables_are_meant_by_either_name() -> None:
    """Somebody would name the variable, see its column in the clear, and not know why."""
    own = {"user_mail_str": "mail", "evt_n_int": "n", "evt_tags_strs": "tags"}
    columns = (*ALL, *own.values())
    members = '"user_mail_str":"a@b.c","evt_n_int":5,"evt_tags_strs":["/a?b"]'
    expected = {"mail": hashed("a@b.c"), "n": hashed("5"), "tags": hashed('["/a"]')}

    for names in (["mail", "n", "tags"], [*own], ["*mail*", "evt_*"]):
        privacy = {"hash_columns": names, "hash_key": KEY, "strip_query": ["tag*"]}
        assert [expected] * 3 == records_of(members, columns=columns, own=own, privacy=privacy)
    stripped = records_of(members, columns=columns, own=own, privacy={"strip_query": ["evt_tags_strs"]})
    assert ['["/a"]'] * 3 == [record["tags"] for record in stripped]


def test_a_column_that_is_named_stays_though_other_variables_are_left_out() -> None:
    """Somebody who wants one variable alone could not have it."""
    own = {"user_plan_str": "plan"}

    found = records_of(
        '"user_plan_str":"pro","user_b":1', columns=(*ALL, "plan"), own=own, privacy={"custom_vars_exclude": ["user_*"]}
    )

    assert [{"plan": "pro"}] * 3 == found


@pytest.mark.parametrize(
    "pattern, names, others",
    [
        ("user_*", ["user_", "user_a", "user_a\nb"], ["User_a", "auser_a"]),
        ("evt_?", ["evt_a", "evt_\n"], ["evt_", "evt_ab"]),
        ("evt_[ab]", ["evt_a", "evt_[ab]"], ["evt_c"]),
        ("[!u]*", ["evt"], ["user"]),
        ("a.b", ["a.b"], ["aXb"]),
        ("*", ["", "a"], []),
    ],
)
def test_patterns_are_those_of_shells(pattern: str, names: list[str], others: list[str]) -> None:
    """A variable would slip through."""
    patterns = Patterns([pattern, "zzz"])

    assert all(map(patterns.match, names)) and not any(map(patterns.match, others))
    assert bool(patterns) and not Patterns([])
    assert not Patterns([]).match("", "a")


def test_patterns_pass_over_what_orders_the_stream() -> None:
    """A pattern such as `Event*` would end every run, or take the time away from events."""
    privacy = privacy_of(hash_columns=["*"], hash_key=KEY)

    assert not privacy.hashes(BY_NAME["EventStart"])
    assert all(privacy.hashes(one) for one in FIELDS if one.name != "EventStart")


def test_nothing_is_done_when_nothing_is_asked_for() -> None:
    """Every run would be slower for settings that it does not use."""
    assert not (OPEN.selects or OPEN.treats)
    assert not any(OPEN.of_column(one) for one in FIELDS)
    assert OPEN.of_column(custom_field("a_strs", "a")).write_out
    assert Kind.JSON is custom_field("a_strs", "a").kind


@pytest.mark.parametrize(
    "value, text",
    [
        ("é", "é"),
        (5, "5"),
        (2.0, "2"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (2.0**63, "9.223372036854776e+18"),
        (True, "true"),
        ([2.0, "é", None], '[2,"é",null]'),
        ({"b": [], "a": {"d": 1.0, "c": None}}, '{"a":{"c":null,"d":1},"b":[]}'),
    ],
)
def test_the_text_that_is_hashed_is_as_documented(value: Any, text: str) -> None:
    """Somebody who computes the hash of a known value elsewhere would not find it."""
    assert text == canonical_text(value)
