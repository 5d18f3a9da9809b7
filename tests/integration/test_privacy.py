"""What may leave the tap: types of events, variables, hashes, URLs."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.account import STREAMS
from tests.integration.hidden import DEBUG, assert_hidden, spellings
from tests.integration.tap import DAY, FIRST, Json, Run, Tap, bookmark, bundle, event, rfc

pytestmark = pytest.mark.only_source("data_export")

HASH_KEY = "pepper+1/%é"
# Words that stand in values that have to be hashed, left out or cut, and nowhere else.
WORDS = "Jane doe@example q7ksecret tok3n-abc Nairobi 555-0199".split()
ID = 8231507746013
PRIVATE: dict[str, Any] = {
    "hash_columns": ["UserEmail", "UserDisplayName", "IndvId", "PageAgent", "user_*", "evt_mail_str"],
    "hash_key": HASH_KEY,
    "strip_query": ["*Url", "evt_link_str"],
    "custom_vars_exclude": ["page_*", "evt_note*", "App*"],
    "exclude_event_types": ["change"],
    "custom_columns": ["user_city_str", {"name": "evt_mail_str", "column": "mail"}, "user_tags_strs"],
}


def hashed(text: str) -> str:
    """The hash of a value, worked out here."""
    return hmac.new(HASH_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def everywhere(word: str, number: int) -> Json:
    """An event that holds a word wherever it must not be seen, in values that fit."""
    return event(
        number,
        FIRST + 60 * number,
        UserEmail=f"{word}@example.com",
        UserDisplayName=word,
        IndvId=ID,
        PageUserAgent=f"Agent {word}",
        user_city_str=word,
        user_tags_strs=[word, 5],
        user_else=f"{word} {word}",
        evt_mail_str=word,
        PageUrl=f"https://shop.example/a?q={word}",
        PageRefererUrl=f"https://shop.example/a#{word}",
        evt_link_str=f"https://shop.example/b?q={word}",
        page_note_str=word,
        evt_note=[word],
    )


def misfits(word: str, number: int) -> list[Json]:
    """Events with that word in values that do not fit, or that cannot be read the usual way."""
    usual = everywhere(word, number)
    return [
        {
            **usual,
            "UserEmail": [word],
            "IndvId": f"x{ID}",
            "PageUrl": {"a": f"/u?{word}"},
            "PageAgent": f"other {word}",
        },
        {**usual, "user_city_str": {word: word}, "evt_mail_str": True, "UserDisplayName": {"n": [word]}},
        {**usual, "UserEmail": f"\0{word}", "user_else": f"{word}\0", "evt_note": f"\0{word}", "AppName": [word]},
        {**usual, "PageUrl": f"/\0u?{word}\n{word}", "user_else": [[[[[word]]]]], "page_note_str": f"\ud800{word}"},
        {**usual, "UserDisplayName": f"{word}\ud800", "IndvId": float(f"{ID}.5"), 'user_"': word, "evt_note_n": 2**70},
        {**usual, "EventType": "change", "EventTargetText": word},
        {**usual, "EventType": "change", "EventTargetText": f"{word}\0"},
    ]


def test_nothing_that_has_to_be_hidden_is_in_any_output(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody promised that no e-mail address leaves Fullstory, and some odd event would break that promise."""
    bundles = []
    for day, word in enumerate(WORDS):
        events = [*misfits(word, 2), *(everywhere(word, number) for number in range(60)), *misfits(word, 3)]
        if day == 1:
            events = events[7:67]  # all of them usual
        bundles.append(Bundle(FIRST + day * DAY, FIRST + (day + 1) * DAY, events))
    emulator.bundles = bundles
    old = json.loads(run_tap.bare(["--discover"]).stdout)
    of_now = json.loads(run_tap.bare(["--discover", "--config", run_tap.file("c.json", PRIVATE)]).stdout)
    for entry in of_now["streams"]:
        entry["metadata"][0]["metadata"]["selected"] = entry["stream"] in STREAMS

    runs = run_tap.all(
        {
            "settings": {**PRIVATE, "start_date": "2023-11-01", "checkpoint_records": 20, **more},
            "env": DEBUG,
            "catalog": one,
        }
        for one, more in (
            (None, {}),
            (None, {"event_key": True, "reread_hours": 1000000}),
            (of_now, {"event_key": True}),
            (old, {}),
            (of_now, {"custom_vars": "drop"}),
            (of_now, {"end_date": "2023-11-16T00:02:30Z"}),
        )
    )

    plain = run_tap().stdout.decode()
    assert all(word in plain for word in (*WORDS, str(ID))), "there would be nothing to hide"
    for run in runs:
        assert 0 == run.status, run.stderr
        assert len(run.records()) > 60
        assert_hidden(run, secrets=(HASH_KEY,))
        everything = run.stdout.decode() + run.stderr
        for word in WORDS:
            for spelling in spellings(word):
                assert spelling not in everything, spelling
        assert str(ID) not in everything
    usual = runs[0].records()[12]
    assert hashed("Jane@example.com") == usual["UserEmail"]
    assert (hashed(str(ID)), hashed("Agent Jane"), hashed("Jane")) == (
        usual["IndvId"],
        usual["PageAgent"],
        usual["mail"],
    )
    assert hashed('["Jane",5]') == usual["user_tags_strs"]
    assert ("https://shop.example/a", "https://shop.example/a") == (usual["PageUrl"], usual["PageRefererUrl"])
    assert {"user_else": hashed("Jane Jane"), "evt_link_str": "https://shop.example/b"} == json.loads(
        usual["CustomVars"]
    )
    summary = runs[0].last_line
    assert f"{2 * 2 * (len(WORDS) - 1)} events left out for their type" in summary
    for clue in ("hash_columns", "strip_query", "custom_vars_exclude"):
        assert 1 == sum(clue in line for line in runs[0].said), clue


