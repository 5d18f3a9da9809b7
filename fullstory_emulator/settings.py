"""The recording settings of an account: what was captured under which rules, now and before.

API: https://developer.fullstory.com/server/v1/settings/get-recording-block-rules/ and the pages on the other kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import TYPE_CHECKING, Any

from fullstory_emulator import answers, moments
from fullstory_emulator.answers import Answer
from fullstory_emulator.faults import Fault
from fullstory_emulator.routes import ARCHITECT, STANDARD, Route

if TYPE_CHECKING:
    from fullstory_emulator.server import Emulator, Request

Version = dict[str, Any]
Settings = dict[tuple[str, str], list[Version]]  # by kind and platform; the newest version first

WITH_PLATFORM = ("domain", "features")
PLATFORMS = ("web", "mobile")  # the first unless another is asked for
NO_PLATFORM = ""  # of the kinds that are the same on all
KINDS = ("blocking", "domain", "features", "geo", "privacy", "targeting")
VERSIONS_A_PAGE = 20  # unless another limit is asked for
MOST = 100
FIRST_TOKEN = 0x17555FE8105  # the documented token is v17555fe8105

# --- what an invented account has set ---

FIRST = 1_514_800_800  # 2018-01-01T10:00:00Z
APART = 1_200_000  # seconds between two versions, or up to half as many less
PEOPLE = ("owner@example.com", "Bo (bo@example.com)", "Ada Appleby (ada@example.com)")
# how many versions there are; more than 20 do not fit on a usual page
VERSIONS = {
    ("blocking", NO_PLATFORM): 23,
    ("domain", "web"): 6,
    ("domain", "mobile"): 2,
    ("features", "web"): 26,
    ("features", "mobile"): 1,  # never changed: without metadata
    ("geo", NO_PLATFORM): 3,
    ("privacy", NO_PLATFORM): 45,
    ("targeting", NO_PLATFORM): 5,
}
IN_ONE_INSTANT = ("features", "web"), 5  # this version and the one before it were saved at the same moment
FEATURES = (
    "enabled",
    "consoleWatcher",
    "ajaxWatcher",
    "resourceUploading",
    "recordingShutoff",
    "clientSideRageClick",
)
COUNTRIES = ("US", "DE", "FR", "JP", "MX", "AU")
BLOCKS = ("BLOCK_EXCLUDE", "BLOCK_MASK", "BLOCK_UNMASK")
SCOPES = ("ALL_SESSIONS", "NO_SESSIONS", "PREVIEW_SESSIONS_ONLY", "LIVE_SESSIONS_ONLY")
EDITABLE = ("EDITABLE_ANY", "EDITABLE_DESCRIPTION_ONLY", "EDITABLE_DESCRIPTION_SCOPE_AND_EXCEPTIONS")
NEVER = "0001-01-01T00:00:00Z"


def demo_settings() -> Settings:
    """What the invented account has set, version by version; always the same."""
    settings = {key: _versions(*key, count) for key, count in VERSIONS.items()}
    key, at = IN_ONE_INSTANT
    version, before = settings[key][at : at + 2]
    version["metadata"]["lastUpdated"] = before["metadata"]["lastUpdated"]
    return settings


def next_version(versions: list[Version], now: float, by: str, members: Version) -> Version:
    """The version that follows when *members* are changed at this moment."""
    before = deepcopy(versions[0]) if versions else {}
    # microseconds that nobody would guess, so that losing them is noticed
    changed = {"lastUpdated": moments.shown(now, f"{(len(versions) + 1) * 1009 % 1_000_000:06}"), "lastUpdatedBy": by}
    made = {"created": changed["lastUpdated"], "createdBy": by}
    return {**before, **deepcopy(members), "metadata": {**made, **before.get("metadata", {}), **changed}}


def setting_key(kind: str, platform: str | None = None) -> tuple[str, str]:
    """Under which a setting is kept; *platform* may be None, which means the web where there is a choice.

    Raises:
        ValueError: there is no such kind, or it has no such platform.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}")
    platforms = PLATFORMS if kind in WITH_PLATFORM else (NO_PLATFORM,)
    if platform is None:
        platform = platforms[0]
    if platform not in platforms:
        raise ValueError(
            f"platform is one of {', '.join(PLATFORMS)}" if len(platforms) > 1 else f"{kind} has no platform"
        )
    return kind, platform


