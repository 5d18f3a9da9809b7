"""The streams `settings` and `settings_history`: under which rules sessions are recorded, now and before."""

from copy import deepcopy
from typing import Any

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.objects import KINDS, RULES, bookmarks, by, catalog
from tests.integration.tap import TIMEOUT, Json, Run, Tap, finished, parse, rfc
from tests.integration.test_resume import wait_for

pytestmark = pytest.mark.only_source("data_export")

CURRENT, HISTORY = "settings", "settings_history"


def versions(emulator: Emulator) -> list[tuple[str, str, Json]]:
    """All versions of all settings: kind, platform as the records have it, and what it holds."""
    return [
        (kind, platform or "all", deepcopy(version))
        for (kind, platform), listed in emulator.settings.items()
        for version in listed
    ]


def content(record: Json) -> tuple[str, str, Json]:
    """What a record says, as the API would."""
    names = ("lastUpdated", "lastUpdatedBy", "created", "createdBy")
    metadata = {name: record[name] for name in names if name in record}
    version = {**parse(record["settings"]), **({"metadata": metadata} if metadata else {})}
    return record["kind"], record["platform"], version


def in_order(found: Any) -> list[str]:
    return sorted(map(repr, found))


def canonical(version: Any) -> Any:
    """With members in order, and times as the tap writes them."""
    if isinstance(version, dict):
        return {name: canonical(version[name]) for name in sorted(version)}
    return [canonical(one) for one in version] if isinstance(version, list) else version


def all_of(found: Any) -> list[str]:
    return in_order((kind, platform, canonical(version)) for kind, platform, version in found)


@pytest.mark.proves("connectors", "recording settings")
def test_all_kinds_as_they_are_now(run_tap: Tap, emulator: Emulator) -> None:
    """Who asks what was masked would not find it in the warehouse."""
    run = run_tap(catalog=catalog(CURRENT))

    assert 0 == run.status
    records = run.records(CURRENT)
    assert sum(map(len, KINDS.values())) == len(by(records, "kind", "platform"))
    now = [(kind, platform or "all", listed[0]) for (kind, platform), listed in emulator.settings.items()]
    assert all_of(now) == all_of(map(content, records))
    schema = run.schema(CURRENT)
    assert (["kind", "platform"], ["lastUpdated"]) == (schema["key_properties"], schema["bookmark_properties"])


def test_what_has_not_changed_is_not_written_again(run_tap: Tap, emulator: Emulator) -> None:
    """A change could not be seen among repetitions, or would not arrive."""
    first = run_tap(catalog=catalog(CURRENT))
    again = run_tap(catalog=catalog(CURRENT), state=first.states[-1])
    emulator.change_setting("geo", recordGeoMode="GEO_BLOCK_LIST")
    emulator.change_setting("domain", platform="mobile", domains=[])
    changed = run_tap(catalog=catalog(CURRENT), state=again.states[-1])

    assert [] == again.records(CURRENT)
    assert bookmarks(first) == bookmarks(again)
    assert [("domain", "mobile"), ("geo", "all")] == [
        (one["kind"], one["platform"]) for one in changed.records(CURRENT)
    ]


@pytest.mark.parametrize("member", ["nextPaginationToken", "next_pagination_token"])
@pytest.mark.parametrize("end", ["", None])
@pytest.mark.proves("connectors", "history of settings")
def test_the_whole_history(run_tap: Tap, emulator: Emulator, member: Any, end: Any) -> None:
    """Whichever spelling of the token an account gets, the rest of the history would be missing."""
    emulator.history_member, emulator.history_end = member, end
    emulator.settings["geo", ""] = [
        {
            "recordGeoMode": str(number),
            "metadata": {"lastUpdated": f"2024-01-01T00:{number // 60:02}:{number % 60:02}Z"},
        }
        for number in reversed(range(250))
    ]

    run = run_tap(catalog=catalog(HISTORY))

    assert 0 == run.status
    records = run.records(HISTORY)
    assert all_of(versions(emulator)) == all_of(map(content, records))
    by(records, *run.schema(HISTORY)["key_properties"])
    assert 3 == emulator.count(f"{RULES}/geo/history")


def test_two_versions_of_one_instant_are_two_records(run_tap: Tap, emulator: Emulator) -> None:
    """A target that goes by keys would overwrite one with the other."""
    metadata = {"lastUpdated": "2024-01-01T00:00:00.123456Z", "created": "2023-01-01T00:00:00Z"}
    pair = [{"recordGeoMode": mode, "metadata": metadata} for mode in ("GEO_ALL", "GEO_ALLOW_LIST")]
    emulator.settings["geo", ""] = pair

    first = run_tap(catalog=catalog(HISTORY))
    emulator.settings["geo", ""] = [{"recordGeoMode": "GEO_BLOCK_LIST", "metadata": metadata}, *pair]
    second = run_tap(catalog=catalog(HISTORY), state=first.states[-1])

    assert 2 == len([one for one in first.records(HISTORY) if one["kind"] == "geo"])
    assert ["GEO_BLOCK_LIST"] == [parse(one["settings"])["recordGeoMode"] for one in of_metadata(second)]


