"""What becomes of the values of an event."""

import json
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, sample_bundles
from tests.integration.expected import expected_records, found_record, frozen
from tests.integration.tap import DAY, FIRST, Tap, bundle, rfc

pytestmark = pytest.mark.only_source("data_export")

START = rfc(FIRST + 60)
Json = dict[str, Any]


def raw_bundle(*events: str) -> Bundle:
    """The first bundle with exactly these JSON texts as its events."""
    return Bundle(FIRST, FIRST + DAY, raw=("[" + ",\n".join(events) + "]\n").encode())


def own(record: Json) -> Json:
    """A record without what every record here has."""
    return {name: value for name, value in record.items() if name not in ("EventStart", "_bundle_id")}


def with_start(members: str) -> str:
    """The JSON text of an event with these members."""
    return '{"EventStart":"%s"%s}' % (START, "," + members if members else "")


@pytest.mark.parametrize("encoding", ["file", "plain"])
def test_every_sample_event_arrives_as_it_is(run_tap: Tap, emulator: Emulator, encoding: Any) -> None:
    """Real events would be missing, doubled or changed in the warehouse."""
    emulator.bundles = sample_bundles()
    emulator.encoding = encoding

    run = run_tap(settings={"start_date": "2020-01-01", "checkpoint_records": 50})

    assert 0 == run.status
    assert 144 == len(run.records())
    assert frozen(expected_records(emulator.bundles)) == frozen(found_record(one) for one in run.records())
    assert [one["EventStart"] for one in emulator.events()] == [one["EventStart"] for one in run.records()]


def test_every_generated_event_arrives_as_it_is(run_tap: Tap) -> None:
    """Ids above 2**53, dirty texts and custom variables of all kinds would be changed on their way."""
    with Emulator.generated(days=2, events_per_bundle=600, now=FIRST + 10 * DAY) as emulator:
        run_tap.emulator = emulator
        run = run_tap(settings={"checkpoint_records": 100})
        listed = emulator.listed()

    assert 0 == run.status
    assert sum(1 for one in listed for _ in one.read_events()) == len(run.records()) > 1000
    assert frozen(expected_records(listed)) == frozen(found_record(one) for one in run.records())


