"""What a record must hold, worked out from the event alone; shares nothing with the tap.

contract.md, section 5, in code: columns as in the reference's sections 7.1 to 7.4, all else in `CustomVars`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from fullstory_emulator import Bundle

INTEGERS = """
IndvId UserId SessionId PageId EventDuration EventSecondaryDuration EventPageOffset EventSessionOffset
EventModFrustrated EventModDead EventModError EventModSuspicious EventFirstInputDelay PageDuration PageActiveDuration
PageScreenWidth PageScreenHeight PageViewportWidth PageViewportHeight PageNumEvents PageNumDerivedEvents PageNumInfos
PageNumWarnings PageNumErrors PageClusterId PageMaxScrollDepthPercent LoadDomContentTime LoadEventTime
LoadFirstPaintTime LoadLargestPaintTime ReqStatus
""".split()
NUMBERS = ["EventCumulativeLayoutShift"]
TIMES = "UserCreated SessionStart EventStart PageStart".split()
TEXTS = """
UserAppKey UserDisplayName UserEmail EventType EventSubType EventCustomName EventTargetText EventTargetSelectorTok
EventTargetSelector EventVarErrorKind EventVarFields EventWebSourceFileUrl EventMobileSourceFile PageName PageUrl
PageRefererUrl PageIp PageLatLong PageAgent PageBrowser PageBrowserVersion PageDevice PagePlatform PageOperatingSystem
ReqUrl ReqMethod AppName AppPackageName AppDeviceModel AppDeviceVendor AppVersion AppOsVersion AppViewName
""".split()
COLUMNS = {*INTEGERS, *NUMBERS, *TIMES, *TEXTS}

Json = dict[str, Any]


def expected_record(event: Mapping[str, Any], bundle_id: int) -> Json:
    """The record of an event all of whose values fit; `CustomVars` is there as its value, not as text."""
    record: Json = {"_bundle_id": bundle_id}
    others: Json = {}
    for member, value in event.items():
        column = "PageAgent" if member == "PageUserAgent" else member
        if column not in COLUMNS:
            others[clean(member)] = clean(value)
        elif column in TIMES and value is not None:
            record[column] = utc(value)
        else:
            record[column] = clean(value)
    if others:
        record["CustomVars"] = others
    return record


def clean(value: Any) -> Any:
    """*value* with U+FFFD for NUL and lone surrogates, wherever they are."""
    if isinstance(value, str):
        return re.sub("[\0\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [clean(one) for one in value]
    if isinstance(value, dict):
        return {clean(name): clean(one) for name, one in value.items()}
    return value


def utc(text: str) -> str:
    """A readable RFC 3339 time in UTC, all its digits kept."""
    found = re.fullmatch(r"(.{19})(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", text)
    assert found, text
    moment = datetime.strptime(found[1].upper(), "%Y-%m-%dT%H:%M:%S")
    zone = found[3] or "Z"
    if zone not in "Zz":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
        moment = moment - offset if zone[0] == "+" else moment + offset
    return moment.isoformat() + (found[2] or "") + "Z"


def expected_records(bundles: Iterable[Bundle]) -> list[Json]:
    """The records of all events of *bundles*, in order."""
    return [expected_record(event, one.id) for one in bundles for event in one.read_events()]


def found_record(record: Mapping[str, Any]) -> Json:
    """A record of the tap, comparable with `expected_record`."""
    found = dict(record)
    if found.get("CustomVars") is not None:
        found["CustomVars"] = json.loads(found["CustomVars"])
    return found


def frozen(records: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Records as texts to count; the same text only for the same values, 1 and 1.0 and true being different ones."""
    return Counter(json.dumps(record, sort_keys=True) for record in records)
