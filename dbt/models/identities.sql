select
    individual_id,
    device_id,
    user_id,
    user_email,
    {{ fullstory_singer.last_of('user_display_name') }} as last_display_name,
    min(event_time) as first_event_time,
    max(event_time) as last_event_time,
    count(distinct full_session_id) as total_sessions,
    count(*) as total_events
from {{ ref('stg_fullstory__events') }}
group by individual_id, device_id, user_id, user_email
