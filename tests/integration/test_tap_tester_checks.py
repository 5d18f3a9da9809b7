"""The seven suites of tap-tester, put to the command line: what Stitch asks of a tap before it runs it."""

import re
from collections.abc import Iterator

import pytest

from fullstory_emulator import Emulator
from tests.integration.account import STREAMS, Account, of_column, of_stream
from tests.integration.tap import DAY, FIRST, LIST, bundle, rfc

pytestmark = pytest.mark.long

PAGES = 45  # bundles; Fullstory lists 20 at a time

both_streams = pytest.mark.parametrize("stream", STREAMS)


@pytest.fixture(scope="module", params=[False, True], ids=["append-only", "event_key"])
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Real visitors."""
    with Emulator() as emulator:
        yield Account(tmp_path_factory.mktemp("account"), emulator, event_key=request.param)


@pytest.fixture
def long_account(account: Account) -> Iterator[Account]:
    """The same with bundles of many days for the length of a test."""
    before = account.emulator.bundles
    account.emulator.bundles = [bundle(day, first=3 * day) for day in range(PAGES)]
    yield account
    account.emulator.bundles = before


@both_streams
def test_discovery(account: Account, stream: str) -> None:
    """An orchestrator shows and replicates what the catalog says: names, keys, method, what cannot be left out."""
    entry = account.entry(stream)
    metadata = of_stream(entry)
    assert re.fullmatch(r"[a-z_]+", stream)
    assert stream == entry["stream"]
    assert "INCREMENTAL" == metadata["forced-replication-method"]
    breadcrumbs = [tuple(one["breadcrumb"]) for one in entry["metadata"]]
    assert len(breadcrumbs) == len(set(breadcrumbs))
    assert {(), *(("properties", name) for name in entry["schema"]["properties"])} == set(breadcrumbs)
    automatic = {*metadata.get("table-key-properties", []), *metadata["valid-replication-keys"]}
    assert automatic
    for name in entry["schema"]["properties"]:
        assert ("automatic" if name in automatic else "available") == of_column(entry, name)["inclusion"]


@both_streams
def test_automatic_fields(account: Account, stream: str) -> None:
    """Who selects next to nothing would lose the key, and with it replacing and resuming."""
    entry = account.entry(stream)
    automatic = {one for one in entry["schema"]["properties"] if of_column(entry, one)["inclusion"] == "automatic"}

    run = account.sync(catalog=account.only_automatic())

    assert 0 == run.status
    assert automatic == set(run.schema(stream)["schema"]["properties"])
    assert [automatic] * len(account.run.records(stream)) == [set(one) for one in run.records(stream)]


@both_streams
def test_all_fields(account: Account, stream: str) -> None:
    """Who selects everything would not get everything."""
    entry = account.entry(stream)
    assert list(entry["schema"]["properties"]) == list(account.run.schema(stream)["schema"]["properties"])
    assert {"events": 144, "bundles": len(account.emulator.bundles)}[stream] == len(account.run.records(stream))


@pytest.mark.proves("capabilities", "state")
def test_bookmark(long_account: Account) -> None:
    """The second run would load everything again, or nothing more."""
    older = bundle(PAGES // 2)
    first = long_account.sync(start_date=rfc(FIRST), end_date=rfc(older.start))
    second = long_account.sync(first.states[-1])
    third = long_account.sync(second.states[-1])

    assert (0, 0, 0) == (first.status, second.status, third.status)
    assert [*range(3 * PAGES)] == first.numbers() + second.numbers()
    assert 0 < len(second.numbers()) < 3 * PAGES
    assert all(one["EventStart"] >= rfc(older.start) for one in second.records())
    assert [] == third.records() == third.records("bundles")
    assert third.states[-1] == second.states[-1]


def test_pagination(long_account: Account) -> None:
    """Whatever stands behind the first page would be lost, or what stands on two pages would come twice."""
    asked = long_account.emulator.count(LIST)

    run = long_account.sync(start_date=rfc(FIRST))

    assert long_account.emulator.count(LIST) - asked >= PAGES // 20 + 1
    assert [*range(3 * PAGES)] == run.numbers()
    assert [one.id for one in long_account.emulator.bundles] == [one["_bundle_id"] for one in run.records("bundles")]


def test_start_date(long_account: Account) -> None:
    """A later start would not load less, or load other events."""
    later = rfc(FIRST + 30 * DAY)
    whole, rest = (long_account.sync(start_date=one) for one in (rfc(FIRST), later))

    assert 0 < len(rest.records()) < len(whole.records())
    assert [one["UserId"] for one in whole.records() if one["EventStart"] >= later] == rest.numbers()
    assert min(one["EventStart"] for one in rest.records()) >= later


@both_streams
def test_interrupted_sync(account: Account, stream: str) -> None:
    """A state of a run that was broken off in a stream would start that stream anew, or forget the other one."""
    for position in account.run.state_positions():
        broken_off = {**account.run.messages[position]["value"], "currently_syncing": stream}

        run = account.sync(broken_off)

        assert 0 == run.status
        expected = [one for one in account.run.after(position) if "EventStart" in one]
        assert expected == run.records()
        assert account.run.states[-1]["bookmarks"] == run.states[-1]["bookmarks"]
        assert not run.states[-1].get("currently_syncing")