# text of the members of an event -> what the record holds besides EventStart and _bundle_id
VALUES: list[tuple[str, Json]] = [
    ("", {}),
    ('"PageUrl":null,"UserId":null,"EventCumulativeLayoutShift":null,"PageStart":null',
     {"PageUrl": None, "UserId": None, "EventCumulativeLayoutShift": None, "PageStart": None}),
    ('"UserId":9223372036854775807,"SessionId":-9223372036854775808,"PageId":9007199254740993',
     {"UserId": 2**63 - 1, "SessionId": -(2**63), "PageId": 2**53 + 1}),
    ('"UserId":0,"PageDuration":-1,"PageUrl":""', {"UserId": 0, "PageDuration": -1, "PageUrl": ""}),
    # text -> integer, where it is canonical
    ('"UserId":"9223372036854775807","PageDuration":"-5","PageNumInfos":"0"',
     {"UserId": 2**63 - 1, "PageDuration": -5, "PageNumInfos": 0}),
    ('"UserId":"007"', {"CustomVars": {"UserId": "007"}}),
    ('"UserId":"+7"', {"CustomVars": {"UserId": "+7"}}),
    ('"UserId":" 7"', {"CustomVars": {"UserId": " 7"}}),
    ('"UserId":"7\\n"', {"CustomVars": {"UserId": "7\n"}}),
    ('"UserId":"1_000"', {"CustomVars": {"UserId": "1_000"}}),
    ('"UserId":"-0"', {"CustomVars": {"UserId": "-0"}}),
    ('"UserId":"7.0"', {"CustomVars": {"UserId": "7.0"}}),
    ('"UserId":"1e3"', {"CustomVars": {"UserId": "1e3"}}),
    ('"UserId":"\\u0667"', {"CustomVars": {"UserId": "\u0667"}}),  # a digit, but not of ours
    ('"UserId":"9223372036854775808"', {"CustomVars": {"UserId": "9223372036854775808"}}),
    ('"UserId":""', {"CustomVars": {"UserId": ""}}),
    # number -> integer, where nothing is lost
    ('"PageDuration":2.0,"UserId":-3.000', {"PageDuration": 2, "UserId": -3}),
    ('"PageDuration":2.5', {"CustomVars": {"PageDuration": 2.5}}),
    ('"PageDuration":9223372036854775809', {"CustomVars": {"PageDuration": "9223372036854775809"}}),
    ('"PageDuration":-9223372036854775809', {"CustomVars": {"PageDuration": "-9223372036854775809"}}),
    ('"PageDuration":1e400', {"CustomVars": {"PageDuration": "1e400"}}),
    ('"PageDuration":true', {"CustomVars": {"PageDuration": True}}),
    ('"PageDuration":[1]', {"CustomVars": {"PageDuration": [1]}}),
    ('"PageDuration":{"a":1}', {"CustomVars": {"PageDuration": {"a": 1}}}),
    # numbers
    ('"EventCumulativeLayoutShift":0.1', {"EventCumulativeLayoutShift": 0.1}),
    ('"EventCumulativeLayoutShift":1E-7', {"EventCumulativeLayoutShift": 1e-7}),
    ('"EventCumulativeLayoutShift":4.35', {"EventCumulativeLayoutShift": 4.35}),
    ('"EventCumulativeLayoutShift":0.30000000000000004', {"EventCumulativeLayoutShift": 0.30000000000000004}),
    ('"EventCumulativeLayoutShift":"0.1"', {"CustomVars": {"EventCumulativeLayoutShift": "0.1"}}),
    ('"EventCumulativeLayoutShift":1e400', {"CustomVars": {"EventCumulativeLayoutShift": "1e400"}}),
    ('"EventCumulativeLayoutShift":false', {"CustomVars": {"EventCumulativeLayoutShift": False}}),
    # number -> text as it is written
    ('"PageUrl":5,"PageIp":1.50,"UserAppKey":1E5,"UserEmail":12345678901234567890123',
     {"PageUrl": "5", "PageIp": "1.50", "UserAppKey": "1E5", "UserEmail": "12345678901234567890123"}),
    ('"PageUrl":-0.0,"PageIp":1e400', {"PageUrl": "-0.0", "PageIp": "1e400"}),
    ('"PageUrl":true,"PageIp":["a"],"UserEmail":{}',
     {"CustomVars": {"PageUrl": True, "PageIp": ["a"], "UserEmail": {}}}),
    # texts
    ('"PageUrl":"a\\u0000b","UserEmail":"\\ud800x\\udc00","PageIp":"\\ud83d\\ude00"',
     {"PageUrl": "a\ufffdb", "UserEmail": "\ufffdx\ufffd", "PageIp": "\U0001f600"}),
    ('"EventTargetText":"l1\\r\\nl2\\t\\u2028\\u007f\\u001f \\\\u0000 é"',
     {"EventTargetText": "l1\r\nl2\t\u2028\x7f\x1f \\u0000 é"}),
    ('"EventTargetText":"},\\n{\\"EventType\\":\\"no\\"},{]}"', {"EventTargetText": '},\n{"EventType":"no"},{]}'}),
    # times
    ('"PageStart":"2023-11-15T01:00:00+02:00"', {"PageStart": "2023-11-14T23:00:00Z"}),
    ('"PageStart":"2023-12-31T23:30:00.5-01:00"', {"PageStart": "2024-01-01T00:30:00.5Z"}),
    ('"PageStart":"2023-11-15T01:00:00"', {"PageStart": "2023-11-15T01:00:00Z"}),
    ('"PageStart":"2023-11-15T01:00:00.123456789Z"', {"PageStart": "2023-11-15T01:00:00.123456789Z"}),
    ('"PageStart":"2023-11-15T01:00:00.123456789+05:30"', {"PageStart": "2023-11-14T19:30:00.123456789Z"}),
    ('"PageStart":"2023-11-15t01:00:00.100z"', {"PageStart": "2023-11-15T01:00:00.100Z"}),
    ('"PageStart":"2023-11-15T01:00:00-00:00"', {"PageStart": "2023-11-15T01:00:00Z"}),
    ('"PageStart":"2024-02-29T23:59:59Z"', {"PageStart": "2024-02-29T23:59:59Z"}),
    ('"PageStart":"2023-02-29T00:00:00Z"', {"CustomVars": {"PageStart": "2023-02-29T00:00:00Z"}}),
    ('"PageStart":"2023-11-15T25:00:00Z"', {"CustomVars": {"PageStart": "2023-11-15T25:00:00Z"}}),
    ('"PageStart":"2023-11-15T01:00:00Z "', {"CustomVars": {"PageStart": "2023-11-15T01:00:00Z "}}),
    ('"PageStart":"2023-11-15T01:00:00Z\\n"', {"CustomVars": {"PageStart": "2023-11-15T01:00:00Z\n"}}),
    ('"PageStart":"0001-01-01T00:00:00+01:00"', {"CustomVars": {"PageStart": "0001-01-01T00:00:00+01:00"}}),
    ('"PageStart":"9999-12-31T23:59:59-01:00"', {"CustomVars": {"PageStart": "9999-12-31T23:59:59-01:00"}}),
    ('"PageStart":"2023-11-15T01:00:00+24:00"', {"CustomVars": {"PageStart": "2023-11-15T01:00:00+24:00"}}),
    ('"PageStart":"2023-11-15T01:00:00.Z"', {"CustomVars": {"PageStart": "2023-11-15T01:00:00.Z"}}),
    ('"PageStart":"٢٠٢٣-11-15T01:00:00Z"', {"CustomVars": {"PageStart": "٢٠٢٣-11-15T01:00:00Z"}}),
    ('"PageStart":"soon","UserCreated":""', {"CustomVars": {"PageStart": "soon", "UserCreated": ""}}),
    ('"PageStart":1700006400', {"CustomVars": {"PageStart": 1700006400}}),
    # two names of one column
    ('"PageAgent":"a"', {"PageAgent": "a"}),
    ('"PageUserAgent":"b"', {"PageAgent": "b"}),
    ('"PageAgent":"a","PageUserAgent":"a"', {"PageAgent": "a"}),
    ('"PageAgent":"a","PageUserAgent":"b"', {"PageAgent": "b", "CustomVars": {"PageAgent": "a"}}),
    ('"PageUserAgent":"b","PageAgent":"a"', {"PageAgent": "b", "CustomVars": {"PageAgent": "a"}}),
    ('"EventTargetSelectorTok":"t","EventTargetSelector":"s"',
     {"EventTargetSelectorTok": "t", "EventTargetSelector": "s"}),
    # what is no column
    ('"evt_order.total_real":1.5,"evt_order.order_id_str":"o","user_x_strs":["a",null],"acct_bool":true',
     {"CustomVars": {"evt_order.total_real": 1.5, "evt_order.order_id_str": "o", "user_x_strs": ["a", None],
                     "acct_bool": True}}),
    ('"evt_x":{"a":{"b":[{"c":9007199254740993}]}},"evt_n":null,"evt_e":{}',
     {"CustomVars": {"evt_x": {"a": {"b": [{"c": 2**53 + 1}]}}, "evt_n": None, "evt_e": {}}}),
    ('"evt_i":9223372036854775807,"evt_f":0.1,"evt_g":1e300,"evt_h":-9223372036854775808',
     {"CustomVars": {"evt_i": 2**63 - 1, "evt_f": 0.1, "evt_g": 1e300, "evt_h": -(2**63)}}),
    ('"evt_i":12345678901234567890,"evt_j":1180591620717411303425,"evt_k":1e400,"evt_l":-1e999',
     {"CustomVars": {"evt_i": "12345678901234567890", "evt_j": "1180591620717411303425", "evt_k": "1e400",
                     "evt_l": "-1e999"}}),
    ('"evt_i":[1180591620717411303425,1],"evt_k":{"a":1e400}',
     {"CustomVars": {"evt_i": ["1180591620717411303425", 1], "evt_k": {"a": "1e400"}}}),
    ('"evt_s":"a\\u0000b\\ud800","evt_o":{"k":"\\udfff"}',
     {"CustomVars": {"evt_s": "a\ufffdb\ufffd", "evt_o": {"k": "\ufffd"}}}),
    ('"evt_\\u0000":1,"":2', {"CustomVars": {"evt_\ufffd": 1, "": 2}}),
    ('"pageurl":"u","USERID":1', {"CustomVars": {"pageurl": "u", "USERID": 1}}),
    ('"_bundle_id":7,"event_id":"e","CustomVars":"text","UserId":1',
     {"UserId": 1, "CustomVars": {"_bundle_id": 7, "event_id": "e", "CustomVars": "text"}}),
    ('"type":"STATE","value":{"bookmarks":{}},"stream":"x","record":{}',
     {"CustomVars": {"type": "STATE", "value": {"bookmarks": {}}, "stream": "x", "record": {}}}),
    # members twice: the last one counts, as most readers of JSON have it
    ('"UserId":1,"UserId":2,"evt_x":1,"evt_x":"b"', {"UserId": 2, "CustomVars": {"evt_x": "b"}}),
    ('"UserId":"no","UserId":3', {"UserId": 3}),
    ('"evt_x":{"a":1,"a":2}', {"CustomVars": {"evt_x": {"a": 2}}}),
]  # fmt: skip


