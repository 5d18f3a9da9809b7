{# the value of the first event that has one; of events at the same time, the smallest value, so that it is always the same #}
{% macro first_of(column) %}(array_agg({{ column }} order by event_time, {{ column }}) filter (where {{ column }} is not null))[1]{% endmacro %}

{% macro last_of(column) %}(array_agg({{ column }} order by event_time desc, {{ column }} desc) filter (where {{ column }} is not null))[1]{% endmacro %}

{# the same for every column that an event has of its visitor and device #}
{% macro last_of_visitor() %}
    {{ fullstory_singer.last_of('individual_id') }} as individual_id,
    {{ fullstory_singer.last_of('user_id') }} as user_id,
    {{ fullstory_singer.last_of('user_email') }} as last_email,
    {{ fullstory_singer.last_of('user_display_name') }} as last_display_name,
    {{ fullstory_singer.last_of('device_user_agent') }} as last_user_agent,
    {{ fullstory_singer.last_of('device_type') }} as last_device_type,
    {{ fullstory_singer.last_of('device_operating_system') }} as last_operating_system,
    {{ fullstory_singer.last_of('device_browser') }} as last_browser,
    {{ fullstory_singer.last_of('device_browser_version') }} as last_browser_version,
    {{ fullstory_singer.last_of('geo_ip_address') }} as last_ip_address,
    {{ fullstory_singer.last_of('geo_lat_long') }} as last_lat_long,
    {{ fullstory_singer.last_of('app_name') }} as last_app_name,
    {{ fullstory_singer.last_of('app_version') }} as last_app_version
{%- for variable in fullstory_singer.custom_variables() if variable.column.startswith('user_') %},
    {{ fullstory_singer.last_of(variable.column) }} as {{ variable.column }}
{%- endfor %}
{% endmacro %}

{# how many events there are, in all and of a kind #}
{% macro totals() %}
    count(*) as total_events,
    {% for type in ('click', 'change', 'custom', 'navigate', 'exception') -%}
    count(case when event_type = '{{ type }}' then 1 end) as total_{{ type }}_events,
    {% endfor -%}
    count(case when event_mod_frustrated > 0 then 1 end) as total_rage_clicks,
    count(case when event_mod_dead > 0 then 1 end) as total_dead_clicks,
    count(case when event_mod_error > 0 then 1 end) as total_error_clicks
{% endmacro %}
