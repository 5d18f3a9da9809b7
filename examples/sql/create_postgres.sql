-- Tables for files of `tap-fullstory --to`, and for the names of those that are loaded (PostgreSQL).
-- With custom_columns, add theirs: ALTER TABLE fullstory.events ADD COLUMN "user_plan_str" text;
-- Made by scripts/update-docs.

CREATE SCHEMA IF NOT EXISTS fullstory;
CREATE TABLE IF NOT EXISTS fullstory.events (
    "event_id" text,
    "IndvId" bigint,
    "UserId" bigint,
    "SessionId" bigint,
    "PageId" bigint,
    "UserCreated" timestamp with time zone,
    "UserAppKey" text,
    "UserDisplayName" text,
    "UserEmail" text,
    "SessionStart" timestamp with time zone,
    "EventStart" timestamp with time zone,
    "EventType" text,
    "EventSubType" text,
    "EventCustomName" text,
    "EventTargetText" text,
    "EventTargetSelectorTok" text,
    "EventTargetSelector" text,
    "EventDuration" bigint,
    "EventSecondaryDuration" bigint,
    "EventPageOffset" bigint,
    "EventSessionOffset" bigint,
    "EventModFrustrated" bigint,
    "EventModDead" bigint,
    "EventModError" bigint,
    "EventModSuspicious" bigint,
    "EventCumulativeLayoutShift" double precision,
    "EventFirstInputDelay" bigint,
    "EventVarErrorKind" text,
    "EventVarFields" text,
    "EventWebSourceFileUrl" text,
    "EventMobileSourceFile" text,
    "PageName" text,
    "PageStart" timestamp with time zone,
    "PageDuration" bigint,
    "PageActiveDuration" bigint,
    "PageUrl" text,
    "PageRefererUrl" text,
    "PageIp" text,
    "PageLatLong" text,
    "PageAgent" text,
    "PageBrowser" text,
    "PageBrowserVersion" text,
    "PageDevice" text,
    "PagePlatform" text,
    "PageOperatingSystem" text,
    "PageScreenWidth" bigint,
    "PageScreenHeight" bigint,
    "PageViewportWidth" bigint,
    "PageViewportHeight" bigint,
    "PageNumEvents" bigint,
    "PageNumDerivedEvents" bigint,
    "PageNumInfos" bigint,
    "PageNumWarnings" bigint,
    "PageNumErrors" bigint,
    "PageClusterId" bigint,
    "PageMaxScrollDepthPercent" bigint,
    "LoadDomContentTime" bigint,
    "LoadEventTime" bigint,
    "LoadFirstPaintTime" bigint,
    "LoadLargestPaintTime" bigint,
    "ReqUrl" text,
    "ReqMethod" text,
    "ReqStatus" bigint,
    "AppName" text,
    "AppPackageName" text,
    "AppDeviceModel" text,
    "AppDeviceVendor" text,
    "AppVersion" text,
    "AppOsVersion" text,
    "AppViewName" text,
    "CustomVars" text,
    "_bundle_id" bigint
);
CREATE TABLE IF NOT EXISTS fullstory.bundles (
    "_bundle_id" bigint,
    "start" timestamp with time zone,
    "stop" timestamp with time zone,
    "events" bigint,
    "bytes" bigint,
    "checksum" text,
    "source" text,
    "downloaded_at" timestamp with time zone,
    "tap_version" text
);
CREATE TABLE IF NOT EXISTS fullstory.users (
    "id" text,
    "uid" text,
    "display_name" text,
    "email" text,
    "is_being_deleted" boolean,
    "properties" text,
    "schema" text,
    "type_conflicts" text,
    "app_url" text,
    "CustomVars" text
);
CREATE TABLE IF NOT EXISTS fullstory.user_sessions (
    "userId" text,
    "sessionId" text,
    "createdTime" timestamp with time zone,
    "fsUrl" text,
    "person" text,
    "CustomVars" text
);
CREATE TABLE IF NOT EXISTS fullstory.segments (
    "id" text,
    "name" text,
    "creator" text,
    "created" timestamp with time zone,
    "url" text,
    "CustomVars" text
);
CREATE TABLE IF NOT EXISTS fullstory.operations (
    "id" text,
    "type" text,
    "state" text,
    "createdAt" timestamp with time zone,
    "finishedAt" timestamp with time zone,
    "errorDetails" text,
    "estimatePctComplete" bigint,
    "step" text,
    "details" text,
    "results" text,
    "CustomVars" text
);
CREATE TABLE IF NOT EXISTS fullstory.settings (
    "kind" text,
    "platform" text,
    "lastUpdated" timestamp with time zone,
    "lastUpdatedBy" text,
    "created" timestamp with time zone,
    "createdBy" text,
    "settings" text,
    "CustomVars" text
);
CREATE TABLE IF NOT EXISTS fullstory.settings_history (
    "kind" text,
    "platform" text,
    "version_id" text,
    "lastUpdated" timestamp with time zone,
    "lastUpdatedBy" text,
    "created" timestamp with time zone,
    "createdBy" text,
    "settings" text,
    "CustomVars" text
);
CREATE TABLE IF NOT EXISTS fullstory.loaded (manifest text PRIMARY KEY);