def typed(value: Any) -> str:
    """A value as text that tells 1 from 1.0 and true."""
    return json.dumps(value, sort_keys=True)


def test_values_arrive_as_the_contract_says(run_tap: Tap, emulator: Emulator) -> None:
    """Values would be lost, changed or invented on their way into the warehouse."""
    emulator.bundles = [raw_bundle(*(with_start(members) for members, _ in VALUES))]

    run = run_tap()
    keyed = run_tap(settings={"event_key": True})

    assert 0 == run.status
    assert len(VALUES) == len(run.records()) == len(keyed.records())
    wrong = []
    for index, (members, expected) in enumerate(VALUES):
        record = own(run.records()[index])
        if "CustomVars" in record:
            record["CustomVars"] = run.custom(index)
        if typed(expected) != typed(record):
            wrong.append((members, expected, record))
    assert [] == wrong
    for with_key, record in zip(keyed.records(), run.records(), strict=True):
        assert record == {name: value for name, value in with_key.items() if name != "event_id"}


def test_each_value_alone_is_treated_as_among_others(run_tap: Tap, emulator: Emulator) -> None:
    """A value would be changed only where an odd neighbour makes the tap look closer."""
    some = [0, 3, 8, 17, 27, 33, 37, 38, 59, 62, 69, 75]
    chosen = [VALUES[index] for index in some if index < len(VALUES)]
    emulator.bundles = [
        Bundle(FIRST + day * DAY, FIRST + (day + 1) * DAY, raw=f"[{with_start(members)}]".encode())
        for day, (members, _) in enumerate(chosen)
    ]

    run = run_tap()

    assert 0 == run.status
    for index, (members, expected) in enumerate(chosen):
        record = own(run.records()[index])
        if "CustomVars" in record:
            record["CustomVars"] = run.custom(index)
        assert typed(expected) == typed(record), members


