select
    full_session_id,
    device_id,
    session_id,
    least(min(session_start_time), min(event_time)) as start_time,
    max(event_time) as end_time,
    {{ fullstory_singer.seconds_between('least(min(session_start_time), min(event_time))', 'max(event_time)') }} as duration,
    {{ fullstory_singer.first_of('url_full_url') }} as first_url,
    {{ fullstory_singer.last_of('url_full_url') }} as last_url,
    {{ fullstory_singer.first_of('initial_referrer_full_url') }} as initial_referrer_url,
    {% if var('fullstory_replay_root', none) -%}
    '{{ var('fullstory_replay_root') }}' || full_session_id as replay_url,
    {% endif -%}
    count(distinct view_id) as total_page_views,
    count(distinct url_full_url) as total_unique_urls,
    {{- fullstory_singer.totals() }},
    {{- fullstory_singer.last_of_visitor() }}
from {{ ref('stg_fullstory__events') }}
where full_session_id is not null
group by full_session_id, device_id, session_id
