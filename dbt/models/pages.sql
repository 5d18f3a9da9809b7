select
    full_view_id,
    full_session_id,
    device_id,
    session_id,
    view_id,
    least(min(page_start_time), min(event_time)) as start_time,
    max(event_time) as end_time,
    cast(max(page_duration) as double precision) / 1000 as duration,
    cast(max(page_active_duration) as double precision) / 1000 as active_duration,
    {{ fullstory_singer.first_of('page') }} as page,
    {{ fullstory_singer.first_of('url_full_url') }} as first_url,
    {{ fullstory_singer.last_of('url_full_url') }} as last_url,
    {{ fullstory_singer.first_of('initial_referrer_full_url') }} as initial_referrer_full_url,
    count(distinct url_full_url) as total_unique_urls,
    max(page_num_errors) as total_console_errors,
    max(load_dom_content_time) as load_dom_content_time,
    max(load_event_time) as load_event_time,
    max(load_first_paint_time) as load_first_paint_time,
    max(load_largest_paint_time) as load_largest_paint_time,
    {{- fullstory_singer.totals() }},
    {{- fullstory_singer.last_of_visitor() }}
from {{ ref('stg_fullstory__events') }}
where full_view_id is not null
group by full_view_id, full_session_id, device_id, session_id, view_id