def test_hashed_columns_are_texts_in_schema_and_catalog(run_tap: Tap, emulator: Emulator) -> None:
    """A target would refuse a hash in a column for numbers."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(1, IndvId=ID, PageStart=rfc(FIRST), n_int=5, on_bool=True)])]
    settings = {
        "hash_columns": ["IndvId", "PageStart", "n_int", "on_bool", "UserEmail"],
        "hash_key": HASH_KEY,
        "custom_columns": ["n_int", "on_bool"],
    }
    discovered = run_tap.bare(["--discover", "--config", run_tap.file("c.json", settings)])

    run = run_tap(settings=settings)
    old = run_tap(settings=settings, catalog=json.loads(run_tap.bare(["--discover"]).stdout))

    properties = run.schema()["schema"]["properties"]
    assert properties == json.loads(discovered.stdout)["streams"][0]["schema"]["properties"]
    for name in settings["hash_columns"]:
        assert {"type", "description"} == set(properties[name]) and ["null", "string"] == properties[name]["type"]
    assert "integer" in properties["UserId"]["type"]
    (record,) = run.records()
    assert [hashed(text) for text in (str(ID), rfc(FIRST), "5", "true")] == [
        record[name] for name in ("IndvId", "PageStart", "n_int", "on_bool")
    ]
    assert "UserEmail" not in record
    assert any("IndvId" in line and "own types" in line for line in old.said)
    assert {"n_int": hashed("5"), "on_bool": hashed("true")} == old.custom()


def test_the_same_value_has_the_same_hash_and_another_key_another(run_tap: Tap, emulator: Emulator) -> None:
    """Nobody could join by a hash, or everybody could, across accounts that must not be joined."""
    emulator.bundles = [
        Bundle(
            FIRST,
            FIRST + DAY,
            [
                event(1, UserEmail="a@b.c", user_mail_str="a@b.c"),
                event(2, UserEmail="a@b.c", evt_odd="\0"),
                event(3, UserEmail=None),
                event(4),
            ],
        )
    ]
    names = {"hash_columns": ["UserEmail", "user_*"]}

    first, second = run_tap.all({"settings": {**names, "hash_key": key}} for key in (HASH_KEY, "other"))

    assert [hashed("a@b.c"), hashed("a@b.c"), None, None] == [record.get("UserEmail") for record in first.records()]
    assert "UserEmail" in first.records()[2] and "UserEmail" not in first.records()[3]
    assert {"user_mail_str": hashed("a@b.c")} == first.custom()
    assert second.records()[0]["UserEmail"] not in (hashed("a@b.c"), "a@b.c")


def types(run: Run) -> list[Any]:
    """The type of each record."""
    return [record.get("EventType") for record in run.records()]


def typed_bundle(day: int = 0) -> Bundle:
    """A bundle with events of several types, and of none."""
    start = FIRST + day * DAY
    kinds: list[Any] = ["click", "load", "change", "CLICK", "", None]
    events = [event(number, start + 60 * number, EventType=kind) for number, kind in enumerate(kinds)]
    del events[5]["EventType"]
    return Bundle(start, start + DAY, [*events, event(6, start + 600, EventType=None)])


def test_types_of_events_are_chosen(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody would pay for storing a million mouse movements, or miss events that have no type."""
    emulator.bundles = [typed_bundle(), typed_bundle(1)]

    only, others, nothing = run_tap.all(
        {"settings": one}
        for one in ({"event_types": ["click", "load"]}, {"exclude_event_types": ["click", ""]}, {"event_types": ["x"]})
    )

    assert ["click", "load"] * 2 == types(only)
    assert ["load", "change", "CLICK", None, None] * 2 == types(others)
    assert [] == types(nothing)
    for run, left_out in ((only, 10), (others, 4), (nothing, 14)):
        assert 0 == run.status
        assert f" {left_out} events left out for their type" in run.last_line
        assert "2023-11-17T00:00:00Z" == run.bookmark["until"]
    assert types(run_tap(settings={"event_types": ["click", "load"]}, state=only.states[-1])) == []


