"""Recording settings: what is set now, and what was set before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from fullstory_emulator import Emulator

NOW = 1_700_006_400  # 2023-11-15T00:00:00Z
KINDS = ["blocking", "domain", "features", "geo", "privacy", "targeting"]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(now=NOW) as emulator:
        yield emulator


def ask(emulator: Emulator, kind: str, **query: Any) -> requests.Response:
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    return requests.get(f"{emulator.url}/settings/recording/v1/{kind}", params=query, headers=headers, timeout=10)


def history(emulator: Emulator, kind: str, **query: Any) -> tuple[list[list[Any]], list[Any]]:
    """The versions page by page, and the tokens at their ends."""
    pages, tokens = [], []
    while True:
        answer = ask(emulator, f"{kind}/history", **query).json()
        pages.append(answer.pop("versions"))
        tokens.append(answer)
        token = answer.get(emulator.history_member)
        if not token:
            return pages, tokens
        query["paginationToken"] = token


MEMBERS = {
    "blocking": {"blockedIps", "blockedUas", "blockedAppIds"},
    "domain": {"onlyRecordKnownDomains", "domains"},
    "features": {
        "enabled",
        "consoleWatcher",
        "ajaxWatcher",
        "resourceUploading",
        "recordingShutoff",
        "clientSideRageClick",
    },
    "geo": {"recordGeoMode", "recordGeoZones"},
    "privacy": {"elementBlocks", "ajaxWatches", "discardIpAddresses", "defaultPrivacyMode", "elementRuleGroups"},
    "targeting": {"sessionTargetingRules"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_documented_members(emulator: Emulator, kind: str) -> None:
    """Now and in each version; who reads them meets nothing that is not in the documentation, and all that is."""
    now = ask(emulator, kind).json()
    pages, _ = history(emulator, kind)
    versions = [version for page in pages for version in page]
    assert now == versions[0]
    for version in versions:
        assert MEMBERS[kind] | {"metadata"} == set(version)
        assert {"lastUpdated", "lastUpdatedBy", "created", "createdBy"} == set(version["metadata"])
    moments = [version["metadata"]["lastUpdated"] for version in versions]
    assert sorted(moments, reverse=True) == moments
    assert 1 == len({(version["metadata"]["created"], version["metadata"]["createdBy"]) for version in versions})
    assert versions[-1]["metadata"]["created"] == versions[-1]["metadata"]["lastUpdated"]
    for version in versions:  # nothing in it is younger than itself
        blocks = version.get("elementBlocks", [])
        assert all(block["lastUpdated"] < version["metadata"]["lastUpdated"] for block in blocks)


@pytest.mark.parametrize("kind", ["domain", "features"])
def test_two_kinds_have_platforms(emulator: Emulator, kind: str) -> None:
    """The web's is the usual one; a third platform does not exist."""
    assert ask(emulator, kind).json() == ask(emulator, kind, platform="web").json()
    assert ask(emulator, kind).json() != ask(emulator, kind, platform="mobile").json()
    assert ask(emulator, f"{kind}/history").json() == ask(emulator, f"{kind}/history", platform="web").json()
    for path in (kind, f"{kind}/history"):
        assert 400 == ask(emulator, path, platform="desktop").status_code
        assert 400 == ask(emulator, path, platform="").status_code


def test_a_setting_that_was_never_changed_has_no_metadata(emulator: Emulator) -> None:
    """A client that counts on it would fail; so would one that counts on any member."""
    assert MEMBERS["features"] == set(ask(emulator, "features", platform="mobile").json())
    emulator.settings = {}
    assert {} == ask(emulator, "geo").json()
    assert {"versions": [], "nextPaginationToken": ""} == ask(emulator, "geo/history").json()


@pytest.mark.parametrize("end", ["", None])
@pytest.mark.parametrize("member", ["nextPaginationToken", "next_pagination_token"])
def test_long_histories_come_in_pages(emulator: Emulator, member: Any, end: str | None) -> None:
    """20 to a page unless asked otherwise; the token is spelt as the schema or as the example says."""
    emulator.history_member, emulator.history_end = member, end
    last = {} if end is None else {member: end}
    pages, tokens = history(emulator, "privacy")
    assert [20, 20, 5] == [len(page) for page in pages]
    assert [[member], [member], list(last)] == [list(token) for token in tokens]
    assert last == tokens[-1]
    versions = emulator.settings["privacy", ""]
    assert versions == [version for page in pages for version in page]
    assert [versions] == history(emulator, "privacy", limit=100)[0]
    assert [2] * 22 + [1] == [len(page) for page in history(emulator, "privacy", limit=2)[0]]


