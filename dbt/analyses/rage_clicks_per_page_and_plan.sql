-- user_plan_str: an account's own variable, named in fullstory_custom_vars
select page, user_plan_str as plan, count(*) as rage_clicks
from {{ ref('stg_fullstory__events') }}
where event_mod_frustrated > 0 and event_time >= current_date - interval '7 days'
group by page, plan
order by rage_clicks desc