def _versions(kind: str, platform: str, count: int) -> list[Version]:
    rng = Random(f"settings {kind} {platform}")
    moment = FIRST
    versions: list[Version] = []
    for members in _history(kind, rng, count):
        moment += rng.randrange(APART // 2, APART)
        versions.insert(0, next_version(versions, moment, rng.choice(PEOPLE), members))
    if count == 1:
        del versions[0]["metadata"]
    return versions


def _history(kind: str, rng: Random, count: int) -> Iterator[Version]:
    for nth in range(count):
        yield HISTORIES[kind](rng, nth)


def _blocking(_: Random, nth: int) -> Version:
    addresses = [f"203.0.113.{number}" for number in range(10, 10 + nth)]
    robots = ["Rigor", "HeadlessChrome"][: nth // 4]
    return {"blockedIps": ["198.51.100.*", *addresses], "blockedUas": robots, "blockedAppIds": []}


def _domain(rng: Random, nth: int) -> Version:
    names = (
        "shop.example",
        "www.orchard.example",
        "staging.shop.example",
        "m.shop.example",
        "localhost",
        "old.example",
    )
    domains = [{"disabled": at > 1 and rng.random() < 0.5, "domain": name} for at, name in enumerate(names[: nth + 1])]
    return {"onlyRecordKnownDomains": nth > 2, "domains": domains}


def _features(rng: Random, nth: int) -> Version:
    return {name: nth == 0 or name == "enabled" or rng.random() < 0.7 for name in FEATURES}


def _geo(rng: Random, nth: int) -> Version:
    mode = ("GEO_ALL", "GEO_ALLOW_LIST", "GEO_BLOCK_LIST")[nth % 3]
    return {"recordGeoMode": mode, "recordGeoZones": [] if mode == "GEO_ALL" else sorted(rng.sample(COUNTRIES, nth))}


def _privacy(_: Random, nth: int) -> Version:
    blocks = [_element_block(Random(f"block {number}"), number) for number in range(nth)]
    watch = {
        "urlRegex": "https://api\\.example\\.com/v1/.*",
        "recordReq": "WHITELIST",
        "recordRsp": "ELIDE",
        "whitelistReq": ["order_id"],
        "whitelistRsp": [],
    }
    group = {
        "groupId": 1,
        "templateId": "FORM_PRIVACY",
        "note": "",
        "overrides": {"scope": "ALL_SESSIONS", "editable": "EDITABLE_DESCRIPTION_ONLY"},
    }
    return {
        "elementBlocks": blocks,
        "ajaxWatches": [watch] if nth > 4 else [],
        "discardIpAddresses": nth > 8,
        "defaultPrivacyMode": "PRIVACY_MODE_OFF",
        "elementRuleGroups": {"1": group} if nth > 2 else {},
    }


def _element_block(rng: Random, number: int) -> Version:
    conditions = {"privacyTargetingConditions": [_condition("DOMAIN", "EQ", {"strVal": "m.shop.example"})]}
    return {
        "selector": f".checkout input[name='field-{number}']",
        "consent": rng.random() < 0.2,
        "notes": rng.choice(("", "Asked for by legal", "Größe & Gewicht 🍎", 'two\nlines, a "quote"')),
        "type": rng.choice(BLOCKS),
        "scope": rng.choice(SCOPES),
        "lastUpdated": NEVER if number % 3 == 0 else moments.shown(FIRST + number * APART // 2, "250000"),
        "label": f"Field {number}",
        "targetingConditions": conditions if number % 7 == 6 else None,
        "editable": rng.choice(EDITABLE),
        "exceptionSelectors": [".is-public"] if number % 5 == 4 else [],
        "groupId": 1 if number == 2 else 0,
    }


def _targeting(_: Random, nth: int) -> Version:
    conditions = (
        _condition("UID", "NEQ", {"strVal": ""}),
        _condition("LOCATION", "EQ", {"strVal": "US"}),
        _condition("BUILD_TYPE", "GTE", {"intVal": "9007199254740993"}),
        _condition("APP_VERSION", "LT", {"versionVal": {"major": "4", "minor": "2", "build": "0", "revision": "0"}}),
    )
    rules = [
        {
            "id": f"rule-{number}",
            "notes": "",
            "scope": SCOPES[number % len(SCOPES)],
            "conditions": [condition],
            "children": [{"id": f"rule-{number - 1}", "joinPrevious": "AND"}] if number else [],
        }
        for number, condition in enumerate(conditions[:nth])
    ]
    return {"sessionTargetingRules": rules}


def _condition(attribute: str, operator: str, value: Version) -> Version:
    return {"attr": attribute, "op": operator, "values": [value], "joinPrevious": "OR"}


HISTORIES: dict[str, Callable[[Random, int], Version]] = {
    "blocking": _blocking,
    "domain": _domain,
    "features": _features,
    "geo": _geo,
    "privacy": _privacy,
    "targeting": _targeting,
}

# --- what is answered ---


def _asked(emulator: Emulator, request: Request, kind: str) -> list[Version]:
    """The versions of the setting that a request means.

    Raises:
        ValueError: it names another platform than the two.
    """
    platform = request.query.get("platform") if kind in WITH_PLATFORM else None
    return list(emulator.settings.get(setting_key(kind, platform), ()))


def _get(emulator: Emulator, request: Request, _: Fault, kind: str) -> Answer:
    """API: https://developer.fullstory.com/server/v1/settings/get-recording-block-rules/"""
    try:
        versions = _asked(emulator, request, kind)
    except ValueError as problem:
        return answers.error(400, str(problem))
    return answers.document(versions[0] if versions else {})


def _get_history(emulator: Emulator, request: Request, _: Fault, kind: str) -> Answer:
    """API: https://developer.fullstory.com/server/v1/settings/get-recording-block-rules-history/"""
    try:
        versions = _asked(emulator, request, kind)
    except ValueError as problem:
        return answers.error(400, str(problem))
    limit = request.query.get("limit", str(VERSIONS_A_PAGE))
    if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MOST:
        return answers.error(400, f"limit is a number from 1 to {MOST}")
    begin = 0
    token = request.query.get("paginationToken")
    if token:
        known = {_token(versions, at): at for at in range(len(versions))}
        if token not in known:
            return answers.error(400, "paginationToken is none of those given")
        begin = known[token]
    end = begin + int(limit)
    answer: dict[str, Any] = {"versions": versions[begin:end]}
    if end < len(versions):
        answer[emulator.history_member] = _token(versions, end)
    elif emulator.history_end is not None:
        answer[emulator.history_member] = emulator.history_end
    return answers.document(answer)


def _token(versions: list[Version], at: int) -> str:
    """Of the page that starts with this version; a new version on top does not change it."""
    return f"v{FIRST_TOKEN + len(versions) - at:x}"


def _routes() -> Iterator[Route]:
    # API: https://developer.fullstory.com/server/v2/authentication/ for the levels
    for kinds, level in (("|".join(kind for kind in KINDS if kind != "privacy"), STANDARD), ("privacy", ARCHITECT)):
        yield Route("GET", f"/settings/recording/v1/({kinds})", level, _get)
        yield Route("GET", f"/settings/recording/v1/({kinds})/history", level, _get_history)


ROUTES = tuple(_routes())