def test_numbers_just_beyond_a_double_do_not_lose_digits(run_tap: Tap, emulator: Emulator) -> None:
    """Ids written with a fraction would be replaced by a neighbour."""
    emulator.bundles = [
        raw_bundle(
            with_start('"UserId":9007199254740993.0'),
            with_start('"PageDuration":1e3'),
            with_start('"EventCumulativeLayoutShift":9007199254740993'),
            with_start('"EventCumulativeLayoutShift":1180591620717411303425'),
        )
    ]

    run = run_tap()

    first, second, third, fourth = run.records()
    assert 2**53 + 1 == first.get("UserId", 2**53 + 1)
    assert 1000 == second.get("PageDuration", 1000)
    assert 2**53 + 1 == third["EventCumulativeLayoutShift"]
    assert (
        "EventCumulativeLayoutShift" in fourth
        or "1180591620717411303425" == run.custom(3)["EventCumulativeLayoutShift"]
    )


def test_unreadable_event_start_is_neither_lost_nor_filtered(run_tap: Tap, emulator: Emulator) -> None:
    """Events would vanish because of a time that nobody can read."""
    emulator.bundles = [
        raw_bundle(
            '{"UserId":1}',
            '{"UserId":2,"EventStart":null}',
            '{"UserId":3,"EventStart":"soon"}',
            '{"UserId":4,"EventStart":5}',
            '{"UserId":5,"EventStart":"2023-11-15T01:00:00Z"}',
            '{"UserId":6,"EventStart":"2023-11-15T14:00:00+02:00"}',
        )
    ]

    run, cut = run_tap.all(
        [{}, {"settings": {"start_date": "2023-11-15T12:00:00Z", "end_date": "2023-11-15T13:00:00Z"}}]
    )

    assert (0, [1, 2, 3, 4, 5, 6]) == (run.status, run.numbers())
    assert (0, [1, 2, 3, 4, 6]) == (cut.status, cut.numbers())
    first, second, third, fourth, _, sixth = run.records()
    assert {"UserId", "_bundle_id"} == set(first)
    assert second["EventStart"] is None
    assert "EventStart" not in third and {"EventStart": "soon"} == run.custom(2)
    assert "EventStart" not in fourth and {"EventStart": 5} == run.custom(3)
    assert "2023-11-15T12:00:00Z" == sixth["EventStart"]


