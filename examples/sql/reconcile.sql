-- Is anything missing, is anything twice? Compares the events in the warehouse with the log of finished bundles.
--
-- For PostgreSQL as meltanolabs-target-postgres fills it, with the stream `bundles` selected beside `events`; both
-- tables in the schema `fullstory`. No row means: every bundle in the log has exactly its events, and no time between
-- the first and the last of them is without a bundle. Otherwise, finding by finding:
--
--   too few      fewer events than the bundle had: reload it. With event_key, events that are equal in all that
--                identifies them are one row, so a few may be too few for that reason.
--   too many     more events than the bundle had: it was loaded twice, so delete and reload it; or, with reread_hours,
--                events have been deleted at Fullstory (the tap has warned about that).
--   not logged   events of a bundle that the log does not have: it is being loaded, it is cut at end_date, or it was
--                loaded when `bundles` was not selected yet.
--   no bundle    a span that no bundle in the log covers: a gap in the list, skip_bundles, or a hole in the log.
--
-- README.md, "Checking and repairing", says how to reload.

WITH log AS (
    -- what is read again is logged again; in a table with a key there is one row anyway
    SELECT DISTINCT ON ("_bundle_id") "_bundle_id", "start", "stop", "events"
      FROM fullstory.bundles
     ORDER BY "_bundle_id", "downloaded_at" DESC
), warehouse AS (
    SELECT "_bundle_id", count(*) AS found
      FROM fullstory.events
     GROUP BY "_bundle_id"
), spans AS (
    SELECT "start",
           max("stop") OVER (ORDER BY "start", "stop" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_until
      FROM log
)
SELECT CASE
           WHEN "events" IS NULL THEN 'not logged'
           WHEN coalesce(found, 0) < "events" THEN 'too few'
           ELSE 'too many'
       END AS finding,
       "_bundle_id",
       "start",
       "stop",
       "events" AS expected,
       coalesce(found, 0) AS found
  FROM log FULL JOIN warehouse USING ("_bundle_id")
 WHERE "events" IS DISTINCT FROM coalesce(found, 0)
UNION ALL
SELECT 'no bundle', NULL, covered_until, "start", NULL, NULL
  FROM spans
 WHERE "start" > covered_until
 ORDER BY "start", finding;
