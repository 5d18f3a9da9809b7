"""The names of the documented members of an event, and of an individual, as Segment Export writes them.

API: https://developer.fullstory.com/server/v1/segments/export-fields/
"""

from __future__ import annotations

FIELDS = tuple(
    """
    IndvId UserId SessionId PageId UserCreated UserAppKey UserDisplayName UserEmail SessionStart
    EventStart EventType EventSubType EventCustomName EventTargetText EventTargetSelectorTok EventTargetSelector
    EventDuration EventSecondaryDuration EventPageOffset EventSessionOffset EventModFrustrated EventModDead
    EventModError EventModSuspicious EventCumulativeLayoutShift EventFirstInputDelay EventVarErrorKind EventVarFields
    EventWebSourceFileUrl EventMobileSourceFile
    PageName PageStart PageDuration PageActiveDuration PageUrl PageRefererUrl PageIp PageLatLong PageUserAgent
    PageBrowser PageBrowserVersion PageDevice PagePlatform PageOperatingSystem PageScreenWidth PageScreenHeight
    PageViewportWidth PageViewportHeight PageNumEvents PageNumDerivedEvents PageNumInfos PageNumWarnings PageNumErrors
    PageClusterId PageMaxScrollDepthPercent LoadDomContentTime LoadEventTime LoadFirstPaintTime LoadLargestPaintTime
    ReqUrl ReqMethod ReqStatus
    AppName AppPackageName AppDeviceModel AppDeviceVendor AppVersion AppOsVersion AppViewName
    """.split()
)
INDIVIDUAL_FIELDS = tuple(
    """
    IndvId Created Uid DisplayName Email NumSessions NumPages NumEvents TotalSec ActiveSec
    AvgSessionSec AvgSessionActiveSec MaxSessionSec
    LastSessionNumPages LastSessionNumEvents LastSessionSec LastSessionActiveSec LastSessionStart LastEventStart
    LastPage LastIp LastLatLong LastBrowser LastDevice LastPlatform LastOperatingSystem
    """.split()
)
USER_VARIABLES = ("user_*", "UserVars")  # all of them; what the second means is nowhere said
RENAMED = {"PageAgent": "PageUserAgent"}  # Data Export's name, Segment Export's name
CUSTOM = ("user_", "evt_", "page_")  # how the names of custom variables begin
SELECTORS = tuple(f"{prefix}*" for prefix in CUSTOM)


def is_field(name: str) -> bool:
    """Whether `fields` may hold this: a documented name, the name of a custom variable, or all of a kind of them."""
    return name in FIELDS or name in SELECTORS or (name.startswith(CUSTOM) and not name.endswith(("_", "*")))


def is_individual_field(name: str) -> bool:
    """The same for the export of individuals, of which only user variables are known."""
    is_variable = name.startswith(CUSTOM[0]) and not name.endswith(("_", "*"))
    return name in INDIVIDUAL_FIELDS or name in USER_VARIABLES or is_variable