def test_changes_are_reported_once_for_each_field(run_tap: Tap, emulator: Emulator) -> None:
    """Nobody would learn of a changed field, or the log would hold a line for each of a million events."""
    emulator.bundles = [
        raw_bundle(
            *(
                with_start(f'"UserId":{i},"PageDuration":"no","SessionId":"{i}","PageUrl":"\\u0000","evt_new_str":"a"')
                for i in range(250)
            )
        ),
        bundle(1),
    ]

    run = run_tap(settings={"checkpoint_records": 20})

    assert (0, 253) == (run.status, len(run.records()))
    for field in ("PageDuration", "SessionId", "PageUrl", "evt_new_str"):
        lines = [line for line in run.said if field in line]
        assert 1 == len(lines), field
        assert "250" in lines[0]
    assert len(run.said) < 10
    assert "253" in run.last_line


def test_each_record_says_where_and_when_it_came_from(run_tap: Tap, emulator: Emulator) -> None:
    """A repair could not delete the records of one bundle, and loads could not be ordered."""
    emulator.bundles = [bundle(0), bundle(1, id=4242424242424242), bundle(2)]
    run = run_tap()

    ids = [one.id for one in emulator.bundles for _ in range(3)]
    assert ids == [record["_bundle_id"] for record in run.records()]
    # without the Z: 1.11Z sorts behind 1.113Z
    times = [message["time_extracted"].rstrip("Z") for message in run.messages if message["type"] == "RECORD"]
    assert 3 == len({*times})
    assert sorted(times) == times
    assert all(time[:10] >= "2024" for time in times)


@pytest.mark.parametrize("count", [0, 1, 21])
def test_spacing_of_a_bundle_does_not_matter(run_tap: Tap, emulator: Emulator, count: int) -> None:
    """A bundle that is indented, or without line breaks, would not be read."""
    plain = bundle(0, count)
    events = list(plain.read_events())
    texts = [
        json.dumps(events),
        json.dumps(events, separators=(",", ":")),
        "\n\n " + json.dumps(events, indent=2) + " \r\n\t",
        json.dumps([{**one, "evt_deep": {"a": [{}, {"b": "},{"}]}} for one in events], indent=1),
    ]
    emulator.bundles = [
        Bundle(FIRST + day * DAY, FIRST + (day + 1) * DAY, raw=text.encode()) for day, text in enumerate(texts)
    ]

    run = run_tap(settings={"checkpoint_records": 4})

    assert (0, [one["UserId"] for one in events] * 4) == (run.status, run.numbers())


def test_events_larger_than_any_buffer_arrive(run_tap: Tap, emulator: Emulator) -> None:
    """One huge value would end the run, or be cut."""
    texts = ["},\n{" * 400_000, "é" * 700_000, '\U0001f600\\"' * 100_000]
    emulator.bundles = [
        Bundle(FIRST, FIRST + DAY, [{"EventStart": START, "UserId": i, "PageUrl": t} for i, t in enumerate(texts)])
    ]

    run = run_tap(settings={"checkpoint_records": 1})

    assert (0, [0, 1, 2]) == (run.status, run.numbers())
    assert texts == [record["PageUrl"] for record in run.records()]


def test_deeply_nested_values_do_not_end_the_run_as_a_bug(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody who can send events to the account could stop all replication with a traceback."""
    emulator.bundles = [bundle(0), nested(90_000)]

    run = run_tap()

    assert run.status in (0, 65)
    assert [0, 1, 2] == run.numbers()[:3]
    assert 0 == run.status or "skip_bundles" in run.last_line


def nested(depth: int) -> Bundle:
    """The second bundle, with one value nested that deep."""
    text = with_start('"x":' + "[" * depth + "]" * depth)
    return Bundle(FIRST + DAY, FIRST + 2 * DAY, raw=f"[{text}]".encode())