def test_a_token_stays_good_when_a_new_version_comes(emulator: Emulator) -> None:
    """Or the last version of a page would come once more on the next."""
    first = ask(emulator, "privacy/history").json()
    emulator.change_setting("privacy", discardIpAddresses=False)
    second = ask(emulator, "privacy/history", paginationToken=first["nextPaginationToken"]).json()
    assert emulator.settings["privacy", ""][21:41] == second["versions"]


def test_a_change_is_a_new_version(emulator: Emulator) -> None:
    """What was made stays as it was made; when and by whom it was changed says so to the microsecond."""
    before = ask(emulator, "domain").json()
    emulator.change_setting("domain", by="Bo (bo@example.com)", onlyRecordKnownDomains=False)
    after = ask(emulator, "domain").json()
    changed = {"lastUpdated": "2023-11-15T00:00:00.007063Z", "lastUpdatedBy": "Bo (bo@example.com)"}
    assert {**before, "onlyRecordKnownDomains": False, "metadata": {**before["metadata"], **changed}} == after
    assert [after, before] == ask(emulator, "domain/history").json()["versions"][:2]
    emulator.change_setting("features", "mobile", enabled=False)
    now, then = ask(emulator, "features/history", platform="mobile").json()["versions"]
    assert (False, True) == (now["enabled"], then["enabled"])
    assert now["metadata"]["created"] == now["metadata"]["lastUpdated"]


def test_two_versions_can_be_of_one_moment(emulator: Emulator) -> None:
    """A client that takes the moment for a key would lose one of them."""
    versions = emulator.settings["features", "web"]
    moments = [version["metadata"]["lastUpdated"] for version in versions]
    assert len(set(moments)) == len(moments) - 1
    assert versions[5] != versions[6]


def test_the_settings_are_always_the_same(emulator: Emulator) -> None:
    """And those of one emulator are not those of another."""
    other = Emulator()
    assert emulator.settings == other.settings
    emulator.settings["geo", ""][0]["recordGeoMode"] = "GEO_ALL"
    emulator.change_setting("blocking", blockedIps=[])
    assert 23 == len(other.settings["blocking", ""])
    assert "GEO_BLOCK_LIST" == other.settings["geo", ""][0]["recordGeoMode"]


def test_privacy_needs_an_architect(emulator: Emulator) -> None:
    """All others are for every key."""
    emulator.role = "USER"
    paths = [path for kind in KINDS for path in (kind, f"{kind}/history")]
    refused = [path for path in paths if ask(emulator, path).status_code == 403]
    assert ["privacy", "privacy/history"] == refused
    assert {200} == {ask(emulator, path).status_code for path in paths if path not in refused}


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "ten"}, {"paginationToken": "v1"}], ids=str)
def test_a_wrong_query_is_refused(emulator: Emulator, query: dict[str, Any]) -> None:
    """A sentence says why."""
    response = ask(emulator, "geo/history", **query)
    assert (400, "required_field") == (response.status_code, response.json()["code"])


def test_there_are_no_other_kinds(emulator: Emulator) -> None:
    """Nor other paths, nor other methods."""
    assert 404 == ask(emulator, "blockrules").status_code
    assert 404 == ask(emulator, "geo/").status_code
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    assert 405 == requests.post(f"{emulator.url}/settings/recording/v1/geo", headers=headers, timeout=10).status_code
    assert 401 == requests.get(f"{emulator.url}/settings/recording/v1/geo", timeout=10).status_code


def test_settings_are_changed_over_http(emulator: Emulator) -> None:
    """From another process, as in a demonstration."""
    url = f"{emulator.url}/_emulator/recording"
    shown = requests.get(url, timeout=10).json()
    assert {"kind": "privacy", "platform": "", "versions": 45} in shown
    change = {"kind": "domain", "platform": "mobile", "by": "bo@example.com", "onlyRecordKnownDomains": True}
    assert {"kind": "domain", "platform": "mobile", "versions": 3} in requests.post(url, json=change, timeout=10).json()
    assert ask(emulator, "domain", platform="mobile").json()["onlyRecordKnownDomains"]
    for wrong in (
        {"kind": "geography"},
        {"platform": "web"},
        {"kind": "domain", "platform": "desktop"},
        {"kind": "geo", "platform": "web"},
        [1],
    ):
        assert 400 == requests.post(url, json=wrong, timeout=10).status_code
    settings = {"history_member": "next_pagination_token", "history_end": None}
    requests.put(f"{emulator.url}/_emulator/settings", json=settings, timeout=10).raise_for_status()
    assert ["versions"] == list(ask(emulator, "geo/history").json())