def of_metadata(run: Run) -> list[Json]:
    """The versions that say when they were saved."""
    return [one for one in run.records(HISTORY) if "lastUpdated" in one]


def test_history_is_read_up_to_what_is_known(run_tap: Tap, emulator: Emulator) -> None:
    """Each night all versions since 2018 would be asked for again, or the newest be missed."""
    first = run_tap(catalog=catalog(HISTORY))
    emulator.requests.clear()
    emulator.change_setting("privacy", discardIpAddresses=True)
    second = run_tap(catalog=catalog(HISTORY), state=first.states[-1])

    assert ["privacy"] == [one["kind"] for one in of_metadata(second)]
    assert len(emulator.requests) == sum(map(len, KINDS.values()))


def test_an_interrupted_history_is_read_again(run_tap: Tap, emulator: Emulator) -> None:
    """Newest first: a bookmark at the newest would hide the older ones that were not read."""
    emulator.settings["privacy", ""] = [
        {"metadata": {"lastUpdated": rfc(1_704_067_200 + number)}} for number in reversed(range(250))
    ]
    emulator.faults = [fault := Fault(f"{RULES}/privacy/history", delay=60, skip=1)]
    process = run_tap.start(catalog=catalog(HISTORY))
    wait_for(lambda: fault.used)
    process.terminate()
    output, errors = process.communicate(timeout=TIMEOUT)
    stopped = finished(process.returncode, output, errors)
    emulator.faults = []

    again = run_tap(catalog=catalog(HISTORY), state=stopped.states[-1])

    assert 143 == stopped.status
    assert {"blocking", "geo"} <= bookmarks(stopped)[HISTORY].keys()
    assert "privacy" not in bookmarks(stopped)[HISTORY]
    found = {repr(one) for one in (*stopped.records(HISTORY), *again.records(HISTORY))}
    assert len(versions(emulator)) == len(found)
    assert {"privacy", "targeting"} == {one["kind"] for one in again.records(HISTORY) if "lastUpdated" in one}


def test_settings_that_the_key_may_not_read(run_tap: Tap, emulator: Emulator) -> None:
    """Without an Architect key nothing would be said of all the other settings."""
    emulator.role = "USER"

    run = run_tap(catalog=catalog(CURRENT, HISTORY))

    assert 77 == run.status
    for stream in (CURRENT, HISTORY):
        assert set(KINDS) - {"privacy"} == {one["kind"] for one in run.records(stream)}
        assert "targeting" in bookmarks(run)[stream]


@pytest.mark.parametrize("odd", [{}, {"metadata": None}, {"metadata": "none"}, {"metadata": {"lastUpdated": "never"}}])
def test_settings_without_metadata(run_tap: Tap, emulator: Emulator, odd: Json) -> None:
    """An account that never changed a setting would have no settings at all."""
    emulator.settings["geo", ""] = [{"recordGeoMode": "GEO_ALL", **odd}]

    first = run_tap(catalog=catalog(CURRENT, HISTORY))
    second = run_tap(catalog=catalog(CURRENT, HISTORY), state=first.states[-1])

    assert (0, 0) == (first.status, second.status)
    for stream in (CURRENT, HISTORY):
        (geo,) = (one for one in first.records(stream) if one["kind"] == "geo")
        assert {"recordGeoMode": "GEO_ALL"} == parse(geo["settings"])
        assert "lastUpdated" not in geo
    assert [] == second.records(CURRENT)


def test_members_of_metadata_that_are_new(run_tap: Tap, emulator: Emulator) -> None:
    """What Fullstory adds would be lost."""
    metadata = {"lastUpdated": "2024-01-01T00:00:00Z", "reason": "audit"}
    emulator.settings["geo", ""] = [{"recordGeoMode": "GEO_ALL", "recordGeoZones": ["US"], "metadata": metadata}]

    run = run_tap(catalog=catalog(CURRENT))

    (geo,) = (one for one in run.records(CURRENT) if one["kind"] == "geo")
    assert {"metadata": {"reason": "audit"}} == parse(geo["CustomVars"])
    assert {"recordGeoMode": "GEO_ALL", "recordGeoZones": ["US"]} == parse(geo["settings"])


def test_an_account_without_mobile_apps(run_tap: Tap, emulator: Emulator) -> None:
    """A 404 for a platform that an account does not have would end each run."""
    emulator.faults = [Fault(f"{RULES}/domain", status=404, match={"platform": "mobile"}, times=None)]

    run = run_tap(catalog=catalog(CURRENT))

    assert 0 == run.status
    assert ("domain", "mobile") not in by(run.records(CURRENT), "kind", "platform")


@pytest.mark.parametrize("state", [{"settings": "x", "settings_history": []}, {"settings_history": {"geo": "x"}}])
def test_a_bookmark_that_is_none(run_tap: Tap, emulator: Emulator, state: Json) -> None:
    """Somebody who resets a stream by hand would get a traceback, or nothing."""
    run = run_tap(catalog=catalog(HISTORY), state={"bookmarks": state})

    assert (0, len(versions(emulator))) == (run.status, len(run.records(HISTORY)))
