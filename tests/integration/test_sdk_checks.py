"""The checks of `singer_sdk.testing`, put to the command line: the tap is no SDK tap, and its users expect no less.

API: https://sdk.meltano.com/en/latest/testing.html. Each test names the check that it restates.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft4Validator

from fullstory_emulator import Course, Emulator, sample_events
from tests.integration.account import OTHERS, STREAMS, Account, of_stream
from tests.integration.tap import Json

DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

both_streams = pytest.mark.parametrize("stream", STREAMS)


@pytest.fixture(
    scope="module", params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["append-only", "event_key"]
)
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One run for all checks."""
    with Emulator() as emulator:
        yield Account(tmp_path_factory.mktemp("account"), emulator, event_key=request.param)


def values(account: Account, stream: str, fits: Callable[[Json], bool]) -> dict[str, list[Any]]:
    """All values of the columns whose schema is of that kind, null aside."""
    columns = [name for name, schema in account.run.schema(stream)["schema"]["properties"].items() if fits(schema)]
    records = account.run.records(stream)
    return {name: [one[name] for one in records if one.get(name) is not None] for name in columns}


def of_type(kind: str) -> Callable[[Json], bool]:
    """Whether a schema says this type."""
    return lambda schema: kind in schema["type"] and "format" not in schema


# --- the tap ---


@pytest.mark.proves("capabilities", "about")
def test_cli_prints(account: Account) -> None:
    """TapCLIPrintsTest: who installs the tap could not see what it is."""
    for argument in ("--version", "--help", "--about"):
        done = account.tap.bare([argument])
        assert (0, b"") == (done.returncode, done.stderr)
        assert b"tap-fullstory" in done.stdout


@pytest.mark.proves("capabilities", "discover")
def test_discovery(account: Account) -> None:
    """TapDiscoveryTest: the catalog that is printed could not be given back to the tap."""
    done = account.bare("--discover")
    assert (0, b"") == (done.returncode, done.stderr)
    again = account.tap.bare(
        [*account.tap.command(settings=account.settings, catalog=account.catalog)[3:], "--discover"]
    )
    assert done.stdout == again.stdout


def test_stream_connections(account: Account) -> None:
    """TapStreamConnectionTest: a stream that is offered could not be read."""
    account.emulator.users = [{"id": "1", "uid": "u1", "sessions": [[1, 2, "2023-11-15T00:00:00Z"]]}]
    account.emulator.course = Course(polls=0)

    run = account.sync(catalog=account.everything(), sessions_for=["uid:u1"])

    assert 0 == run.status
    streams = [*STREAMS, *OTHERS]
    assert streams == [one["tap_stream_id"] for one in account.catalog["streams"]]
    assert dict.fromkeys(streams, True) == {stream: bool(run.records(stream)) for stream in streams}


def test_final_state(account: Account) -> None:
    """TapValidFinalStateTest: a run would leave no state, or one that the next run does not understand."""
    assert "STATE" == account.run.messages[-1]["type"]
    again = account.sync(account.run.states[-1])
    assert (0, []) == (again.status, again.records())
    assert account.run.states[-1] == again.states[-1]


# --- a stream ---


@both_streams
def test_catalog_schema_matches_the_stream(account: Account, stream: str) -> None:
    """StreamSchemaIsValidTest, StreamCatalogSchemaMatchesRecordTest: targets would make other columns."""
    schema = account.run.schema(stream)["schema"]
    Draft4Validator.check_schema(schema)
    assert account.entry(stream)["schema"]["properties"] == schema["properties"]
    assert {name for one in account.run.records(stream) for name in one} <= set(schema["properties"])


@both_streams
def test_records_match_the_catalog(account: Account, stream: str) -> None:
    """StreamRecordMatchesStreamSchema: targets that validate refuse the whole load at the first odd record."""
    validator = Draft4Validator({**account.run.schema(stream)["schema"], "additionalProperties": False})
    assert [] == [str(error) for one in account.run.records(stream) for error in validator.iter_errors(one)]


def test_every_column_of_the_sample_arrives(account: Account) -> None:
    """StreamRecordSchemaMatchesCatalogTest: a column would be promised and stay empty though Fullstory fills it."""
    sent = {name for event in sample_events() for name, value in event.items() if value is not None}
    expected = sent & set(account.run.schema()["schema"]["properties"])
    assert len(expected) > 20
    assert expected <= {name for one in account.run.records() for name, value in one.items() if value is not None}


@both_streams
def test_returns_records(account: Account, stream: str) -> None:
    """StreamReturnsRecordTest: a stream that never brings anything would look healthy."""
    expected = {"events": 144, "bundles": len(account.emulator.bundles)}
    assert expected[stream] == len(account.run.records(stream))


@both_streams
def test_primary_keys(account: Account, stream: str) -> None:
    """StreamPrimaryKeysTest: targets that replace rows would replace the wrong ones, or fail."""
    keys = account.run.schema(stream)["key_properties"]
    assert of_stream(account.entry(stream)).get("table-key-properties", []) == keys
    if not keys:
        assert "events" == stream and not account.settings["event_key"]
        return
    found = [tuple(one.get(name) for name in keys) for one in account.run.records(stream)]
    assert all(value is not None for one in found for value in one)
    assert len(found) == len(set(found))


# --- an attribute ---


@both_streams
def test_booleans(account: Account, stream: str) -> None:
    """AttributeIsBooleanTest: a target would refuse 0 and 1 in a boolean column. There is none in either stream."""
    assert {} == values(account, stream, of_type("boolean"))


@both_streams
def test_date_times(account: Account, stream: str) -> None:
    """AttributeIsDateTimeTest: a target would load a wrong hour, or stop."""
    found = values(account, stream, lambda schema: schema.get("format") == "date-time")
    assert any(found.values())
    assert [] == [one for column in found.values() for one in column if not DATE_TIME.fullmatch(one)]


@both_streams
def test_integers(account: Account, stream: str) -> None:
    """AttributeIsIntegerTest: 1.0 or text in an integer column stops most targets."""
    found = values(account, stream, of_type("integer"))
    assert any(found.values())
    assert {int} == {type(one) for column in found.values() for one in column}
    assert all(-(2**63) <= one < 2**63 for column in found.values() for one in column)


@both_streams
def test_numbers(account: Account, stream: str) -> None:
    """AttributeIsNumberTest: text in a number column stops most targets."""
    found = values(account, stream, of_type("number"))
    assert {type(one) for column in found.values() for one in column} <= {int, float}


@both_streams
def test_objects(account: Account, stream: str) -> None:
    """AttributeIsObjectTest: some targets lose columns of objects, so there is none."""
    nested = values(account, stream, of_type("object")) | values(account, stream, of_type("array"))
    assert {} == nested


@both_streams
def test_texts(account: Account, stream: str) -> None:
    """A number in a text column stops most targets; the SDK has no check of it."""
    found = values(account, stream, of_type("string"))
    assert any(found.values())
    assert {str} == {type(one) for column in found.values() for one in column}


@both_streams
def test_what_may_not_be_null(account: Account, stream: str) -> None:
    """AttributeNotNullTest: keys and replication keys without a value end the load."""
    schema = account.run.schema(stream)
    for name in [*schema["key_properties"], *schema["bookmark_properties"]]:
        assert all(one.get(name) is not None for one in account.run.records(stream)), name


@both_streams
def test_values_are_unique(account: Account, stream: str) -> None:
    """AttributeUniquenessTest: the key of the one would be the key of the other."""
    for name in account.run.schema(stream)["key_properties"]:
        found = [one[name] for one in account.run.records(stream)]
        assert len(found) == len(set(found))
