-- user_plan_str is a variable of the account, named in fullstory_custom_vars.
SELECT page, user_plan_str AS plan, count(*) AS rage_clicks
  FROM {{ ref('stg_fullstory__events') }}
 WHERE event_mod_frustrated > 0 AND event_time >= current_date - interval '7 days'
 GROUP BY page, plan
 ORDER BY rage_clicks DESC
