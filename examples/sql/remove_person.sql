-- Finds and removes the rows of one person, by all ids that the events know: uid, e-mail, IndvId, UserId.
--
-- For psql and PostgreSQL as meltanolabs-target-postgres fills it, tables in the schema `fullstory`. First look, then remove:
--
--   psql -d warehouse -v uid=customer-1047 -f remove_person.sql
--   psql -d warehouse -v uid=customer-1047 -v remove=yes -f remove_person.sql
--
-- Name the person by one or several of: uid (the application's own id, `UserAppKey`), email, id (Fullstory's, `IndvId` or
-- `UserId`). Everybody who has the e-mail, or has used the browser of that `UserId`, is meant.
-- With `hash_columns`, give the hash in place of the value.
--
-- What somebody did before they were known has no uid: such rows are found by `IndvId` and `UserId`. Rows of somebody
-- else who used the same browser stay, and are counted. Texts that mention the person (URLs, `CustomVars`) are not looked
-- into. Delete at Fullstory first (`fullstory-user delete`): what is read again afterwards would bring the rows back.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?uid} \else \set uid '' \endif
\if :{?email} \else \set email '' \endif
\if :{?id} \else \set id '' \endif
\if :{?remove} \else \set remove no \endif
SELECT :'remove' = 'yes' AS removing,
       to_regclass('fullstory.users') IS NOT NULL AS has_users,
       to_regclass('fullstory.individuals') IS NOT NULL AS has_individuals,
       to_regclass('fullstory.user_sessions') IS NOT NULL AS has_sessions
\gset

BEGIN;

-- every combination of ids on rows that name the person
CREATE TEMPORARY TABLE person_ids ON COMMIT DROP AS
SELECT DISTINCT nullif("UserAppKey", '') AS uid, "IndvId"::text AS indv_id, "UserId"::text AS user_id
  FROM fullstory.events
 WHERE (:'uid' <> '' AND "UserAppKey" = :'uid')
    OR (:'email' <> '' AND lower("UserEmail") = lower(:'email'))
    OR (:'id' <> '' AND :'id' IN ("IndvId"::text, "UserId"::text));
-- an e-mail is not on every row of theirs: all devices of the same uid
INSERT INTO person_ids
SELECT DISTINCT "UserAppKey", "IndvId"::text, "UserId"::text
  FROM fullstory.events
 WHERE "UserAppKey" IN (SELECT uid FROM person_ids);
-- who is in no event may still be in the other tables
INSERT INTO person_ids VALUES (nullif(:'uid', ''), nullif(:'id', ''), nullif(:'id', ''));

-- all their rows; ctid names a row, and is good for this transaction
CREATE TEMPORARY TABLE person_rows ON COMMIT DROP AS
SELECT ctid AS place, "UserAppKey" AS uid, "UserEmail" AS email, "IndvId"::text AS indv_id, "UserId"::text AS user_id
  FROM fullstory.events
 WHERE "UserAppKey" IN (SELECT uid FROM person_ids)
    OR (:'email' <> '' AND lower("UserEmail") = lower(:'email'))
    OR (coalesce("UserAppKey", '') = ''
        AND ("IndvId"::text IN (SELECT indv_id FROM person_ids) OR "UserId"::text IN (SELECT user_id FROM person_ids)));

\echo 'Rows of events, by id:'
SELECT uid, email, indv_id, user_id, count(*) AS rows
  FROM person_rows
 GROUP BY uid, email, indv_id, user_id
 ORDER BY uid, email, indv_id, user_id;

\echo 'Rows of others on the same browser, which stay:'
SELECT "UserAppKey" AS uid, count(*) AS rows
  FROM fullstory.events
 WHERE ("IndvId"::text IN (SELECT indv_id FROM person_ids) OR "UserId"::text IN (SELECT user_id FROM person_ids))
   AND ctid NOT IN (SELECT place FROM person_rows)
 GROUP BY "UserAppKey"
 ORDER BY "UserAppKey";

\if :removing
DELETE FROM fullstory.events WHERE ctid IN (SELECT place FROM person_rows);
\echo 'Removed from events:' :ROW_COUNT
\if :has_users
DELETE FROM fullstory.users
 WHERE uid IN (SELECT uid FROM person_ids)
    OR (:'email' <> '' AND lower(email) = lower(:'email'))
    OR (:'id' <> '' AND id = :'id')
    OR (coalesce(uid, '') = ''
        AND (id IN (SELECT indv_id FROM person_ids) OR id IN (SELECT user_id FROM person_ids)));
\echo 'Removed from users:' :ROW_COUNT
\endif
\if :has_individuals
DELETE FROM fullstory.individuals
 WHERE "IndvId"::text IN (SELECT indv_id FROM person_ids)
    OR "Uid" IN (SELECT uid FROM person_ids)
    OR (:'email' <> '' AND lower("Email") = lower(:'email'));
\echo 'Removed from individuals:' :ROW_COUNT
\endif
\if :has_sessions
DELETE FROM fullstory.user_sessions
 WHERE ("userId" IN (SELECT user_id FROM person_rows)
        AND ("userId", "sessionId") NOT IN ( -- of others, whose events have stayed
            SELECT "UserId"::text, "SessionId"::text
              FROM fullstory.events
             WHERE "UserId"::text IN (SELECT user_id FROM person_rows) AND "SessionId" IS NOT NULL))
    OR person IN (SELECT 'uid:' || uid FROM person_ids)
    OR (:'email' <> '' AND lower(person) = lower('email:' || :'email'));
\echo 'Removed from user_sessions:' :ROW_COUNT
\endif
COMMIT;
\else
ROLLBACK;
\echo 'Nothing was removed: add -v remove=yes to remove these rows, and those of this person in users, individuals and'
\echo 'user_sessions.'
\endif
