with events as (

  select
    *,
    least(
      min(session_start_time) over (partition by full_session_id), min(event_time) over (partition by full_session_id)
    ) as start_time
  from {{ ref('stg_fullstory__events') }}
  where full_session_id is not null

)

select
    full_session_id,
    -- events of one moment have no order of their own; with this one it is at least always the same
    row_number() over (
      partition by full_session_id
      order by event_time, view_id, event_type, event_custom_name, target_text, url_full_url, event_id
    ) as event_number,
    {{ fullstory_singer.seconds_between('start_time', 'event_time') }} as seconds_since_start,
    event_time,
    event_type,
    event_sub_type,
    event_custom_name,
    target_text,
    page,
    url_full_url,
    event_mod_frustrated > 0 as is_rage_click,
    event_mod_dead > 0 as is_dead_click,
    event_mod_error > 0 as is_error_click,
    device_id,
    session_id,
    view_id,
    full_view_id,
    event_id,
    custom_vars
from events