@pytest.mark.long
def test_a_run_goes_on_from_any_state_with_the_events_that_are_chosen(run_tap: Tap, emulator: Emulator) -> None:
    """Events that are left out would shift the place at which the next run goes on."""
    emulator.bundles = [
        Bundle(
            FIRST,
            FIRST + DAY,
            [event(number, FIRST + number, EventType="click" if number % 3 else "load") for number in range(50)],
        ),
        bundle(1),
    ]
    settings = {"event_types": ["click"], "checkpoint_records": 7}

    run = run_tap(settings=settings)

    assert [*(number for number in range(50) if number % 3), 100, 101, 102] == run.numbers()
    for position, state in zip(run.state_positions(), run.states, strict=True):
        again = run_tap(settings=settings, state=state)
        assert [record["UserId"] for record in run.after(position)] == again.numbers()


def test_the_log_of_bundles_counts_what_is_in_the_warehouse(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever compares the warehouse with the log would look for events that were left out on purpose."""
    emulator.bundles = [typed_bundle(), typed_bundle(1)]
    catalog = json.loads(run_tap.bare(["--discover"]).stdout)
    alone = json.loads(json.dumps(catalog))
    for one in (catalog, alone):
        one["streams"][1]["metadata"][0]["metadata"]["selected"] = True
    alone["streams"][0]["metadata"][0]["metadata"]["selected"] = False
    settings = {"event_types": ["click", "load"], "start_date": rfc(FIRST + 60)}

    both, log = run_tap.all({"settings": settings, "catalog": one} for one in (catalog, alone))

    assert ["load", "click", "load"] == types(both)
    assert [1, 2] == [record["events"] for record in both.records("bundles")]
    assert [1, 2] == [record["events"] for record in log.records("bundles")]


def test_a_bundle_that_is_read_again_is_compared_as_it_is_written(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle would be written again each time because of events that are left out."""
    later = [*typed_bundle().read_events(), event(9, EventType="change")]
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [*typed_bundle().read_events()], versions=[later])]
    settings = {"event_types": ["click"], "event_key": True, "reread_hours": 1000000, "start_date": rfc(FIRST)}
    first = run_tap(settings=settings)

    second = run_tap(settings=settings, state=first.states[-1])

    assert (["click"], []) == (types(first), types(second))
    assert "1 bundle read again, 0 of them written again" in second.last_line


def test_custom_vars_can_be_left_out(run_tap: Tap, emulator: Emulator) -> None:
    """A column that nobody asked for would be there, or what is lost with it would not be counted."""
    emulator.bundles = [
        Bundle(
            FIRST,
            FIRST + DAY,
            [event(1, user_plan_str="pro", evt_a=1, PageUrl=["u"], New=1), event(2, user_plan_str=5)],
        )
    ]
    settings = {"custom_vars": "drop", "custom_columns": ["user_plan_str"]}
    discovered = json.loads(run_tap.bare(["--discover", "--config", run_tap.file("c.json", settings)]).stdout)

    run = run_tap(settings=settings)
    old = run_tap(settings=settings, catalog=json.loads(run_tap.bare(["--discover"]).stdout))

    assert (0, 0) == (run.status, old.status)
    assert run.schema()["schema"]["properties"] == discovered["streams"][0]["schema"]["properties"]
    assert "CustomVars" not in run.schema()["schema"]["properties"] | old.schema()["schema"]["properties"]
    assert ["pro", "5"] == [record["user_plan_str"] for record in run.records()]
    assert all("CustomVars" not in record for record in (*run.records(), *old.records()))
    (line,) = [line for line in run.said if "dropped" in line]
    assert all(clue in line for clue in ("evt_a (1)", "PageUrl (1)", "New (1)"))
    assert "user_plan_str (2)" in next(line for line in old.said if "dropped" in line)


@pytest.mark.parametrize("key", [True, False])
def test_settings_of_one_kind_do_not_disturb_another(run_tap: Tap, emulator: Emulator, key: bool) -> None:
    """A hash would be made of another value because a URL is cut, or an event be filtered by its hash."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(1, PageUrl="/a?b", user_a=1), event(2, EventType="load")])]
    settings = {
        "event_key": key,
        "event_types": ["click"],
        "hash_columns": ["EventType", "PageUrl"],
        "hash_key": HASH_KEY,
        "strip_query": ["PageUrl"],
        "custom_vars_exclude": ["user_*"],
    }

    run = run_tap(settings=settings)
    plain = run_tap(settings={"event_key": key})

    (record,) = run.records()
    assert (hashed("click"), hashed("/a")) == (record["EventType"], record["PageUrl"])
    assert "CustomVars" not in record
    assert plain.records()[0].get("event_id") == record.get("event_id")
    assert key == ("event_id" in record)


def test_the_state_does_not_hold_what_is_hidden(run_tap: Tap, emulator: Emulator) -> None:
    """A value would come to light in the state, which many can read."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [everywhere("Jane", number) for number in range(30)])]
    settings = {**PRIVATE, "checkpoint_records": 7, "event_key": True, "reread_hours": 1000000}

    run = run_tap(settings=settings, state=bookmark(FIRST, FIRST))

    assert 0 == run.status and len(run.states) > 3
    assert "Jane" not in json.dumps(run.states) and HASH_KEY not in json.dumps(run.states, ensure_ascii=False)
